namespace SimCse.Tokenization;

/// <summary>
/// Text to vocabulary ids, id for id what Hugging Face's Rust tokenizers (0.22) give for the same files. Immutable and safe to use
/// from many threads at once.
/// </summary>
public abstract class Tokenizer
{
    private readonly Vocabulary _vocabulary;
    private readonly AddedTokenSplitter _rawTokens;
    private readonly Frame _frame;
    private AddedTokenSplitter? _normalizedTokens;

    private protected Tokenizer(TokenizerParts parts)
    {
        _vocabulary = parts.Vocabulary;
        _frame = parts.Frame;
        ModelMaxLength = parts.ModelMaxLength;
        (ClassTokenId, SeparatorTokenId, PadTokenId, MaskTokenId, UnknownTokenId) = parts.Special;
        AddedTokens = parts.AddedTokens;
        _rawTokens = new AddedTokenSplitter(Patterns(normalized: false, content => content));
    }

    /// <summary>The largest id + 1: the rows that an embedding table needs.</summary>
    public int VocabularySize => _vocabulary.Size;

    /// <summary>[CLS] of BERT, &lt;s&gt; of RoBERTa.</summary>
    public int ClassTokenId { get; }

    /// <summary>[SEP] of BERT, &lt;/s&gt; of RoBERTa.</summary>
    public int SeparatorTokenId { get; }

    /// <summary>[PAD] of BERT, &lt;pad&gt; of RoBERTa.</summary>
    public int PadTokenId { get; }

    /// <summary>[MASK] of BERT, &lt;mask&gt; of RoBERTa; −1 where the vocabulary has none.</summary>
    public int MaskTokenId { get; }

    /// <summary>[UNK] of BERT, &lt;unk&gt; of RoBERTa.</summary>
    public int UnknownTokenId { get; }

    /// <summary>The <c>model_max_length</c> of tokenizer_config.json, special tokens included; null where there is none, or one that means 'no limit' (1e30).</summary>
    public int? ModelMaxLength { get; }

    private protected IReadOnlyList<(AddedToken Token, int Id)> AddedTokens { get; }

    /// <summary>
    /// Reads the tokenizer of a model directory: <c>tokenizer.json</c> if there is one, else <c>vocab.txt</c> (WordPiece), else <c>vocab.json</c>
    /// with <c>merges.txt</c> (byte-level BPE); the latter two with what <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c> say.
    /// Truncation and padding that tokenizer.json asks for are left to the caller. Where tokenizer.json and tokenizer_config.json disagree, on
    /// lower case for instance, tokenizer.json counts.
    /// </summary>
    /// <param name="directory">A Hugging Face or sentence-transformers directory.</param>
    /// <exception cref="FileNotFoundException">The directory has none of these files.</exception>
    /// <exception cref="InvalidDataException">A file is malformed, or asks for something that is not supported; the message says which and what.</exception>
    public static Tokenizer Load(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        TokenizerConfig config = TokenizerConfig.Read(directory);
        string tokenizerJson = Path.Combine(directory, "tokenizer.json");
        if (File.Exists(tokenizerJson))
        {
            return TokenizerJson.Read(tokenizerJson, config);
        }

        string vocabularyText = Path.Combine(directory, "vocab.txt");
        if (File.Exists(vocabularyText))
        {
            return VocabularyFiles.ReadWordPiece(vocabularyText, config);
        }

        string vocabularyJson = Path.Combine(directory, "vocab.json");
        string merges = Path.Combine(directory, "merges.txt");
        return File.Exists(vocabularyJson) && File.Exists(merges)
            ? VocabularyFiles.ReadByteLevelBpe(vocabularyJson, merges, config)
            : throw new FileNotFoundException($"{directory}: no tokenizer.json, no vocab.txt, and no vocab.json with merges.txt");
    }

    /// <summary>
    /// The ids of <paramref name="text"/> with the special tokens around them. A text that is too long loses tokens at its end, as Hugging Face's
    /// 'longest first' does with a single text; the special tokens stay. A lone surrogate counts as U+FFFD.
    /// </summary>
    /// <param name="text">Any text.</param>
    /// <param name="maxLength">The most ids to give, special tokens included.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="maxLength"/> has no room for the special tokens.</exception>
    public TokenizedText Encode(string text, int maxLength = int.MaxValue)
    {
        ArgumentNullException.ThrowIfNull(text);
        int room = maxLength - _frame.Length;
        if (room < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(maxLength), maxLength, $"at least {_frame.Length}, the number of special tokens, is needed");
        }

        text = Utf16.WithoutLoneSurrogates(text);
        var ids = new PooledList<int>(256);
        try
        {
            if (_rawTokens.IsEmpty)
            {
                EncodePlain(text, ref ids, room);
            }
            else
            {
                AddedTokenSplitter.Pieces pieces = _rawTokens.Split(text);
                while (ids.Count <= room && pieces.MoveNext())
                {
                    if (pieces.TokenId >= 0)
                    {
                        ids.Add(pieces.TokenId);
                    }
                    else
                    {
                        EncodePlain(pieces.Text, ref ids, room);
                    }
                }
            }

            int count = Math.Min(ids.Count, room);
            int[] framed = new int[count + _frame.Length];
            _frame.Before.CopyTo(framed, 0);
            ids.Items[..count].CopyTo(framed.AsSpan(_frame.Before.Length));
            _frame.After.CopyTo(framed, _frame.Before.Length + count);
            return new TokenizedText(framed, ids.Count > room);
        }
        finally
        {
            ids.Dispose();
        }
    }

    /// <summary>
    /// Ids of this vocabulary as <see cref="Encode"/> would give them: the special tokens are put around ids that do not begin with them, and too many lose their end.
    /// </summary>
    /// <param name="ids">Ids of a text, with or without the special tokens.</param>
    /// <param name="maxLength">The most ids to give, special tokens included.</param>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id, or <paramref name="maxLength"/> has no room for the special tokens.</exception>
    public TokenizedText Frame(ReadOnlySpan<int> ids, int maxLength = int.MaxValue)
    {
        int room = maxLength - _frame.Length;
        ArgumentOutOfRangeException.ThrowIfNegative(room, nameof(maxLength));
        foreach (int id in ids)
        {
            if (id < 0 || id >= VocabularySize)
            {
                throw new ArgumentOutOfRangeException(nameof(ids), id, $"the ids of the vocabulary are from 0 to {VocabularySize - 1}");
            }
        }

        if (_frame.Before.Length > 0 && ids.StartsWith(_frame.Before))
        {
            ids = ids[_frame.Before.Length..];
            ids = ids.EndsWith(_frame.After) ? ids[..^_frame.After.Length] : ids;
        }

        return new TokenizedText([.. _frame.Before, .. ids[..Math.Min(ids.Length, room)], .. _frame.After], ids.Length > room);
    }

    /// <summary>The text of a token, as the vocabulary spells it: <c>##ing</c>, <c>Ġthe</c>, <c>[CLS]</c>.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The vocabulary has no such id.</exception>
    public string TokenOf(int id) => _vocabulary.TokenOf(id) ?? throw new ArgumentOutOfRangeException(nameof(id), id, "the vocabulary has no token with this id");

    /// <summary>Whether the id is structure rather than text: [CLS], [SEP], [PAD], [MASK], [UNK] and what else the files call special.</summary>
    public bool IsSpecial(int id) => _vocabulary.IsSpecial(id);

    /// <summary>The ids of a normalised stretch of text with no added tokens in it; may stop once there are more than <paramref name="room"/> ids.</summary>
    private protected abstract void EncodeNormalized(ReadOnlySpan<char> text, ref PooledList<int> ids, int room);

    /// <summary>The ids of a stretch of text as it was given, without the added tokens that are looked for in raw text.</summary>
    private protected abstract void EncodePlain(ReadOnlySpan<char> text, ref PooledList<int> ids, int room);

    /// <summary>Called by the constructor of a deriving class, which knows how the content of an added token is normalised.</summary>
    private protected void LookForNormalizedTokens(Func<string, string> normalize) => _normalizedTokens = new AddedTokenSplitter(Patterns(normalized: true, normalize));

    private IEnumerable<AddedPattern> Patterns(bool normalized, Func<string, string> normalize)
    {
        foreach ((AddedToken token, int id) in AddedTokens)
        {
            if (token.Normalized == normalized && normalize(token.Content) is { Length: > 0 } pattern)
            {
                yield return new AddedPattern(pattern, token, id);
            }
        }
    }

    /// <summary>Finds the added tokens of a normalised text and hands what lies between to <see cref="EncodeNormalized"/>.</summary>
    private protected void SplitAndEncodeNormalized(ReadOnlySpan<char> text, ref PooledList<int> ids, int room)
    {
        if (_normalizedTokens is not { IsEmpty: false } splitter)
        {
            EncodeNormalized(text, ref ids, room);
            return;
        }

        AddedTokenSplitter.Pieces pieces = splitter.Split(text);
        while (ids.Count <= room && pieces.MoveNext())
        {
            if (pieces.TokenId >= 0)
            {
                ids.Add(pieces.TokenId);
            }
            else
            {
                EncodeNormalized(pieces.Text, ref ids, room);
            }
        }
    }
}
