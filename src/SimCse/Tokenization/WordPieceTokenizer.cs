namespace SimCse.Tokenization;

/// <summary>
/// BERT's tokenizer: the text is normalised (cased or uncased), cut at white space and around punctuation, and each word is taken apart
/// greedily into the longest pieces of the vocabulary, <c>play ##ing</c>; a word that cannot be is one [UNK] (Devlin et al., 2019).
/// </summary>
public sealed class WordPieceTokenizer : Tokenizer
{
    private readonly BertNormalizer? _normalizer;
    private readonly TokenTrie _pieces = new();
    private readonly int _continuation;
    private readonly int _maxCharactersPerWord;

    internal WordPieceTokenizer(TokenizerParts parts, IEnumerable<KeyValuePair<string, int>> pieces, BertNormalizer? normalizer, string continuingPrefix, int maxCharactersPerWord)
        : base(parts)
    {
        _normalizer = normalizer;
        _maxCharactersPerWord = maxCharactersPerWord;
        foreach ((string token, int id) in pieces)
        {
            _pieces.Add(token, id);
        }

        _continuation = _pieces.Find(continuingPrefix);
        LookForNormalizedTokens(content => normalizer is null ? content : normalizer.Normalize(content));
    }

    private protected override void EncodePlain(ReadOnlySpan<char> text, ref PooledList<int> ids, int room)
    {
        if (_normalizer is null)
        {
            SplitAndEncodeNormalized(text, ref ids, room);
            return;
        }

        var normalized = new PooledList<char>(text.Length + 64);
        try
        {
            _normalizer.Normalize(text, ref normalized);
            SplitAndEncodeNormalized(normalized.Items, ref ids, room);
        }
        finally
        {
            normalized.Dispose();
        }
    }

    private protected override void EncodeNormalized(ReadOnlySpan<char> text, ref PooledList<int> ids, int room)
    {
        var words = new BertWords(text);
        while (ids.Count <= room && words.MoveNext())
        {
            EncodeWord(words.Current, ref ids);
        }
    }

    private void EncodeWord(ReadOnlySpan<char> word, ref PooledList<int> ids)
    {
        if (word.Length > _maxCharactersPerWord && CodePoints(word) > _maxCharactersPerWord)
        {
            ids.Add(UnknownTokenId);
            return;
        }

        int before = ids.Count;
        int node = TokenTrie.Root;
        while (!word.IsEmpty)
        {
            int length = 0;
            int piece = node < 0 ? -1 : _pieces.Longest(node, word, out length);
            if (piece < 0)
            {
                ids.Truncate(before);
                ids.Add(UnknownTokenId);
                return;
            }

            ids.Add(piece);
            word = word[length..];
            node = _continuation;
        }
    }

    private static int CodePoints(ReadOnlySpan<char> word)
    {
        int count = 0;
        foreach (char c in word)
        {
            count += char.IsLowSurrogate(c) ? 0 : 1;
        }

        return count;
    }
}
