using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training.Objectives;

/// <summary>How the contrastive loss compares two vectors.</summary>
public enum Similarity
{
    /// <summary>The cosine, as in the paper.</summary>
    Cosine,

    /// <summary>The dot product of the vectors as they are: the first row of the paper's table D.1.</summary>
    Dot,
}

/// <summary>
/// The SimCSE objective, mean over i of
/// −log( e^{sim(z1_i, z2_i)/τ} / Σ_j ( e^{sim(z1_i, z2_j)/τ} + α^{[i=j]} e^{sim(z1_i, z3_j)/τ} ) );
/// the second term of the sum only where there are hard negatives z3.
/// </summary>
/// <remarks>
/// Gao, Yao, Chen: SimCSE, EMNLP 2021, equations 1, 4, 5 and section 4.2 (α); reference code <c>simcse/models.py</c>, cl_forward.
/// Unsupervised: z1 and z2 are two encodings of the same sentences. Supervised: premise, entailment, contradiction. One direction, N−1 in-batch negatives.
/// </remarks>
/// <param name="Temperature">τ, above 0; the paper uses 0.05.</param>
/// <param name="HardNegativeWeight">log α, added to the logit of a row's own hard negative only; 0 for α = 1.</param>
/// <param name="Similarity">sim.</param>
public sealed record ContrastiveLoss(double Temperature = 0.05, double HardNegativeWeight = 0, Similarity Similarity = Similarity.Cosine) : IObjective
{
    private const double CosineEpsilon = 1e-8;

    /// <summary>Taken from the logit of what is no negative: e to that is 0 in float32, and the logit stays finite.</summary>
    private const double Excluded = -1e4;

    /// <inheritdoc/>
    public Tensor Loss(IReadOnlyList<Tensor> views, int step, Tensor? duplicates = null)
    {
        ArgumentNullException.ThrowIfNull(views);
        return CrossEntropy(Logits(views[0], views[1], views.Count > 2 ? views[2] : null, duplicates));
    }

    /// <summary>What the cross-entropy sees, (N, N), or (N, 2N) with hard negatives: similarities over τ, and log α on the diagonal of the second half.</summary>
    public Tensor Logits(Tensor z1, Tensor z2, Tensor? z3 = null, Tensor? duplicates = null)
    {
        ArgumentNullException.ThrowIfNull(z1);
        ArgumentNullException.ThrowIfNull(z2);
        Tensor u1 = Compared(z1); // (N, H)
        Tensor logits = u1.mm(Compared(z2).t()).Over(Temperature); // (N, N)
        if (duplicates is not null)
        {
            logits = logits.Plus(duplicates.Times(Excluded));
        }

        if (z3 is null)
        {
            return logits;
        }

        Tensor hard = u1.mm(Compared(z3).t()).Over(Temperature); // (N, N)
        if (HardNegativeWeight != 0)
        {
            hard = hard.Plus(eye(hard.shape[0], hard.shape[1], device: hard.device).Times(HardNegativeWeight));
        }

        return cat([logits, hard], 1); // (N, 2N)
    }

    /// <summary>The loss, a scalar: the mean cross-entropy of row i of the logits against label i.</summary>
    public static Tensor CrossEntropy(Tensor logits)
    {
        ArgumentNullException.ThrowIfNull(logits);
        using Tensor labels = tensor([.. Enumerable.Range(0, (int)logits.shape[0]).Select(i => (long)i)], device: logits.device);
        return nn.functional.cross_entropy(logits, labels);
    }

    /// <summary>Rows over their lengths.</summary>
    internal static Tensor Unit(Tensor z) => z / z.norm(1, keepdim: true).AtLeast(CosineEpsilon); // (N, H)

    private Tensor Compared(Tensor z) => Similarity == Similarity.Cosine ? Unit(z) : z;
}
