using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training.Objectives;

/// <summary>
/// What a student's vectors z lack of the teacher's targets t, of all N texts of a batch:
/// mean_i (1 − cos(z_i, t_i)) + w · mean_i KL( p_i ‖ q_i ), where p_i and q_i are the softmax over j ≠ i of cos(t_i, t_j)/τ and of cos(z_i, z_j)/τ.
/// </summary>
/// <remarks>
/// The first term is the regression of sentence vectors (Reimers, Gurevych: Making Monolingual Sentence Embeddings Multilingual using Knowledge Distillation, EMNLP 2020), here of their direction; the second is
/// the distillation of similarities within the batch (Fang et al.: SEED, ICLR 2021; ListNet's loss in RankCSE, ACL 2023), which weighs most who is nearest to whom.
/// </remarks>
/// <param name="SimilarityWeight">w, at least 0.</param>
/// <param name="Temperature">τ, above 0.</param>
public sealed record DistillationLoss(double SimilarityWeight = 1, double Temperature = 0.05)
{
    private const double Never = -1e9;

    /// <summary>The loss, a scalar.</summary>
    /// <param name="z">The student's vectors, (N, H), of any length.</param>
    /// <param name="targets">The teacher's in the student's space, (N, H), of any length.</param>
    public Tensor Of(Tensor z, Tensor targets)
    {
        ArgumentNullException.ThrowIfNull(z);
        ArgumentNullException.ThrowIfNull(targets);
        Tensor u = ContrastiveLoss.Unit(z), t = ContrastiveLoss.Unit(targets); // (N, H)
        Tensor vectors = (u * t).sum(1).mean().Times(-1).Plus(1);
        if (SimilarityWeight == 0 || z.shape[0] < 3)
        {
            return vectors;
        }

        Tensor own = eye(z.shape[0], device: z.device).Times(Never); // (N, N): nobody is her own neighbour
        Tensor q = nn.functional.log_softmax(u.mm(u.t()).Over(Temperature).Plus(own), 1); // (N, N)
        Tensor p = nn.functional.log_softmax(t.mm(t.t()).Over(Temperature).Plus(own), 1); // (N, N)
        Tensor divergence = (p.exp() * p.Plus(q.Times(-1))).sum(1).mean();
        return vectors.Plus(divergence.Times(SimilarityWeight));
    }
}
