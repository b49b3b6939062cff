using SimCse.Checkpoints;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>The encoder in libtorch's operations, with libtorch's gradients: what runs on a GPU, and what <see cref="NativeEncoder"/> is checked against.</summary>
public sealed class AutogradEncoder : IEncoder
{
    private readonly EncoderConfig _config;
    private readonly ParameterSet _parameters;
    private readonly string _prefix;
    private readonly Precision _precision;

    /// <summary>An encoder over the tensors that <see cref="EncoderTensors"/> names.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="parameters">Read at every pass, on whatever device they are.</param>
    /// <param name="precision">In which numbers the linear layers multiply.</param>
    /// <param name="prefix">What stands before the names of its tensors in the set.</param>
    public AutogradEncoder(EncoderConfig config, ParameterSet parameters, Precision precision = Precision.Fp32, string prefix = "")
    {
        _config = config;
        _parameters = parameters;
        _prefix = prefix;
        _precision = precision;
    }

    /// <inheritdoc/>
    public EncoderPass Forward(PackedBatch batch, DropoutMasks? masks, IReadOnlyCollection<int> layers, bool lastLayerAtFirstToken, bool forGradient)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(layers);
        using IDisposable mode = set_grad_enabled(forGradient);
        int site = 0;
        Tensor x = Embed(batch); // (T, H)
        x = Drop(x, masks, _config.HiddenDropout, site++, batch.TokenParts, _config.HiddenSize);
        Dictionary<int, Tensor> hidden = [];
        for (int layer = 0; layer <= _config.Layers; layer++)
        {
            if (layer > 0)
            {
                x = Layer(x, EncoderTensors.LayerPrefix(layer - 1), batch, masks, ref site, lastLayerAtFirstToken && layer == _config.Layers); // (T, H), or (R, H)
            }

            if (layers.Contains(layer))
            {
                hidden.Add(layer, x);
            }
        }

        Dictionary<int, Tensor> leaves = hidden.ToDictionary(h => h.Key, h => h.Value.detach().requires_grad_(forGradient));
        return new EncoderPass(leaves, lastLayerAtFirstToken, forGradient ? Backward : null);

        void Backward(IReadOnlyDictionary<int, Tensor> gradients, Action<int>? layerDone)
        {
            int[] reached = [.. gradients.Keys];
            autograd.backward([.. reached.Select(l => hidden[l])], [.. reached.Select(l => gradients[l])]);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        // the tensors of a pass belong to the caller's dispose scope, the parameters to their set
    }

    private Tensor Embed(PackedBatch batch)
    {
        Tensor x = P("embeddings.word_embeddings.weight").index_select(0, batch.Ids); // (T, H)
        x = x.Plus(P("embeddings.position_embeddings.weight").index_select(0, batch.Positions)); // (T, H)
        x = x.Plus(P("embeddings.token_type_embeddings.weight")[0]); // one segment: type 0 everywhere
        return Norm(x, "embeddings.LayerNorm");
    }

    private Tensor Layer(Tensor x, string name, PackedBatch batch, DropoutMasks? masks, ref int site, bool firstOnly)
    {
        Tensor at = firstOnly ? x.index_select(0, batch.First) : x; // (T, H), or (R, H): where the layer's output is read
        IReadOnlyList<(int Row, int Length)> parts = firstOnly ? [.. batch.TokenParts.Select(p => (p.Row, 1))] : batch.TokenParts;

        Tensor context = Attention(
            Linear(at, name + "attention.self.query"), Linear(x, name + "attention.self.key"), Linear(x, name + "attention.self.value"),
            batch, masks, site++, firstOnly); // as `at`
        Tensor attended = Drop(Linear(context, name + "attention.output.dense"), masks, _config.HiddenDropout, site++, parts, _config.HiddenSize);
        at = Norm(attended.Plus(at), name + "attention.output.LayerNorm");

        Tensor inner = nn.functional.gelu(Linear(at, name + "intermediate.dense")); // (·, I)
        Tensor output = Drop(Linear(inner, name + "output.dense"), masks, _config.HiddenDropout, site++, parts, _config.HiddenSize); // (·, H)
        return Norm(output.Plus(at), name + "output.LayerNorm");
    }

    /// <summary>softmax(Q Kᵀ / √d) V in groups of rows of one length; A heads of d = H/A.</summary>
    private Tensor Attention(Tensor query, Tensor key, Tensor value, PackedBatch batch, DropoutMasks? masks, int site, bool firstOnly)
    {
        int heads = _config.Heads, width = _config.HiddenSize / heads;
        double scale = 1 / Math.Sqrt(width);
        long[] queries = [.. batch.Groups.Select(g => (long)g.Rows * (firstOnly ? 1 : g.Length))], tokens = [.. batch.Groups.Select(g => (long)g.Rows * g.Length)];
        Tensor[] q = query.split(queries), k = key.split(tokens), v = value.split(tokens);
        Tensor[] context = new Tensor[batch.Groups.Count];
        int firstRow = 0;
        for (int g = 0; g < context.Length; g++)
        {
            (int rows, int length) = batch.Groups[g];
            int asked = firstOnly ? 1 : length; // L', the queries of a row
            Tensor scores = Heads(q[g].Times(scale), rows, asked).bmm(Heads(k[g], rows, length).transpose(1, 2)); // (n·A, L', L)
            Tensor probabilities = nn.functional.softmax(scores, -1);
            if (masks is not null && _config.AttentionDropout > 0)
            {
                probabilities = masks.Apply(probabilities, _config.AttentionDropout, site, [.. Enumerable.Range(firstRow, rows).Select(r => (batch.Order[r], heads * asked * length))]);
            }

            context[g] = probabilities.bmm(Heads(v[g], rows, length)) // (n·A, L', d)
                .view(rows, heads, asked, width).transpose(1, 2).reshape((long)rows * asked, _config.HiddenSize); // (n·L', H)
            firstRow += rows;
        }

        return cat(context); // (T, H), or (R, H)

        Tensor Heads(Tensor x, int rows, int length) => // (n·L, H) to (n·A, L, d)
            x.view(rows, length, heads, width).transpose(1, 2).reshape((long)rows * heads, length, width);
    }

    private static Tensor Drop(Tensor x, DropoutMasks? masks, double p, int site, IReadOnlyList<(int Row, int Length)> parts, int width) =>
        masks is null || p == 0 ? x : masks.Apply(x, p, site, [.. parts.Select(part => (part.Row, part.Length * width))]);

    private Tensor Linear(Tensor x, string name) => _precision.Linear(x, P(name + ".weight"), P(name + ".bias"));

    private Tensor Norm(Tensor x, string name) =>
        nn.functional.layer_norm(x, [_config.HiddenSize], P(name + ".weight"), P(name + ".bias"), _config.LayerNormEpsilon);

    private Tensor P(string name) => _parameters[_prefix + name];
}
