using static TorchSharp.torch;

namespace SimCse.Training.Objectives;

/// <summary>What a step minimises: a function of the vectors of a batch's views.</summary>
public interface IObjective
{
    /// <summary>The loss, a scalar from which autograd reaches the vectors and the objective's own parameters, where it has some.</summary>
    /// <param name="views">Two or three of (N, H): row i of each belongs to row i of the batch.</param>
    /// <param name="step">The step within the run, for what the objective draws.</param>
    /// <param name="duplicates">(N, N), 1 where rows i ≠ j say the same, so that j is no negative of i, and 0 elsewhere; null where that is not known.</param>
    Tensor Loss(IReadOnlyList<Tensor> views, int step, Tensor? duplicates = null);
}
