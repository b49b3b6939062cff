using System.Globalization;
using System.Numerics.Tensors;
using Onnx;
using SimCse.Checkpoints;

namespace SimCse.Inference;

/// <summary>
/// A checkpoint as an ONNX graph from token ids to sentence vectors: embeddings, layers, pooling, head and normalisation. Written
/// with ONNX Runtime's fused operators where they are the faster ones. B texts, T tokens (padding on the right), H components.
/// </summary>
/// <remarks>
/// Arithmetic of BERT (Devlin et al. 2019) and RoBERTa (Liu et al. 2019) as in Hugging Face's transformers: layer norm after the
/// residual, GELU by the error function, learned positions. With <see cref="OnnxPrecision.Int8"/> the products of the layers are of 8-bit
/// integers: weights have a scale a column, activations a scale a row, that is a token (its largest component is 127), so that a
/// token's numbers do not depend on what else is in the batch.
/// </remarks>
internal sealed class EncoderGraph
{
    public const string InputIds = "input_ids";
    public const string AttentionMask = "attention_mask";
    public const string SentenceEmbedding = "sentence_embedding";
    public const string LastHiddenState = "last_hidden_state";

    private static readonly string[] s_projections = ["query", "key", "value"];

    private readonly Checkpoint _checkpoint;
    private readonly EncoderConfig _config;
    private readonly OnnxPrecision _precision;
    private readonly OnnxGraph _graph;
    private float[] _stored = [];
    private float[] _matrix = [];

    private EncoderGraph(Checkpoint checkpoint, OnnxPrecision precision)
    {
        _checkpoint = checkpoint;
        _config = checkpoint.Config;
        _precision = precision;
        _graph = new OnnxGraph(halfWeights: precision == OnnxPrecision.Fp16);
    }

    /// <summary>Builds the graph; reads every tensor of the encoder once.</summary>
    /// <param name="checkpoint">BERT or RoBERTa.</param>
    /// <param name="pooling">How token vectors become one.</param>
    /// <param name="head">The dense module over the pooled vector, or null for none.</param>
    /// <param name="normalize">Whether the vectors are scaled to length one.</param>
    /// <param name="precision">How weights are stored and products computed.</param>
    /// <param name="dimensions">The components that are kept of a vector, the first ones; null for all.</param>
    /// <param name="tokenVectors">Whether the last layer is an output too (<see cref="LastHiddenState"/>); then it is computed for every token.</param>
    public static OnnxGraph Build(
        Checkpoint checkpoint, Pooling pooling, DenseHead? head, bool normalize, OnnxPrecision precision = OnnxPrecision.Fp32, int? dimensions = null, bool tokenVectors = false) =>
        new EncoderGraph(checkpoint, precision).Build(pooling, head, normalize, dimensions, tokenVectors);

    /// <summary>The name of hidden_states[<paramref name="index"/>] in the graph: 0 is the embeddings' output, i the output of layer i - 1.</summary>
    public static string HiddenState(int index) => $"hidden.{index}";

    private OnnxGraph Build(Pooling pooling, DenseHead? head, bool normalize, int? dimensions, bool tokenVectors)
    {
        string ids = _graph.Node("ids", "Cast", [_graph.Input(InputIds, "batch", "sequence")], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T)
        string mask = _graph.Node("mask", "Cast", [_graph.Input(AttentionMask, "batch", "sequence")], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T), 1 = a token

        bool onlyFirstIsRead = pooling is Pooling.Cls or Pooling.ClsBeforePooler && !tokenVectors;
        List<string> hidden = [Embeddings(ids)]; // (B, T, H)
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            hidden.Add(onlyFirstIsRead && layer == _config.Layers - 1
                ? FirstTokenOfLayer(layer, hidden[^1], mask) // (B, 1, H)
                : Layer(layer, hidden[^1], mask)); // (B, T, H)
        }

        string vector = pooling switch // (B, H)
        {
            Pooling.Cls or Pooling.ClsBeforePooler => _graph.Node("pooled", "Gather", [hidden[^1], _graph.Scalar("pooled.first", 0)], ("axis", 1)),
            Pooling.Avg => Mean(mask, hidden[^1]),
            Pooling.AvgTop2 => Mean(mask, hidden[^2], hidden[^1]),
            Pooling.AvgFirstLast => Mean(mask, hidden[1], hidden[^1]),
            Pooling.StaticFirstLast => Mean(mask, hidden[0], hidden[^1]),
            _ => throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "not a pooling"),
        };
        int components = _config.HiddenSize;
        if (head is not null)
        {
            vector = Head(head, vector); // (B, head.OutFeatures)
            components = head.OutFeatures;
        }

        if (dimensions < components)
        {
            components = dimensions.Value;
            vector = _graph.Node("shortened", "Slice", [vector, _graph.Integers("shortened.start", 0), _graph.Integers("shortened.end", components), _graph.Integers("shortened.axis", 1)]);
        }

        if (normalize)
        {
            vector = _graph.Node("normalized", "LpNormalization", [vector], ("axis", 1), ("p", 2));
        }

        // What transformers.js pools itself comes first: it takes the first output that it knows.
        if (tokenVectors)
        {
            _graph.Node(LastHiddenState, "Identity", [hidden[^1]]);
            _graph.Output(LastHiddenState, "batch", "sequence", _config.HiddenSize.ToString(CultureInfo.InvariantCulture));
        }

        _graph.Node(SentenceEmbedding, "Identity", [vector]);
        _graph.Output(SentenceEmbedding, "batch", components.ToString(CultureInfo.InvariantCulture));
        return _graph;
    }

    private string Embeddings(string ids)
    {
        int h = _config.HiddenSize;

        // A single text has token type 0 throughout: that row of the type table is added to every position once, here.
        float[] positions = _checkpoint.ReadEncoderTensor("embeddings.position_embeddings.weight"); // (P, H)
        ReadOnlySpan<float> type = _checkpoint.ReadEncoderTensor("embeddings.token_type_embeddings.weight").AsSpan(0, h); // (H)
        for (int at = 0; at < positions.Length; at += h)
        {
            TensorPrimitives.Add(positions.AsSpan(at, h), type, positions.AsSpan(at, h));
        }

        const string Name = "embeddings";
        string table = _graph.Weight($"{Name}.position_and_type", positions, _config.MaxPositions, h);
        string position = _config.Family == ModelFamily.Roberta
            ? _graph.Node($"{Name}.positions", "Gather", [table, RobertaPositions(ids)]) // (B, T, H)
            : _graph.Node($"{Name}.positions", "Slice",
                [table, _graph.Integers($"{Name}.start", 0), _graph.Node($"{Name}.length", "Shape", [ids], ("start", 1), ("end", 2)), _graph.Integers($"{Name}.axis", 0)]); // (T, H)
        return LayerNormalization(HiddenState(0), _graph.Node($"{Name}.sum", "Add", [Words($"{Name}.word_embeddings", ids), position]), Name); // (B, T, H)
    }

    /// <summary>The rows of the table of words, (B, T, H); with <see cref="OnnxPrecision.Int8"/> in 8 bits with a scale a word: most of a small model's size is this table.</summary>
    private string Words(string name, string ids)
    {
        int h = _config.HiddenSize;
        float[] words = _checkpoint.ReadEncoderTensor($"{name}.weight"); // (V, H)
        if (_precision != OnnxPrecision.Int8)
        {
            return _graph.Node($"{name}.words", "Gather", [_graph.Weight($"{name}.weight", words, _config.VocabularySize, h), ids]); // (B, T, H)
        }

        Int8Matrix table = Int8Matrix.ScaledByRow(words, _config.VocabularySize, h);
        string rows = _graph.Node($"{name}.rows", "Gather", [_graph.Weight($"{name}.int8", table.Values, _config.VocabularySize, h), ids]); // (B, T, H)
        string scales = _graph.Node($"{name}.scales", "Gather", [_graph.Weight($"{name}.scale", table.Scales, _config.VocabularySize, 1), ids]); // (B, T, 1)
        return _graph.Node($"{name}.words", "Mul", [_graph.Node($"{name}.rows_as_float", "Cast", [rows], ("to", (int)TensorProto.Types.DataType.Float)), scales]); // (B, T, H)
    }

    /// <summary>RoBERTa counts positions from pad + 1 over the tokens that are not padding; padding has position pad.</summary>
    private string RobertaPositions(string ids)
    {
        string pad = _graph.Scalar("pad", _config.PadTokenId);
        string isToken = _graph.Node("positions.is_token", "Cast",
            [_graph.Node("positions.is_not_pad", "Not", [_graph.Node("positions.is_pad", "Equal", [ids, pad])])], ("to", (int)TensorProto.Types.DataType.Int32)); // (B, T)
        string count = _graph.Node("positions.count", "CumSum", [isToken, _graph.Scalar("positions.axis", 1)]); // 1, 2, 3, ..., n, n, n
        return _graph.Node("positions", "Add", [_graph.Node("positions.from_one", "Mul", [count, isToken]), pad]); // (B, T)
    }

    /// <summary>One layer: x ← LayerNorm(x + Attention(x)), x ← LayerNorm(x + W₂ gelu(W₁ x)).</summary>
    private string Layer(int layer, string x, string mask)
    {
        int h = _config.HiddenSize;
        string self = $"encoder.layer.{layer}.attention.self";
        string[] weights = [.. s_projections.Select(projection => $"{self}.{projection}.weight")]; // query, key, value at once
        (string, object)[] attributes = [("num_heads", _config.Heads), ("mask_filter_value", float.MinValue)];
        string attended;
        if (_precision == OnnxPrecision.Int8)
        {
            string product = Product($"{self}.product", x, $"{self}.qkv.weight", h, h, weights); // (B, T, 3H)
            string[] parts = _graph.Node([.. s_projections.Select(projection => $"{self}.{projection}")], "Split", [product], ("axis", -1)); // 3 × (B, T, H)
            attended = _graph.ContribNode($"{self}.output", "MultiHeadAttention", [.. parts, ProjectionBiases(self), mask], attributes); // (B, T, H)
        }
        else
        {
            attended = _graph.ContribNode($"{self}.output", "Attention",
                [x, _graph.Weight($"{self}.qkv.weight", Matrix(h, h, weights), h, 3 * h), ProjectionBiases(self), mask], attributes); // (B, T, H)
        }

        return AfterAttention(layer, x, attended);
    }

    /// <summary>
    /// The last layer where only [CLS] is read: keys and values of every token, everything else of the first alone. The same
    /// numbers as <see cref="Layer"/> gives at position 0.
    /// </summary>
    private string FirstTokenOfLayer(int layer, string x, string mask)
    {
        string self = $"encoder.layer.{layer}.attention.self";
        string first = _graph.Node($"{self}.first", "Slice", [x, _graph.Integers($"{self}.first.start", 0), _graph.Integers($"{self}.first.end", 1), _graph.Integers($"{self}.first.axis", 1)]); // (B, 1, H)
        string attended = _graph.ContribNode($"{self}.output", "MultiHeadAttention",
            [
                Product($"{self}.query", first, $"{self}.query.weight"), // (B, 1, H)
                Product($"{self}.key", x, $"{self}.key.weight"), // (B, T, H)
                Product($"{self}.value", x, $"{self}.value.weight"), // (B, T, H)
                ProjectionBiases(self),
                mask,
            ],
            ("num_heads", _config.Heads), ("mask_filter_value", float.MinValue)); // (B, 1, H)
        return AfterAttention(layer, first, attended);

        string Product(string output, string input, string name) => this.Product(output, input, name, _config.HiddenSize, _config.HiddenSize, name);
    }

    private string ProjectionBiases(string self)
    {
        float[] biases = [.. s_projections.SelectMany(projection => _checkpoint.ReadEncoderTensor($"{self}.{projection}.bias"))]; // (3H)
        return _graph.Weight($"{self}.qkv.bias", biases, biases.Length);
    }

    /// <summary>What follows attention in a layer: its output projection, and the two linear layers with GELU between, each added to its input and normalised.</summary>
    private string AfterAttention(int layer, string x, string attended)
    {
        int h = _config.HiddenSize;
        int i = _config.IntermediateSize;
        string name = $"encoder.layer.{layer}";
        x = AddAndNormalize($"{name}.attention.output", Product($"{name}.attention.output.dense.weight", attended, h, h), x); // (B, T, H)

        string inner = Product($"{name}.intermediate.dense.weight", x, i, h); // (B, T, I)
        inner = _graph.ContribNode($"{name}.intermediate.gelu", "BiasGelu", [inner, Vector($"{name}.intermediate.dense.bias")]); // (B, T, I), by erf
        string outer = Product($"{name}.output.dense.weight", inner, h, i); // (B, T, H)
        return AddAndNormalize($"{name}.output", outer, x, HiddenState(layer + 1));

        string Product(string weight, string input, int outFeatures, int inFeatures) =>
            this.Product($"{weight}.product", input, weight, outFeatures, inFeatures, weight);
    }

    /// <summary>LayerNorm(product + residual + bias).</summary>
    /// <remarks>In three nodes: SkipLayerNormalization, which is all of it in one, takes five times as long (ONNX Runtime 1.31 sums a row there number by number, with a division for each).</remarks>
    private string AddAndNormalize(string name, string product, string residual, string? output = null)
    {
        string sum = _graph.Node($"{name}.sum", "Add", [product, residual]); // (B, T, H)
        return LayerNormalization(output ?? name, _graph.Node($"{name}.sum_with_bias", "Add", [sum, Vector($"{name}.dense.bias")]), name);
    }

    private string LayerNormalization(string output, string x, string name) =>
        _graph.Node(output, "LayerNormalization", [x, Vector($"{name}.LayerNorm.weight"), Vector($"{name}.LayerNorm.bias")], ("axis", -1), ("epsilon", (float)_config.LayerNormEpsilon));

    /// <summary>x Wᵀ, linear layers over the same input without their biases, side by side.</summary>
    /// <param name="output">The product's name.</param>
    /// <param name="x">(B, T, in).</param>
    /// <param name="name">The weight's name in the graph.</param>
    /// <param name="outFeatures">out, of each layer.</param>
    /// <param name="inFeatures">in.</param>
    /// <param name="layers">The layers' weights W, each (out, in), in the checkpoint.</param>
    private string Product(string output, string x, string name, int outFeatures, int inFeatures, params string[] layers)
    {
        int columns = outFeatures * layers.Length;
        if (_precision != OnnxPrecision.Int8)
        {
            return _graph.Node(output, "MatMul", [x, _graph.Weight(name, Matrix(outFeatures, inFeatures, layers), inFeatures, columns)]); // (B, T, columns)
        }

        Span<float> matrix = Scratch(ref _matrix, inFeatures * columns);
        ReadTransposed(layers, outFeatures, inFeatures, matrix);
        return Int8Product(output, x, name, Int8Matrix.ScaledByColumn(matrix, inFeatures, columns), columns, inFeatures);
    }

    /// <summary>
    /// The product in 8-bit integers. A row of x is divided by its largest magnitude m and rounded to the 255 steps from −127/127 to 127/127, which are stored
    /// around 128 because the fast kernels want the left side unsigned; what the integers give is scaled back by the column's scale and by m.
    /// </summary>
    private string Int8Product(string output, string x, string name, Int8Matrix matrix, int outFeatures, int inFeatures)
    {
        const float Step = 1f / Int8Matrix.Largest;
        long[] last = [-1];
        string magnitude = _graph.Node($"{output}.magnitude", "ReduceMax", [_graph.Node($"{output}.absolute", "Abs", [x])], ("axes", last), ("keepdims", 1)); // (B, T, 1)
        magnitude = _graph.Node($"{output}.magnitude_above_0", "Max", [magnitude, _graph.Scalar($"{output}.least", 1e-30f)]); // a row of zeros stays one
        string steps = _graph.Scalar($"{output}.step", Step);
        string zero = _graph.Scalar($"{output}.zero", (byte)128);
        string rows = _graph.Node($"{output}.rows", "QuantizeLinear", [_graph.Node($"{output}.unit_rows", "Div", [x, magnitude]), steps, zero]); // (B, T, in)
        string product = _graph.ContribNode($"{output}.of_unit_rows", "MatMulIntegerToFloat",
            [rows, _graph.Weight($"{name}.int8", matrix.Values, inFeatures, outFeatures), steps, _graph.Weight($"{name}.scale", matrix.Scales, outFeatures), zero]); // (B, T, out)
        return _graph.Node(output, "Mul", [product, magnitude]); // (B, T, out)
    }

    /// <summary>The mean over tokens of the average of the layers given.</summary>
    private string Mean(string mask, params ReadOnlySpan<string> layers)
    {
        string ones = _graph.Node("mean.mask", "Cast", [mask], ("to", (int)TensorProto.Types.DataType.Float)); // (B, T)
        string axis = _graph.Integers("mean.axis", 1);
        string shares = _graph.Node("mean.shares", "Div", [ones, _graph.Node("mean.tokens", "ReduceSum", [ones, axis])]); // (B, T), 1 / tokens or 0
        string x = layers[0];
        if (layers.Length == 2)
        {
            string half = _graph.Scalar("mean.half", 0.5f);
            x = _graph.Node("mean.of_layers", "Mul", [_graph.Node("mean.sum_of_layers", "Add", [layers[0], layers[1]]), half]); // (B, T, H)
        }

        string product = _graph.Node("mean.product", "MatMul", [_graph.Node("mean.row", "Unsqueeze", [shares, axis]), x]); // (B, 1, T) · (B, T, H) = (B, 1, H)
        return _graph.Node("pooled", "Squeeze", [product, axis]); // (B, H)
    }

    private string Head(DenseHead head, string vector)
    {
        string y = _graph.Node("head.linear", "Gemm",
            [vector, _graph.Weight("head.weight", head.Weight, head.OutFeatures, head.InFeatures), _graph.Weight("head.bias", head.Bias, head.OutFeatures)], ("transB", 1));
        return head.Tanh ? _graph.Node("head.tanh", "Tanh", [y]) : y;
    }

    private string Vector(string name)
    {
        float[] values = _checkpoint.ReadEncoderTensor(name);
        return _graph.Weight(name, values, values.Length);
    }

    /// <summary>The weights of linear layers side by side, (in, out · layers): linear layers are stored (out, in), a product from the right wants (in, out).</summary>
    private float[] Matrix(int outFeatures, int inFeatures, string[] layers)
    {
        float[] matrix = GC.AllocateUninitializedArray<float>(inFeatures * outFeatures * layers.Length);
        ReadTransposed(layers, outFeatures, inFeatures, matrix);
        return matrix;
    }

    private void ReadTransposed(string[] layers, int outFeatures, int inFeatures, Span<float> target)
    {
        // What is only passed through lies in the same memory every time: memory that is new costs more than the copy.
        Span<float> stored = Scratch(ref _stored, outFeatures * inFeatures);
        for (int layer = 0; layer < layers.Length; layer++)
        {
            _checkpoint.ReadTensor(_checkpoint.NameInFile(layers[layer]), stored);
            Transpose(stored, outFeatures, inFeatures, target[(layer * outFeatures)..], outFeatures * layers.Length);
        }
    }

    /// <summary>A matrix (rows, columns) as (columns, rows), in rows that lie <paramref name="stride"/> apart.</summary>
    private static void Transpose(ReadOnlySpan<float> source, int rows, int columns, Span<float> target, int stride)
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
                        target[(column * stride) + row] = source[(row * columns) + column];
                    }
                }
            }
        }
    }

    private static Span<float> Scratch(ref float[] memory, int length)
    {
        if (memory.Length < length)
        {
            memory = GC.AllocateUninitializedArray<float>(length);
        }

        return memory.AsSpan(0, length);
    }
}
