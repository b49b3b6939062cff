using System.Globalization;
using System.Text;

namespace SimCse.Tokenization;

/// <summary>
/// Hugging Face's BertNormalizer: drops control characters and makes white space a space (clean_text), puts spaces around Chinese
/// characters, decomposes and drops accents, lower-cases, in this order. The text is well-formed UTF-16.
/// </summary>
internal sealed class BertNormalizer
{
    // What becomes of a code point: itself or another one, with a flag where it is a mark; nothing; or a longer text.
    private const int Dropped = -1;
    private const int MarkFlag = 1 << 24;
    private const int PageSize = 256;

    private readonly bool _cleanText;
    private readonly bool _handleChineseCharacters;
    private readonly bool _stripAccents;
    private readonly bool _lowercase;
    private readonly char[] _ascii = new char[128]; // U+FFFF where dropped
    private readonly int[]?[] _pages = new int[]?[0x110000 / PageSize];
    private readonly Lock _building = new();
    private readonly List<string> _longer = [];
    private volatile string[] _longerSnapshot = [];

    public BertNormalizer(bool cleanText, bool handleChineseCharacters, bool? stripAccents, bool lowercase)
    {
        _cleanText = cleanText;
        _handleChineseCharacters = handleChineseCharacters;
        _stripAccents = stripAccents ?? lowercase;
        _lowercase = lowercase;
        for (int c = 0; c < _ascii.Length; c++)
        {
            int becomes = Map(c);
            _ascii[c] = becomes == Dropped ? '\uFFFF' : (char)becomes;
        }
    }

    /// <summary>Adds the normalised form of <paramref name="text"/> to <paramref name="output"/>.</summary>
    public void Normalize(ReadOnlySpan<char> text, ref PooledList<char> output)
    {
        int begin = output.Count;
        if (!TryNormalize(text, ref output, checkMarks: _stripAccents))
        {
            // Two marks that stay, side by side: they may need the canonical order, which the text as a whole is brought into.
            output.Truncate(begin);
            TryNormalize(InCanonicalOrder(text), ref output, checkMarks: false);
        }
    }

    /// <summary>The normalised form of a short text.</summary>
    public string Normalize(string text)
    {
        var output = new PooledList<char>(text.Length);
        Normalize(text, ref output);
        string normalized = new(output.Items);
        output.Dispose();
        return normalized;
    }

    private bool TryNormalize(ReadOnlySpan<char> text, ref PooledList<char> output, bool checkMarks)
    {
        bool afterMark = false;
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            if (c < 128)
            {
                char becomes = _ascii[c];
                if (becomes != '\uFFFF')
                {
                    output.Add(becomes);
                    afterMark = false;
                }

                continue;
            }

            int codePoint = c;
            if (char.IsHighSurrogate(c))
            {
                codePoint = char.ConvertToUtf32(c, text[++i]);
            }

            int entry = (Volatile.Read(ref _pages[codePoint / PageSize]) ?? BuildPage(codePoint / PageSize))[codePoint % PageSize];
            if (entry < Dropped)
            {
                output.AddRange(_longerSnapshot[-2 - entry]);
                afterMark = true; // a decomposition may end in a mark
            }
            else if (entry != Dropped)
            {
                bool mark = (entry & MarkFlag) != 0;
                if (mark && afterMark && checkMarks)
                {
                    return false;
                }

                afterMark = mark;
                int result = entry & ~MarkFlag;
                if (result <= 0xFFFF)
                {
                    output.Add((char)result);
                }
                else
                {
                    output.Add((char)(0xD800 + ((result - 0x10000) >> 10)));
                    output.Add((char)(0xDC00 + (result & 0x3FF)));
                }
            }
        }

        return true;
    }

    private string InCanonicalOrder(ReadOnlySpan<char> text)
    {
        var cleaned = new StringBuilder(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (!_cleanText || !IsDropped(rune.Value))
            {
                string padding = _handleChineseCharacters && ReferenceUnicode.IsChinese(rune.Value) ? " " : "";
                cleaned.Append(padding).Append(rune.ToString()).Append(padding);
            }
        }

        return ReferenceUnicode.Decompose(cleaned.ToString());
    }

    private int[] BuildPage(int page)
    {
        lock (_building)
        {
            if (_pages[page] is { } built)
            {
                return built;
            }

            var entries = new int[PageSize];
            for (int i = 0; i < PageSize; i++)
            {
                int codePoint = (page * PageSize) + i;
                entries[i] = codePoint is >= 0xD800 and <= 0xDFFF ? Dropped : Map(codePoint);
            }

            _longerSnapshot = [.. _longer];
            Volatile.Write(ref _pages[page], entries);
            return entries;
        }
    }

    private static bool IsDropped(int codePoint) =>
        codePoint is 0 or 0xFFFD || (codePoint is not ('\t' or '\n' or '\r') && ReferenceUnicode.IsOther(codePoint));

    private int Map(int codePoint)
    {
        if (_cleanText)
        {
            if (IsDropped(codePoint))
            {
                return Dropped;
            }

            if (ReferenceUnicode.IsWhiteSpace(codePoint))
            {
                return ' ';
            }
        }

        var result = new StringBuilder();
        foreach (Rune part in (_stripAccents ? ReferenceUnicode.Decompose(codePoint) : char.ConvertFromUtf32(codePoint)).EnumerateRunes())
        {
            if (!_stripAccents || !ReferenceUnicode.IsNonSpacingMark(part.Value))
            {
                result.Append(_lowercase ? ReferenceUnicode.ToLower(part.Value) : part.ToString());
            }
        }

        if (_handleChineseCharacters && ReferenceUnicode.IsChinese(codePoint))
        {
            result.Insert(0, ' ').Append(' ');
        }

        if (result.Length == 0)
        {
            return Dropped;
        }

        string text = result.ToString();
        if (text.Length == 1 || (text.Length == 2 && char.IsSurrogatePair(text, 0)))
        {
            int single = char.ConvertToUtf32(text, 0);
            return CharUnicodeInfo.GetUnicodeCategory(single) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark
                ? single | MarkFlag
                : single;
        }

        _longer.Add(text);
        return -1 - _longer.Count;
    }
}
