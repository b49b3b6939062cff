using SimCse.Checkpoints;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// The encoder of BERT and RoBERTa (Devlin et al. 2019; Liu et al. 2019) over packed rows, with Hugging Face's arithmetic: exact (erf) GELU,
/// post-layer-norm, dropout on the embeddings, the attention probabilities and both sub-layer outputs.
/// </summary>
public sealed class Encoder
{
    private readonly EncoderConfig _config;
    private readonly ParameterSet _parameters;

    /// <summary>An encoder over the tensors that <see cref="EncoderTensors"/> names.</summary>
    public Encoder(EncoderConfig config, ParameterSet parameters)
    {
        _config = config;
        _parameters = parameters;
    }

    /// <summary>In which numbers the linear layers multiply.</summary>
    public Precision Precision { get; init; }

    /// <summary>What the encoder gives of a batch: (T, H) a layer, [0] the output of the embeddings; where only [CLS] was asked for, the last is (R, H).</summary>
    public sealed record Output(IReadOnlyList<Tensor> Hidden, bool LastIsFirstTokenOnly);

    /// <summary>Runs the batch through all layers.</summary>
    /// <param name="batch">R rows, T tokens.</param>
    /// <param name="masks">The noise of this pass; null in evaluation.</param>
    /// <param name="lastLayerAtFirstToken">
    /// Where pooling reads nothing of the last layer but [CLS]: its queries, projections and feed-forward are computed there alone, (R, H).
    /// </param>
    public Output Forward(PackedBatch batch, DropoutMasks? masks, bool lastLayerAtFirstToken)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int site = 0;
        Tensor x = Embed(batch); // (T, H)
        x = Drop(x, masks, _config.HiddenDropout, site++, batch.TokenParts, _config.HiddenSize);
        List<Tensor> hidden = [x];
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            bool firstOnly = lastLayerAtFirstToken && layer == _config.Layers - 1;
            x = Layer(x, $"encoder.layer.{layer}.", batch, masks, ref site, firstOnly); // (T, H), or (R, H)
            hidden.Add(x);
        }

        return new Output(hidden, lastLayerAtFirstToken);
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

    private Tensor Linear(Tensor x, string name) => Precision.Linear(x, P(name + ".weight"), P(name + ".bias"));

    private Tensor Norm(Tensor x, string name) =>
        nn.functional.layer_norm(x, [_config.HiddenSize], P(name + ".weight"), P(name + ".bias"), _config.LayerNormEpsilon);

    private Tensor P(string name) => _parameters[name];
}
