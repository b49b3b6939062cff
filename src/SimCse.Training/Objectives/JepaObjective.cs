using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training.Objectives;

/// <summary>What the two views of a sentence are, for <see cref="JepaObjective"/>.</summary>
public enum JepaViews
{
    /// <summary>The sentence twice: dropout is the only difference.</summary>
    Dropout,

    /// <summary>The sentence, and the sentence with spans masked, from which a predictor gives the vector of the whole.</summary>
    MaskedSpans,
}

/// <summary>
/// Joint-embedding prediction without negatives, teacher or stop-gradient: (1−λ) · prediction + λ · SIGReg. With p_v = g(h_v) the projections of the views' vectors, the prediction term is the mean over
/// views and components of (p̄ − p_v)², p̄ the mean of the views; with <see cref="JepaViews.MaskedSpans"/> it is the mean of (q(p_masked) − p_whole)², q the predictor. SIGReg is the mean of <see cref="SigReg"/> over the views.
/// </summary>
/// <remarks>
/// Balestriero, LeCun: LeJEPA, arXiv 2511.08544, and the authors' minimal code. The projection g is linear, batch norm, ReLU, linear, as wide inside as twice the encoder; q the same with the projection's width. Both belong to training
/// only: what is judged is the cosine of the encoder's own vectors.
/// </remarks>
public sealed class JepaObjective : IObjective
{
    private const string Projection = "jepa.projection", Predictor = "jepa.predictor";
    private const uint ProjectionPurpose = 22, PredictorPurpose = 24;
    private const double NormEpsilon = 1e-5;

    private readonly ParameterSet _parameters;
    private readonly JepaViews _views;
    private readonly double _weight;
    private readonly int _width;
    private readonly long _seed;

    /// <summary>An objective whose projection and predictor learn with the encoder: they are added to its parameters.</summary>
    /// <param name="parameters">The encoder's; no optimiser has been made over them yet.</param>
    /// <param name="hidden">H, the length of the vectors.</param>
    /// <param name="views">What the views are.</param>
    /// <param name="weight">λ, 0 to 1.</param>
    /// <param name="width">P, the length of the projections.</param>
    /// <param name="seed">Draws the weights and the directions.</param>
    public JepaObjective(ParameterSet parameters, int hidden, JepaViews views, double weight, int width, long seed)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        _parameters = parameters;
        _views = views;
        _weight = weight;
        _width = width;
        _seed = seed;
        Add(Projection, ProjectionPurpose, hidden, 2 * hidden, width);
        if (views == JepaViews.MaskedSpans)
        {
            Add(Predictor, PredictorPurpose, width, 2 * width, width);
        }
    }

    /// <inheritdoc/>
    public Tensor Loss(IReadOnlyList<Tensor> views, int step, Tensor? duplicates = null)
    {
        ArgumentNullException.ThrowIfNull(views);
        Tensor first = Perceptron(Projection, views[0]), second = Perceptron(Projection, views[1]); // (N, P)
        Tensor directions = SigReg.Draw(_width, _seed, step, first.device); // (P, K)
        Tensor regular = SigReg.Loss(first, directions).Plus(SigReg.Loss(second, directions)).Over(2);
        Tensor difference = _views == JepaViews.MaskedSpans
            ? Perceptron(Predictor, second).Plus(first.neg()) // (N, P)
            : first.Plus(second.neg()).Over(2); // p̄ − p_v is ± half the difference of the two
        return (difference * difference).mean().Times(1 - _weight).Plus(regular.Times(_weight));
    }

    /// <summary>Linear, batch norm with the batch's own statistics, ReLU, linear.</summary>
    private Tensor Perceptron(string name, Tensor x)
    {
        Tensor inner = nn.functional.linear(x, _parameters[name + ".0.weight"]); // (N, I): the norm takes a bias away again
        Tensor centred = inner.Plus(inner.mean([0]).neg());
        Tensor scaled = centred / (centred * centred).mean([0]).Plus(NormEpsilon).sqrt();
        Tensor active = nn.functional.relu((scaled * _parameters[name + ".1.weight"]).Plus(_parameters[name + ".1.bias"])); // (N, I)
        return nn.functional.linear(active, _parameters[name + ".2.weight"], _parameters[name + ".2.bias"]); // (N, P)
    }

    private void Add(string name, uint purpose, int inputs, int inner, int outputs)
    {
        _parameters.Add(name + ".0.weight", new CounterRandom(_seed, purpose).Normal(inner * inputs, 1 / Math.Sqrt(inputs)), inner, inputs);
        _parameters.Add(name + ".1.weight", [.. Enumerable.Repeat(1f, inner)], inner);
        _parameters.Add(name + ".1.bias", new float[inner], inner);
        _parameters.Add(name + ".2.weight", new CounterRandom(_seed, purpose + 1).Normal(outputs * inner, 1 / Math.Sqrt(inner)), outputs, inner);
        _parameters.Add(name + ".2.bias", new float[outputs], outputs);
    }
}
