using System.Globalization;
using System.Numerics.Tensors;
using Onnx;
using SimCse.Checkpoints;

namespace SimCse.Inference;

/// <summary>
/// A checkpoint as an ONNX graph from token ids to sentence vectors: embeddings, layers, pooling, head and normalisation. Written
/// with ONNX Runtime's fused operators, which say in eight nodes a layer what the plain ones take forty for. B texts, T tokens
/// (padding on the right), H components.
/// </summary>
/// <remarks>Arithmetic of BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019) as in Hugging Face's transformers: layer norm after the
/// residual, GELU by the error function, learned positions.</remarks>
internal static class EncoderGraph
{
    public const string InputIds = "input_ids";
    public const string AttentionMask = "attention_mask";
    public const string SentenceEmbedding = "sentence_embedding";

    private static readonly string[] s_projections = ["query", "key", "value"];

    /// <summary>Builds the graph; reads every tensor of the encoder once.</summary>
    /// <param name="checkpoint">BERT or RoBERTa.</param>
    /// <param name="pooling">How token vectors become one.</param>
    /// <param name="head">The dense module over the pooled vector, or null for none.</param>
    /// <param name="normalize">Whether the vectors are scaled to length one.</param>
    public static OnnxGraph Build(Checkpoint checkpoint, Pooling pooling, DenseHead? head, bool normalize)
    {
        EncoderConfig config = checkpoint.Config;
        OnnxGraph graph = new();
        string ids = graph.Node("ids", "Cast", [graph.Input(InputIds, "batch", "sequence")], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T)
        string mask = graph.Node("mask", "Cast", [graph.Input(AttentionMask, "batch", "sequence")], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T), 1 = a token

        bool onlyFirstIsRead = pooling is Pooling.Cls or Pooling.ClsBeforePooler;
        List<string> hidden = [Embeddings(graph, checkpoint, ids)]; // (B, T, H)
        for (int layer = 0; layer < config.Layers; layer++)
        {
            hidden.Add(onlyFirstIsRead && layer == config.Layers - 1
                ? FirstTokenOfLayer(graph, checkpoint, layer, hidden[^1], mask) // (B, 1, H)
                : Layer(graph, checkpoint, layer, hidden[^1], mask)); // (B, T, H)
        }

        string vector = pooling switch // (B, H)
        {
            Pooling.Cls or Pooling.ClsBeforePooler => graph.Node("pooled", "Squeeze", [hidden[^1], graph.Integers("pooled.axes", 1)]),
            Pooling.Avg => Mean(graph, mask, hidden[^1]),
            Pooling.AvgTop2 => Mean(graph, mask, hidden[^2], hidden[^1]),
            Pooling.AvgFirstLast => Mean(graph, mask, hidden[1], hidden[^1]),
            Pooling.StaticFirstLast => Mean(graph, mask, hidden[0], hidden[^1]),
            _ => throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "not a pooling"),
        };
        int dimensions = config.HiddenSize;
        if (head is not null)
        {
            vector = Head(graph, head, vector); // (B, head.OutFeatures)
            dimensions = head.OutFeatures;
        }

        if (normalize)
        {
            vector = graph.Node("normalized", "LpNormalization", [vector], ("axis", 1), ("p", 2));
        }

        graph.Node(SentenceEmbedding, "Identity", [vector]);
        graph.Output(SentenceEmbedding, "batch", dimensions.ToString(CultureInfo.InvariantCulture));
        return graph;
    }

    /// <summary>The name of hidden_states[<paramref name="index"/>] in the graph: 0 is the embeddings' output, i the output of layer i - 1.</summary>
    public static string HiddenState(int index) => $"hidden.{index}";

    private static string Embeddings(OnnxGraph graph, Checkpoint checkpoint, string ids)
    {
        EncoderConfig config = checkpoint.Config;
        int h = config.HiddenSize;

        // A single text has token type 0 throughout: that row of the type table is added to every position once, here.
        float[] positions = checkpoint.ReadEncoderTensor("embeddings.position_embeddings.weight"); // (P, H)
        ReadOnlySpan<float> type = checkpoint.ReadEncoderTensor("embeddings.token_type_embeddings.weight").AsSpan(0, h); // (H)
        for (int at = 0; at < positions.Length; at += h)
        {
            TensorPrimitives.Add(positions.AsSpan(at, h), type, positions.AsSpan(at, h));
        }

        const string Name = "embeddings";
        List<string> inputs =
        [
            ids,
            "", // no token types
            graph.Weight($"{Name}.word_embeddings.weight", checkpoint.ReadEncoderTensor($"{Name}.word_embeddings.weight"), config.VocabularySize, h),
            graph.Weight($"{Name}.position_and_type", positions, config.MaxPositions, h),
            "", // no token type table
            Vector(graph, checkpoint, $"{Name}.LayerNorm.weight"),
            Vector(graph, checkpoint, $"{Name}.LayerNorm.bias"),
        ];
        if (config.Family == ModelFamily.Roberta)
        {
            inputs.AddRange(["", RobertaPositions(graph, config, ids)]); // no mask; positions. BERT's are 0, 1, 2, ..., the operator's own
        }

        return graph.ContribNode([HiddenState(0), $"{Name}.tokens"], "EmbedLayerNormalization", inputs, ("epsilon", (float)config.LayerNormEpsilon)); // (B, T, H)
    }

    /// <summary>RoBERTa counts positions from pad + 1 over the tokens that are not padding; padding has position pad.</summary>
    private static string RobertaPositions(OnnxGraph graph, EncoderConfig config, string ids)
    {
        string pad = graph.Scalar("pad", config.PadTokenId);
        string isToken = graph.Node("positions.is_token", "Cast",
            [graph.Node("positions.is_not_pad", "Not", [graph.Node("positions.is_pad", "Equal", [ids, pad])])], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T)
        string count = graph.Node("positions.count", "CumSum", [isToken, graph.Scalar("positions.axis", 1)]); // 1, 2, 3, ..., n, n, n
        return graph.Node("positions", "Add", [graph.Node("positions.from_one", "Mul", [count, isToken]), pad]); // (B, T)
    }

    /// <summary>One layer: x ← LayerNorm(x + Attention(x)), x ← LayerNorm(x + W₂ gelu(W₁ x)).</summary>
    private static string Layer(OnnxGraph graph, Checkpoint checkpoint, int layer, string x, string mask)
    {
        EncoderConfig config = checkpoint.Config;
        int h = config.HiddenSize;
        string name = $"encoder.layer.{layer}";
        string self = $"{name}.attention.self";

        // The operator multiplies by the three matrices at once: columns query, key, value.
        float[] weights = new float[3 * h * h]; // (H, 3H)
        for (int part = 0; part < s_projections.Length; part++)
        {
            Transpose(checkpoint.ReadEncoderTensor($"{self}.{s_projections[part]}.weight"), h, h, weights.AsSpan(part * h), 3 * h);
        }

        string attended = graph.ContribNode($"{self}.output", "Attention",
            [x, graph.Weight($"{self}.qkv.weight", weights, h, 3 * h), ProjectionBiases(graph, checkpoint, self), mask],
            ("num_heads", config.Heads), ("mask_filter_value", float.MinValue)); // (B, T, H)
        return AfterAttention(graph, checkpoint, layer, x, attended);
    }

    /// <summary>
    /// The last layer where only [CLS] is read: keys and values of every token, everything else of the first alone. The same
    /// numbers as <see cref="Layer"/> gives at position 0.
    /// </summary>
    private static string FirstTokenOfLayer(OnnxGraph graph, Checkpoint checkpoint, int layer, string x, string mask)
    {
        EncoderConfig config = checkpoint.Config;
        int h = config.HiddenSize;
        string self = $"encoder.layer.{layer}.attention.self";
        string first = graph.Node($"{self}.first", "Slice", [x, graph.Integers($"{self}.first.start", 0), graph.Integers($"{self}.first.end", 1), graph.Integers($"{self}.first.axis", 1)]); // (B, 1, H)
        string attended = graph.ContribNode($"{self}.output", "MultiHeadAttention",
            [
                graph.Node($"{self}.query", "MatMul", [first, Matrix(graph, checkpoint, $"{self}.query.weight", h, h)]), // (B, 1, H)
                graph.Node($"{self}.key", "MatMul", [x, Matrix(graph, checkpoint, $"{self}.key.weight", h, h)]), // (B, T, H)
                graph.Node($"{self}.value", "MatMul", [x, Matrix(graph, checkpoint, $"{self}.value.weight", h, h)]), // (B, T, H)
                ProjectionBiases(graph, checkpoint, self),
                mask,
            ],
            ("num_heads", config.Heads), ("mask_filter_value", float.MinValue)); // (B, 1, H)
        return AfterAttention(graph, checkpoint, layer, first, attended);
    }

    private static string ProjectionBiases(OnnxGraph graph, Checkpoint checkpoint, string self)
    {
        float[] biases = [.. s_projections.SelectMany(projection => checkpoint.ReadEncoderTensor($"{self}.{projection}.bias"))]; // (3H)
        return graph.Weight($"{self}.qkv.bias", biases, biases.Length);
    }

    /// <summary>What follows attention in a layer: its output projection, and the two linear layers with GELU between, each added to its input and normalised.</summary>
    private static string AfterAttention(OnnxGraph graph, Checkpoint checkpoint, int layer, string x, string attended)
    {
        EncoderConfig config = checkpoint.Config;
        int h = config.HiddenSize;
        string name = $"encoder.layer.{layer}";
        x = AddAndNormalize(graph, checkpoint, $"{name}.attention.output",
            graph.Node($"{name}.attention.output.product", "MatMul", [attended, Matrix(graph, checkpoint, $"{name}.attention.output.dense.weight", h, h)]), x); // (B, T, H)

        string inner = graph.Node($"{name}.intermediate.product", "MatMul", [x, Matrix(graph, checkpoint, $"{name}.intermediate.dense.weight", config.IntermediateSize, h)]); // (B, T, I)
        inner = graph.ContribNode($"{name}.intermediate.gelu", "BiasGelu", [inner, Vector(graph, checkpoint, $"{name}.intermediate.dense.bias")]); // (B, T, I), by erf
        string outer = graph.Node($"{name}.output.product", "MatMul", [inner, Matrix(graph, checkpoint, $"{name}.output.dense.weight", h, config.IntermediateSize)]); // (B, T, H)
        return AddAndNormalize(graph, checkpoint, $"{name}.output", outer, x, HiddenState(layer + 1));
    }

    /// <summary>LayerNorm(residual + product + bias).</summary>
    private static string AddAndNormalize(OnnxGraph graph, Checkpoint checkpoint, string name, string product, string residual, string? output = null) =>
        graph.ContribNode(output ?? name, "SkipLayerNormalization",
            [product, residual, Vector(graph, checkpoint, $"{name}.LayerNorm.weight"), Vector(graph, checkpoint, $"{name}.LayerNorm.bias"), Vector(graph, checkpoint, $"{name}.dense.bias")],
            ("epsilon", (float)checkpoint.Config.LayerNormEpsilon));

    /// <summary>The mean over tokens of the average of the layers given.</summary>
    private static string Mean(OnnxGraph graph, string mask, params ReadOnlySpan<string> layers)
    {
        string ones = graph.Node("mean.mask", "Cast", [mask], ("to", (int)TensorProto.Types.DataType.Float)); // (B, T)
        string axis = graph.Integers("mean.axis", 1);
        string shares = graph.Node("mean.shares", "Div", [ones, graph.Node("mean.tokens", "ReduceSum", [ones, axis])]); // (B, T), 1 / tokens or 0
        string x = layers[0];
        if (layers.Length == 2)
        {
            string half = graph.Scalar("mean.half", 0.5f);
            x = graph.Node("mean.of_layers", "Mul", [graph.Node("mean.sum_of_layers", "Add", [layers[0], layers[1]]), half]); // (B, T, H)
        }

        string product = graph.Node("mean.product", "MatMul", [graph.Node("mean.row", "Unsqueeze", [shares, axis]), x]); // (B, 1, T) · (B, T, H) = (B, 1, H)
        return graph.Node("pooled", "Squeeze", [product, axis]); // (B, H)
    }

    private static string Head(OnnxGraph graph, DenseHead head, string vector)
    {
        string y = graph.Node("head.linear", "Gemm",
            [vector, graph.Weight("head.weight", head.Weight, head.OutFeatures, head.InFeatures), graph.Weight("head.bias", head.Bias, head.OutFeatures)], ("transB", 1));
        return head.Tanh ? graph.Node("head.tanh", "Tanh", [y]) : y;
    }

    private static string Vector(OnnxGraph graph, Checkpoint checkpoint, string name)
    {
        float[] values = checkpoint.ReadEncoderTensor(name);
        return graph.Weight(name, values, values.Length);
    }

    /// <summary>A linear layer's matrix, (out, in) in the file, as a product from the right wants it: (in, out).</summary>
    private static string Matrix(OnnxGraph graph, Checkpoint checkpoint, string name, int outFeatures, int inFeatures)
    {
        float[] transposed = new float[(long)outFeatures * inFeatures];
        Transpose(checkpoint.ReadEncoderTensor(name), outFeatures, inFeatures, transposed, outFeatures);
        return graph.Weight(name, transposed, inFeatures, outFeatures);
    }

    private static void Transpose(ReadOnlySpan<float> source, int rows, int columns, Span<float> target, int targetStride)
    {
        // In tiles, so that both sides stay in the first cache.
        const int Tile = 32;
        for (int rowTile = 0; rowTile < rows; rowTile += Tile)
        {
            for (int columnTile = 0; columnTile < columns; columnTile += Tile)
            {
                int lastRow = Math.Min(rowTile + Tile, rows);
                int lastColumn = Math.Min(columnTile + Tile, columns);
                for (int column = columnTile; column < lastColumn; column++)
                {
                    for (int row = rowTile; row < lastRow; row++)
                    {
                        target[(column * targetStride) + row] = source[(row * columns) + column];
                    }
                }
            }
        }
    }
}
