using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>One batch: N rows of one, two or three views, as token ids.</summary>
/// <param name="Views">
/// [view][row]: the sentences; or premises and entailments; or these and contradictions. One view means that each sentence is its own positive.
/// </param>
public sealed record ContrastiveBatch(IReadOnlyList<IReadOnlyList<int[]>> Views)
{
    /// <summary>N, the number of rows.</summary>
    public int Rows => Views[0].Count;

    /// <summary>The views that are encoded: a single one twice.</summary>
    public IReadOnlyList<IReadOnlyList<int[]>> EncodedViews => Views.Count == 1 ? [Views[0], Views[0]] : Views;
}

/// <summary>What a step saw.</summary>
/// <param name="Loss">The objective, the masked-language term included.</param>
/// <param name="GradientNorm">The global norm before clipping.</param>
/// <param name="Alignment">mean ‖u_i − u_i⁺‖² of the batch's unit vectors as the loss saw them, with dropout.</param>
/// <param name="Uniformity">log mean over i ≠ j of exp(−2‖u_i − u_j⁺‖²), likewise.</param>
public sealed record StepResult(double Loss, double GradientNorm, double Alignment, double Uniformity);

/// <summary>
/// One optimisation step: all views of all rows go through the encoder in one pass, each row with its own dropout masks; loss, gradients, update.
/// </summary>
public sealed class ContrastiveStep
{
    private const int MaskedPassRow = 1 << 24; // the rows of the masked pass draw other masks than those of the first

    private readonly SimCseModel _model;
    private readonly AdamW _optimizer;
    private readonly ContrastiveLoss _loss;
    private readonly TokenMasking? _masking;
    private readonly double _maskedWeight;
    private readonly long _seed;

    /// <summary>A step of this model under this objective.</summary>
    /// <param name="model">What learns.</param>
    /// <param name="optimizer">The optimiser over its parameters.</param>
    /// <param name="loss">The contrastive objective.</param>
    /// <param name="seed">Draws the dropout masks.</param>
    /// <param name="masking">The corruption for the auxiliary masked-language objective; null for none.</param>
    /// <param name="maskedWeight">λ of ℓ + λ·ℓ_mlm.</param>
    public ContrastiveStep(SimCseModel model, AdamW optimizer, ContrastiveLoss loss, long seed, TokenMasking? masking = null, double maskedWeight = 0.1)
    {
        _model = model;
        _optimizer = optimizer;
        _loss = loss;
        _seed = seed;
        _masking = masking;
        _maskedWeight = maskedWeight;
    }

    /// <summary>Runs the step.</summary>
    /// <param name="batch">N rows.</param>
    /// <param name="step">The step within the run, which draws the noise.</param>
    /// <param name="learningRate">η of this step.</param>
    public StepResult Run(ContrastiveBatch batch, int step, double learningRate)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using DisposeScope scope = NewDisposeScope();
        (Tensor loss, Tensor logits) = Forward(batch, step);
        _model.Parameters.ClearGradients();
        loss.backward();
        double norm = _optimizer.Step(learningRate);
        (double alignment, double uniformity) = Geometry(logits, batch.Rows);
        return new StepResult(loss.item<float>(), norm, alignment, uniformity);
    }

    /// <summary>The loss of a batch, and the logits behind its contrastive part, (N, N) or (N, 2N).</summary>
    private (Tensor Loss, Tensor Logits) Forward(ContrastiveBatch batch, int step) => Forward(batch, step, _masking is null ? null
        : [.. batch.EncodedViews.SelectMany(v => v).Select((ids, r) => _masking.Corrupt(ids, step, r))]);

    /// <summary>The same with the corrupted rows given, view after view; null where the objective has no masked-language term.</summary>
    internal (Tensor Loss, Tensor Logits) Forward(ContrastiveBatch batch, int step, IReadOnlyList<(int[] Ids, IReadOnlyList<(int Position, int Token)> Labels)>? corrupted)
    {
        IReadOnlyList<IReadOnlyList<int[]>> views = batch.EncodedViews;
        int n = batch.Rows;
        int[][] rows = [.. views.SelectMany(v => v)]; // view after view
        int[] keys = [.. Enumerable.Range(0, rows.Length)];
        using PackedBatch packed = new(rows, _model.Config.PositionOffset);
        Tensor vectors = _model.Represent(packed, Masks(step, keys), training: true); // (n·N, H)
        Tensor[] z = [.. Enumerable.Range(0, views.Count).Select(v => vectors.slice(0, (long)v * n, (long)(v + 1) * n, 1))]; // (N, H) each
        Tensor logits = _loss.Logits(z[0], z[1], z.Length > 2 ? z[2] : null);
        Tensor loss = ContrastiveLoss.CrossEntropy(logits);
        if (corrupted is not null)
        {
            loss = loss.Plus(MaskedLoss(corrupted, step).Times(_maskedWeight));
        }

        return (loss, logits);
    }

    private Tensor MaskedLoss(IReadOnlyList<(int[] Ids, IReadOnlyList<(int Position, int Token)> Labels)> corrupted, int step)
    {
        MaskedLanguageModeling head = _model.MaskedLanguage ?? throw new InvalidOperationException("the model has no masked-language head");
        using PackedBatch packed = new([.. corrupted.Select(c => c.Ids)], _model.Config.PositionOffset);
        return head.Loss(packed, [.. corrupted.Select(c => c.Labels)], Masks(step, [.. Enumerable.Range(MaskedPassRow, corrupted.Count)]));
    }

    private DropoutMasks Masks(int step, int[] keys) => new(_seed, step, keys);

    private (double Alignment, double Uniformity) Geometry(Tensor logits, int n)
    {
        using IDisposable _ = no_grad();
        Tensor cosines = logits.slice(1, 0, n, 1).Times(_loss.Temperature); // (N, N)
        Tensor own = cosines.diagonal(); // (N)
        double alignment = 2 - (2 * own.mean().item<float>());
        if (n < 2)
        {
            return (alignment, 0);
        }

        Tensor potential = cosines.Plus(-1).Times(4).exp(); // exp(−2‖u−v‖²) = exp(−4 + 4·cos)
        double others = (potential.sum().item<float>() - potential.diagonal().sum().item<float>()) / ((double)n * (n - 1));
        return (alignment, Math.Log(others));
    }
}
