namespace SimCse.Checkpoints;

/// <summary>The tensors that an <see cref="EncoderConfig"/> calls for: Hugging Face's names, without the prefix that a file may give them, and shapes.</summary>
public static class EncoderTensors
{
    /// <summary>(V, H).</summary>
    public const string WordEmbeddings = "embeddings.word_embeddings.weight";

    /// <summary>(positions, H).</summary>
    public const string PositionEmbeddings = "embeddings.position_embeddings.weight";

    /// <summary>(token types, H).</summary>
    public const string TokenTypeEmbeddings = "embeddings.token_type_embeddings.weight";

    /// <summary>The encoder's tensors in the order in which the data flows, as float32. Lazy: a caller may stop at the first one that a file lacks.</summary>
    public static IEnumerable<TensorEntry> For(EncoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        return Enumerate(config);
    }

    /// <summary>
    /// The masked-language head's tensors, as float32, under their names beside the encoder's prefix: <c>cls.predictions.*</c> for BERT, <c>lm_head.*</c> for RoBERTa.
    /// The decoder's weight is not among them: it is the word embeddings (tied).
    /// </summary>
    public static IEnumerable<TensorEntry> ForMaskedLanguageHead(EncoderConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        long h = config.HiddenSize;
        (string transform, string norm, string bias) = HeadNames(config.Family);
        return
        [
            new($"{transform}.weight", TensorType.F32, [h, h]),
            new($"{transform}.bias", TensorType.F32, [h]),
            new($"{norm}.weight", TensorType.F32, [h]),
            new($"{norm}.bias", TensorType.F32, [h]),
            new(bias, TensorType.F32, [config.VocabularySize]),
        ];
    }

    /// <summary>What the names of layer <paramref name="layer"/>'s tensors start with: <c>encoder.layer.0.</c>.</summary>
    public static string LayerPrefix(int layer) => $"encoder.layer.{layer}.";

    internal static (string Transform, string Norm, string Bias) HeadNames(ModelFamily family) => family == ModelFamily.Roberta
        ? ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias")
        : ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.bias");

    private static IEnumerable<TensorEntry> Enumerate(EncoderConfig config)
    {
        long h = config.HiddenSize;
        long inner = config.IntermediateSize;
        yield return new(WordEmbeddings, TensorType.F32, [config.VocabularySize, h]);
        yield return new(PositionEmbeddings, TensorType.F32, [config.MaxPositions, h]);
        yield return new(TokenTypeEmbeddings, TensorType.F32, [config.TokenTypes, h]);
        yield return new("embeddings.LayerNorm.weight", TensorType.F32, [h]);
        yield return new("embeddings.LayerNorm.bias", TensorType.F32, [h]);
        for (int layer = 0; layer < config.Layers; layer++)
        {
            string prefix = LayerPrefix(layer);
            foreach ((string name, long rows, long columns) in (IEnumerable<(string, long, long)>)
                [
                    ("attention.self.query", h, h),
                    ("attention.self.key", h, h),
                    ("attention.self.value", h, h),
                    ("attention.output.dense", h, h),
                    ("attention.output.LayerNorm", h, 0),
                    ("intermediate.dense", inner, h),
                    ("output.dense", h, inner),
                    ("output.LayerNorm", h, 0),
                ])
            {
                yield return new($"{prefix}{name}.weight", TensorType.F32, columns == 0 ? [rows] : [rows, columns]);
                yield return new($"{prefix}{name}.bias", TensorType.F32, [rows]);
            }
        }
    }
}
