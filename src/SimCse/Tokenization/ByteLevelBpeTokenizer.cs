using System.Collections.Concurrent;
using System.Globalization;
using System.Text;

namespace SimCse.Tokenization;

/// <summary>
/// RoBERTa's tokenizer: the text is cut by GPT-2's pattern into words that keep the space before them, and the UTF-8 bytes of each word are
/// merged pair by pair in the order the merges were learned, <c>Ġplay ing</c> (Radford et al., 2019; Sennrich et al., 2016).
/// </summary>
public sealed class ByteLevelBpeTokenizer : Tokenizer
{
    private const int LongestCachedWord = 48;
    private const int CacheCapacity = 1 << 16;

    private readonly BytePairMerges _merges;
    private readonly IReadOnlyDictionary<string, int>? _wholeWords;
    private readonly bool _addPrefixSpace;
    private readonly bool _splitWords;

    // The vocabulary's own ids of words seen before: the same few thousand words make up most of any text.
    private readonly ConcurrentDictionary<string, int[]> _cache = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, int[]>.AlternateLookup<ReadOnlySpan<char>> _cached;
    private int _cacheCount;

    internal ByteLevelBpeTokenizer(TokenizerParts parts, BytePairMerges merges, IReadOnlyDictionary<string, int>? wholeWords, bool addPrefixSpace, bool splitWords)
        : base(parts)
    {
        _merges = merges;
        _wholeWords = wholeWords;
        _addPrefixSpace = addPrefixSpace;
        _splitWords = splitWords;
        _cached = _cache.GetAlternateLookup<ReadOnlySpan<char>>();
        LookForNormalizedTokens(content => content);
    }

    private protected override void EncodePlain(ReadOnlySpan<char> text, ref PooledList<int> ids, int room) => SplitAndEncodeNormalized(text, ref ids, room);

    private protected override void EncodeNormalized(ReadOnlySpan<char> text, ref PooledList<int> ids, int room)
    {
        if (_addPrefixSpace && !text.IsEmpty && text[0] != ' ')
        {
            var prefixed = new PooledList<char>(text.Length + 1);
            try
            {
                prefixed.Add(' ');
                prefixed.AddRange(text);
                EncodeWords(prefixed.Items, ref ids, room);
            }
            finally
            {
                prefixed.Dispose();
            }
        }
        else
        {
            EncodeWords(text, ref ids, room);
        }
    }

    private void EncodeWords(ReadOnlySpan<char> text, ref PooledList<int> ids, int room)
    {
        while (!text.IsEmpty && ids.Count <= room)
        {
            int length = _splitWords ? WordLength(text) : text.Length;
            EncodeWord(text[..length], ref ids);
            text = text[length..];
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, ref PooledList<int> ids)
    {
        if (word.Length > LongestCachedWord)
        {
            EncodeBytes(word, ref ids);
            return;
        }

        if (_cached.TryGetValue(word, out int[]? known))
        {
            ids.AddRange(known);
            return;
        }

        int before = ids.Count;
        EncodeBytes(word, ref ids);
        if (_cacheCount < CacheCapacity && _cached.TryAdd(word, ids.Items[before..].ToArray()))
        {
            Interlocked.Increment(ref _cacheCount);
        }
    }

    private void EncodeBytes(ReadOnlySpan<char> word, ref PooledList<int> ids)
    {
        byte[]? rented = null;
        int size = Encoding.UTF8.GetMaxByteCount(word.Length);
        Span<byte> bytes = size <= 256 ? stackalloc byte[size] : (rented = System.Buffers.ArrayPool<byte>.Shared.Rent(size));
        bytes = bytes[..Encoding.UTF8.GetBytes(word, bytes)];
        if (_wholeWords is not null && _wholeWords.TryGetValue(ByteLevelAlphabet.Spell(bytes), out int whole))
        {
            ids.Add(whole);
        }
        else
        {
            _merges.Encode(bytes, ref ids);
        }

        if (rented is not null)
        {
            System.Buffers.ArrayPool<byte>.Shared.Return(rented);
        }
    }

    /// <summary>
    /// The length of the first match of GPT-2's pattern, by code points:
    /// <c>'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+</c>.
    /// </summary>
    private static int WordLength(ReadOnlySpan<char> text)
    {
        if (text[0] == '\'' && text.Length > 1)
        {
            switch (text[1])
            {
                case 's' or 't' or 'm' or 'd':
                    return 2;
                case 'r' or 'v' when text.Length > 2 && text[2] == 'e':
                case 'l' when text.Length > 2 && text[2] == 'l':
                    return 3;
                default:
                    break;
            }
        }

        int begin = text[0] == ' ' && text.Length > 1 ? 1 : 0;
        CharacterClass kind = ClassAt(text, begin, out int length);
        if (kind != CharacterClass.Space)
        {
            int end = begin + length;
            while (end < text.Length && ClassAt(text, end, out length) == kind)
            {
                end += length;
            }

            return end;
        }

        int spaces = 1;
        while (spaces < text.Length && char.IsWhiteSpace(text[spaces]))
        {
            spaces++;
        }

        // The last of several spaces belongs to the word that follows.
        return spaces == text.Length || spaces == 1 ? spaces : spaces - 1;
    }

    private static CharacterClass ClassAt(ReadOnlySpan<char> text, int index, out int length)
    {
        char c = text[index];
        length = 1;
        if (c < 128)
        {
            return char.IsAsciiLetter(c) ? CharacterClass.Letter
                : char.IsAsciiDigit(c) ? CharacterClass.Number
                : char.IsWhiteSpace(c) ? CharacterClass.Space
                : CharacterClass.Other;
        }

        int codePoint = c;
        if (char.IsHighSurrogate(c))
        {
            codePoint = char.ConvertToUtf32(c, text[index + 1]);
            length = 2;
        }

        return CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
        {
            <= UnicodeCategory.OtherLetter => CharacterClass.Letter,
            UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => CharacterClass.Number,
            _ => ReferenceUnicode.IsWhiteSpace(codePoint) ? CharacterClass.Space : CharacterClass.Other,
        };
    }

    private enum CharacterClass
    {
        Letter,
        Number,
        Space,
        Other,
    }
}
