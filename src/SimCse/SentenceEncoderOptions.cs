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

    /// <summary>Whether a text longer than <see cref="MaxLength"/> is an error (<see cref="TextTooLongException"/>) instead of being cut and counted.</summary>
    public bool RefuseTruncation { get; init; }

    /// <summary>
    /// The components kept of a vector, the first ones, before it is scaled to length one: for models trained so that the first ones say the most (Matryoshka representations, Kusupati
    /// et al. 2022, arXiv 2205.13147). Null (the default) for all.
    /// </summary>
    public int? Dimensions { get; init; }

    /// <summary>
    /// How weights are stored and products computed. Null (the default) for what the directory holds: its weights in float32, or where it has none its ONNX file. With weights, any is
    /// made of them; without, an ONNX file of this precision has to be there.
    /// </summary>
    public OnnxPrecision? Precision { get; init; }

    /// <summary>An ONNX file to run, its path from the model's directory, such as <c>onnx/model_quantized.onnx</c>; null (the default) for the weights where there are any.</summary>
    public string? OnnxFile { get; init; }

    /// <summary>The most tokens of a batch, padding included. Larger batches need more memory and are no faster.</summary>
    public int BatchTokens { get; init; } = 512;

    /// <summary>The number of threads: of as many batches at once, or of one batch where a call has no more; null (the default) for one a processor.</summary>
    public int? Threads { get; init; }
}
