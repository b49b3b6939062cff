namespace SimCse;

/// <summary>What <see cref="SentenceEncoder.Load"/> may be told.</summary>
public sealed record SentenceEncoderOptions
{
    /// <summary>How token vectors become a sentence vector; null (the default) for what the model directory says.</summary>
    public Pooling? Pooling { get; init; }

    /// <summary>
    /// Whether <see cref="Pooling"/> may differ from the one that the directory names. False by default: the wrong pooling costs a model up to
    /// twenty points of STS without any other sign. Set it to measure poolings against each other.
    /// </summary>
    public bool AllowOtherPooling { get; init; }

    /// <summary>
    /// Whether vectors are scaled to length one: false (the default) for the raw pooled vectors, true for unit vectors, null for what the model
    /// directory says, which is what sentence-transformers gives. Cosines are the same in all three.
    /// </summary>
    public bool? Normalize { get; init; } = false;

    /// <summary>
    /// The number of tokens, special ones included, after which a text is cut; null (the default) for what the model says: its
    /// max_seq_length, else its tokenizer's model_max_length, else the number of its positions.
    /// </summary>
    public int? MaxLength { get; init; }

    /// <summary>The most tokens of a batch, padding included. Larger batches need more memory and are no faster.</summary>
    public int BatchTokens { get; init; } = 512;

    /// <summary>The number of threads: of as many batches at once, or of one batch where a call has no more; null (the default) for one a processor.</summary>
    public int? Threads { get; init; }
}
