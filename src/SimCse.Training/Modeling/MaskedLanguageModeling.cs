using SimCse.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// Masked-language modelling over packed rows: cross-entropy of the masked tokens from the last layer through the prediction head
/// (linear, GELU, layer norm, and a decoder that is the word embeddings themselves unless it has weights of its own).
/// </summary>
public sealed class MaskedLanguageModeling
{
    private const string Prefix = "lm_head.";

    private readonly SimCseModel _model;

    private MaskedLanguageModeling(SimCseModel model) => _model = model;

    internal static MaskedLanguageModeling Create(SimCseModel model, MaskedLanguageHead? stored, long seed)
    {
        int width = model.Config.HiddenSize, vocabulary = model.Config.VocabularySize;
        ParameterSet parameters = model.Parameters;
        parameters.Add(Prefix + "transform.dense.weight", stored?.DenseWeight ?? new CounterRandom(seed, 2).Normal(width * width, model.Config.InitializerRange), width, width);
        parameters.Add(Prefix + "transform.dense.bias", stored?.DenseBias ?? new float[width], width);
        parameters.Add(Prefix + "transform.LayerNorm.weight", stored?.NormWeight ?? [.. Enumerable.Repeat(1f, width)], width);
        parameters.Add(Prefix + "transform.LayerNorm.bias", stored?.NormBias ?? new float[width], width);
        parameters.Add(Prefix + "bias", stored?.DecoderBias ?? new float[vocabulary], vocabulary);
        if (stored?.DecoderWeight is { } decoder)
        {
            parameters.Add(Prefix + "decoder.weight", decoder, vocabulary, width);
        }

        return new MaskedLanguageModeling(model);
    }

    /// <summary>The mean cross-entropy over the masked tokens of a batch; zero where nothing is masked.</summary>
    /// <param name="batch">The rows with their masks in place.</param>
    /// <param name="labels">For each row of the batch (its own order) the positions that are predicted and the token each really is.</param>
    public double Loss(PackedBatch batch, IReadOnlyList<IReadOnlyList<(int Position, int Token)>> labels)
    {
        using IDisposable noGradient = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int masked = labels.Sum(l => l.Count);
        return masked == 0 ? 0 : CrossEntropy(Encode(batch, null, forGradient: false), batch, labels, masked).item<float>();
    }

    /// <summary>The same in training: adds weight · ∂(Σ cross-entropy / <paramref name="of"/>) to the parameters' gradients.</summary>
    /// <param name="batch">The rows with their masks in place.</param>
    /// <param name="labels">As for <see cref="Loss"/>.</param>
    /// <param name="masks">The noise of the pass; null for none.</param>
    /// <param name="of">What the sum is divided by: the masked tokens of the whole batch, of which this one may be a part.</param>
    /// <param name="weight">λ of ℓ + λ·ℓ_mlm.</param>
    /// <returns>Σ cross-entropy / <paramref name="of"/>.</returns>
    public double Gradients(PackedBatch batch, IReadOnlyList<IReadOnlyList<(int Position, int Token)>> labels, DropoutMasks? masks, int of, double weight)
    {
        if (labels.All(l => l.Count == 0))
        {
            return 0;
        }

        using DisposeScope scope = NewDisposeScope();
        EncoderPass pass = Encode(batch, masks, forGradient: true);
        Tensor loss = CrossEntropy(pass, batch, labels, of);
        _model.Parameters.TouchAll(EncoderTensors.WordEmbeddings); // the tied decoder reads every row
        loss.Times(weight).backward();
        pass.Backward();
        return loss.item<float>();
    }

    /// <summary>The likeliest token at each of some positions.</summary>
    /// <param name="batch">The rows with their masks in place.</param>
    /// <param name="positions">For each row of the batch (its own order) the positions that are asked for.</param>
    /// <returns>As <paramref name="positions"/>.</returns>
    public int[][] Predict(PackedBatch batch, IReadOnlyList<IReadOnlyList<int>> positions)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(positions);
        using IDisposable noGradient = no_grad();
        using DisposeScope scope = NewDisposeScope();
        List<long> places = [];
        List<int> rows = [];
        int start = 0;
        foreach ((int row, int length) in batch.TokenParts)
        {
            places.AddRange(positions[row].Select(p => (long)start + p));
            rows.AddRange(positions[row].Select(_ => row));
            start += length;
        }

        int[][] predicted = [.. positions.Select(p => new int[p.Count])];
        if (places.Count == 0)
        {
            return predicted;
        }

        long[] tokens = Scores(Encode(batch, null, forGradient: false), places).argmax(1).cpu().data<long>().ToArray();
        int[] filled = new int[positions.Count];
        for (int i = 0; i < tokens.Length; i++)
        {
            predicted[rows[i]][filled[rows[i]]++] = (int)tokens[i];
        }

        return predicted;
    }

    private EncoderPass Encode(PackedBatch batch, DropoutMasks? masks, bool forGradient)
    {
        int last = _model.Config.Layers;
        return _model.Encoder.Forward(batch, masks, [last], lastLayerAtFirstToken: false, forGradient);
    }

    /// <summary>Σ cross-entropy / <paramref name="of"/>, a scalar.</summary>
    private Tensor CrossEntropy(EncoderPass pass, PackedBatch batch, IReadOnlyList<IReadOnlyList<(int Position, int Token)>> labels, int of)
    {
        List<long> places = [], tokens = [];
        int start = 0;
        foreach ((int row, int length) in batch.TokenParts)
        {
            foreach ((int position, int token) in labels[row])
            {
                places.Add(start + position);
                tokens.Add(token);
            }

            start += length;
        }

        Tensor scores = Scores(pass, places); // (M, V)
        return nn.functional.cross_entropy(scores, tensor(tokens.ToArray(), device: scores.device)).Times((double)places.Count / of);
    }

    /// <summary>The scores of every token of the vocabulary at some places of the packed rows, (M, V).</summary>
    private Tensor Scores(EncoderPass pass, List<long> places)
    {
        ParameterSet p = _model.Parameters;
        Tensor masked = pass.Hidden(_model.Config.Layers).index_select(0, tensor(places.ToArray(), device: p.Device)); // (M, H)
        Tensor transformed = nn.functional.gelu(nn.functional.linear(masked, p[Prefix + "transform.dense.weight"], p[Prefix + "transform.dense.bias"])); // (M, H)
        transformed = nn.functional.layer_norm(transformed, [_model.Config.HiddenSize], p[Prefix + "transform.LayerNorm.weight"], p[Prefix + "transform.LayerNorm.bias"], _model.Config.LayerNormEpsilon);
        Tensor decoder = p.Contains(Prefix + "decoder.weight") ? p[Prefix + "decoder.weight"] : p[EncoderTensors.WordEmbeddings]; // (V, H)
        return _model.Precision.Linear(transformed, decoder, p[Prefix + "bias"]);
    }

    /// <summary>The head's tensors under Hugging Face's names, as they are stored with the model.</summary>
    public IReadOnlyList<TensorToWrite> Tensors(TensorType type = TensorType.F32)
    {
        string[] own = [Prefix + "transform.dense.weight", Prefix + "transform.dense.bias", Prefix + "transform.LayerNorm.weight", Prefix + "transform.LayerNorm.bias", Prefix + "bias"];
        List<TensorToWrite> tensors = [.. EncoderTensors.ForMaskedLanguageHead(_model.Config)
            .Zip(own, (stored, name) => TensorToWrite.FromFloats(stored.Name, stored.Shape, () => _model.Parameters.Read(name), type))];
        if (_model.Parameters.Contains(Prefix + "decoder.weight"))
        {
            string name = _model.Config.Family == ModelFamily.Roberta ? "lm_head.decoder.weight" : "cls.predictions.decoder.weight";
            tensors.Add(TensorToWrite.FromFloats(name, [_model.Config.VocabularySize, _model.Config.HiddenSize], () => _model.Parameters.Read(Prefix + "decoder.weight"), type));
        }

        return tensors;
    }
}
