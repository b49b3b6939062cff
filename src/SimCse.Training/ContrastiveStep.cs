using SimCse.Training.Distribution;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>One batch: N rows of one, two or three views, as token ids.</summary>
/// <param name="Views">
/// [view][row]: the sentences; or premises and entailments; or these and contradictions. One view means that each sentence is its own positive.
/// </param>
/// <param name="Targets">What a teacher says of every text, (views · N, H), view after view; null where there is no teacher.</param>
public sealed record ContrastiveBatch(IReadOnlyList<IReadOnlyList<int[]>> Views, EmbeddingMatrix? Targets = null)
{
    /// <summary>For each row a number that rows which say the same have in common: those are no negatives of each other. Null where that is not looked at.</summary>
    public IReadOnlyList<int>? Groups { get; init; }

    /// <summary>N, the number of rows.</summary>
    public int Rows => Views[0].Count;

    /// <summary>The views that are encoded: a single one twice, unless a teacher says what it should be.</summary>
    public IReadOnlyList<IReadOnlyList<int[]>> EncodedViews => Views.Count == 1 && Targets is null ? [Views[0], Views[0]] : Views;
}

/// <summary>What a step saw.</summary>
/// <param name="Loss">The objective, the masked-language term included.</param>
/// <param name="GradientNorm">The global norm before clipping.</param>
/// <param name="Alignment">mean ‖u_i − u_i⁺‖² of the batch's unit vectors as the loss saw them, with dropout; null where the objective has no positive pairs.</param>
/// <param name="Uniformity">log mean over i ≠ j of exp(−2‖u_i − u_j⁺‖²), likewise.</param>
public sealed record StepResult(double Loss, double GradientNorm, double? Alignment, double? Uniformity);

/// <summary>
/// One optimisation step: all views of all rows are encoded, each row with its own dropout masks; loss, gradients, update.
/// </summary>
/// <remarks>
/// The step goes through the vectors z: encode, ∂ℓ/∂z of the whole batch, and from there back through the encoder. With <see cref="MicroBatchSize"/> it does so in pieces (Gao, Zhang, Han, Callan:
/// Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, RepL4NLP 2021): the pieces are encoded without keeping anything, and encoded again, with the same masks, when their
/// gradient is known. Loss and gradients are those of the whole batch, to rounding.
/// </remarks>
public sealed class ContrastiveStep
{
    private const int MaskedPassRow = 1 << 24; // the rows of the masked pass draw other masks than those of the first

    private readonly SimCseModel _model;
    private readonly AdamW _optimizer;
    private readonly IObjective _loss;
    private readonly TokenMasking? _masking;
    private readonly double _maskedWeight;
    private readonly long _seed;

    /// <summary>A step of this model under this objective.</summary>
    /// <param name="model">What learns.</param>
    /// <param name="optimizer">The optimiser over its parameters.</param>
    /// <param name="loss">The objective.</param>
    /// <param name="seed">Draws the dropout masks.</param>
    /// <param name="masking">The corruption for the auxiliary masked-language objective; null for none.</param>
    /// <param name="maskedWeight">λ of ℓ + λ·ℓ_mlm.</param>
    public ContrastiveStep(SimCseModel model, AdamW optimizer, IObjective loss, long seed, TokenMasking? masking = null, double maskedWeight = 0.1)
    {
        _model = model;
        _optimizer = optimizer;
        _loss = loss;
        _seed = seed;
        _masking = masking;
        _maskedWeight = maskedWeight;
    }

    /// <summary>How many rows of the data, with all their views, are encoded at a time; null for the whole batch.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>Whether the views of a row are encoded with the same dropout masks, layer by layer: the paper's 'fixed' dropout, which leaves nothing between them where they are one sentence.</summary>
    public bool FixedDropout { get; init; }

    /// <summary>What is added where the batch has a teacher's targets.</summary>
    public DistillationLoss Distillation { get; init; } = new();

    /// <summary>λ of ℓ + λ·ℓ_teacher; of one view, where there is no ℓ, it does not count.</summary>
    public double TeacherWeight { get; init; } = 1;

    /// <summary>
    /// The processes that share the work, or null. Every one is given the same batch and encodes a share of its rows; the vectors are gathered, as in the reference, so that the loss is that of the
    /// whole batch; gradients are summed while the backward goes on to lower layers. N processes compute what one does, to rounding.
    /// </summary>
    public Communicator? Ranks { get; init; }

    /// <summary>Runs the step.</summary>
    /// <param name="batch">N rows.</param>
    /// <param name="step">The step within the run, which draws the noise.</param>
    /// <param name="learningRate">η of this step.</param>
    public StepResult Run(ContrastiveBatch batch, int step, double learningRate)
    {
        ArgumentNullException.ThrowIfNull(batch);
        using DisposeScope scope = NewDisposeScope();
        (double loss, Tensor[] views) = Gradients(batch, step, _masking is null ? null : [.. batch.EncodedViews.SelectMany(v => v).Select((ids, r) => _masking.Corrupt(ids, step, r))]);
        double norm = _optimizer.Step(learningRate);
        (double? alignment, double? uniformity) = views.Length > 1 ? Geometry(views[0], views[1]) : (null, null);
        return new StepResult(loss, norm, alignment, uniformity);
    }

    /// <summary>Computes the loss, puts its gradients in the place of the parameters', and gives the vectors that it saw, (N, H) for each view.</summary>
    /// <param name="batch">N rows.</param>
    /// <param name="step">Draws the noise.</param>
    /// <param name="corrupted">The rows of the masked pass, view after view; null where the objective has no masked-language term.</param>
    internal (double Loss, Tensor[] Views) Gradients(ContrastiveBatch batch, int step, IReadOnlyList<(int[] Ids, IReadOnlyList<(int Position, int Token)> Labels)>? corrupted)
    {
        IReadOnlyList<IReadOnlyList<int[]>> views = batch.EncodedViews;
        int n = batch.Rows;
        int[][] rows = [.. views.SelectMany(v => v)]; // view after view
        int[] own = OwnRows(Ranks?.Rank ?? 0, n);
        int[][] pieces = [.. own.Chunk(Math.Max(1, Math.Min(MicroBatchSize ?? n, n))).Select(piece => Encoded(piece, n, views.Count))];
        _model.Parameters.ClearGradients();
        using GradientSum? sum = Ranks is null ? null : new GradientSum(Ranks, _model);
        foreach (int[] row in Ranks is null ? [] : rows)
        {
            _model.TouchTokens(row); // other ranks' rows too: their gradients come in by the sum
        }

        EncodedPiece? whole = pieces.Length == 1 ? Encode(rows, n, pieces[0], step) : null;
        Tensor z = Gather(whole?.Vectors ?? EncodeInPieces(rows, n, pieces, step), n, views.Count).detach().requires_grad_(true); // (n·N, H)
        Tensor[] view = [.. Enumerable.Range(0, views.Count).Select(v => z.slice(0, (long)v * n, (long)(v + 1) * n, 1))]; // (N, H) each
        Tensor loss = Loss(view, z, batch, step);
        loss.backward();
        for (int p = 0; p < pieces.Length; p++)
        {
            using DisposeScope scope = NewDisposeScope();
            using Tensor at = tensor(pieces[p], ScalarType.Int64, device: z.device);
            bool final = p == pieces.Length - 1 && corrupted is null;
            (whole ?? Encode(rows, n, pieces[p], step)).Backward(z.grad!.index_select(0, at), final && sum is not null ? sum.Start : null);
        }

        double masked = corrupted is null ? 0 : MaskedGradients(corrupted, pieces, step);
        sum?.Complete();
        return (loss.item<float>() + (_maskedWeight * masked), view);
    }

    /// <summary>ℓ + λ·ℓ_teacher, or ℓ_teacher where there are no pairs to contrast.</summary>
    private Tensor Loss(Tensor[] views, Tensor z, ContrastiveBatch batch, int step)
    {
        Tensor? objective = views.Length > 1 ? _loss.Loss(views, step, Duplicates(batch.Groups)) : null;
        if (batch.Targets is not { } targets)
        {
            return objective ?? throw new ArgumentException("a batch of one view needs a teacher", nameof(batch));
        }

        Tensor t = empty(targets.Count, targets.Dimensions);
        targets.Values.CopyTo(t.Floats());
        Tensor distilled = Distillation.Of(z, t.to(z.device));
        return objective is null ? distilled : objective.Plus(distilled.Times(TeacherWeight));
    }

    /// <summary>The rows of the data that a process encodes: consecutive ones, as many for each, to one.</summary>
    private int[] OwnRows(int rank, int n)
    {
        int ranks = Ranks?.Size ?? 1, first = n * rank / ranks, end = n * (rank + 1) / ranks;
        return [.. Enumerable.Range(first, end - first)];
    }

    /// <summary>All views of some rows of the data, by their places among the encoded rows.</summary>
    private static int[] Encoded(int[] rows, int n, int views) => [.. Enumerable.Range(0, views).SelectMany(v => rows.Select(row => (v * n) + row))];

    /// <summary>The vectors of all processes' rows, (n·N, H), view after view; z itself where there is one process.</summary>
    private Tensor Gather(Tensor z, int n, int views)
    {
        if (Ranks is null)
        {
            return z;
        }

        using IDisposable noGradient = no_grad();
        int width = _model.Config.HiddenSize;
        int[][] places = [.. Enumerable.Range(0, Ranks.Size).Select(rank => Encoded(OwnRows(rank, n), n, views))];
        Tensor gathered = empty((long)n * views, width);
        Ranks.AllGather(z.detach().cpu().contiguous().Floats(), gathered.Floats(), [.. places.Select(p => p.Length * width)]);
        Tensor all = empty_like(gathered);
        all.index_copy_(0, tensor(places.SelectMany(p => p).ToArray(), ScalarType.Int64), gathered);
        return all.to(_model.Parameters.Device);
    }

    /// <summary>1 where two rows of the batch are of one group, 0 elsewhere and on the diagonal, (N, N); null where no two are.</summary>
    private Tensor? Duplicates(IReadOnlyList<int>? groups)
    {
        if (groups is null || groups.Distinct().Count() == groups.Count)
        {
            return null;
        }

        float[] same = [.. groups.SelectMany((a, i) => groups.Select((b, j) => i != j && a == b ? 1f : 0f))];
        return tensor(same, [groups.Count, groups.Count], device: _model.Parameters.Device);
    }

    private EncodedPiece Encode(int[][] rows, int n, int[] piece, int step) => new([.. Parts(piece, n).Select(part =>
        (_model.Represent(_model.Pack([.. part.Rows.Select(r => rows[r])]), Masks(step, part.Rows, n), part.Second), part.Rows.Length))]);

    /// <summary>What each encoder has to do of a piece: all of it, or the first view's rows and the others'.</summary>
    private IEnumerable<(int[] Rows, bool Second)> Parts(int[] piece, int n)
        => _model.SecondEncoder is null ? [(piece, false)] : [([.. piece.Where(r => r < n)], false), ([.. piece.Where(r => r >= n)], true)];

    /// <summary>The vectors of the pieces without a way back, in the order of <see cref="Encoded"/> for all of their rows.</summary>
    private Tensor EncodeInPieces(int[][] rows, int n, int[][] pieces, int step)
    {
        int[] places = [.. pieces.SelectMany(p => p).Order()];
        Tensor z = empty(places.Length, _model.Config.HiddenSize, device: _model.Parameters.Device);
        using IDisposable noGradient = no_grad();
        foreach (int[] piece in pieces)
        {
            foreach ((int[] part, bool second) in Parts(piece, n))
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor vectors = _model.Represent(_model.Pack([.. part.Select(r => rows[r])]), Masks(step, part, n), training: true, second);
                z.index_copy_(0, tensor(part.Select(r => (long)Array.BinarySearch(places, r)).ToArray(), device: z.device), vectors);
            }
        }

        return z;
    }

    private double MaskedGradients(IReadOnlyList<(int[] Ids, IReadOnlyList<(int Position, int Token)> Labels)> corrupted, int[][] pieces, int step)
    {
        MaskedLanguageModeling head = _model.MaskedLanguage ?? throw new InvalidOperationException("the model has no masked-language head");
        int masked = corrupted.Sum(c => c.Labels.Count);
        double loss = 0;
        foreach (int[] piece in pieces)
        {
            using DisposeScope scope = NewDisposeScope();
            PackedBatch packed = _model.Pack([.. piece.Select(r => corrupted[r].Ids)]);
            loss += head.Gradients(packed, [.. piece.Select(r => corrupted[r].Labels)], new DropoutMasks(_seed, step, [.. piece.Select(r => MaskedPassRow + r)]), masked, _maskedWeight);
        }

        double[] total = [loss];
        Ranks?.AllReduce(total, RankReduction.Sum);
        return total[0];
    }

    private DropoutMasks Masks(int step, int[] encoded, int n) => new(_seed, step, FixedDropout ? [.. encoded.Select(r => r % n)] : encoded);

    private static (double? Alignment, double? Uniformity) Geometry(Tensor first, Tensor second)
    {
        using IDisposable _ = no_grad();
        int n = (int)first.shape[0];
        Tensor cosines = ContrastiveLoss.Unit(first).mm(ContrastiveLoss.Unit(second).t()); // (N, N)
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

    /// <summary>The vectors of a piece, of one encoder or of two.</summary>
    private sealed class EncodedPiece(IReadOnlyList<(Representation Vectors, int Rows)> parts)
    {
        /// <summary>(rows, H), the first encoder's rows first.</summary>
        public Tensor Vectors { get; } = parts.Count == 1 ? parts[0].Vectors.Vectors : cat([.. parts.Select(p => p.Vectors.Vectors)]);

        /// <summary>As <see cref="Representation.Backward"/>; the first encoder goes last, with what is told of its layers.</summary>
        public void Backward(Tensor gradient, Action<int>? layerDone)
        {
            Tensor[] own = gradient.split([.. parts.Select(p => (long)p.Rows)]);
            for (int part = parts.Count - 1; part >= 0; part--)
            {
                parts[part].Vectors.Backward(own[part], part == 0 ? layerDone : null);
            }
        }
    }
}
