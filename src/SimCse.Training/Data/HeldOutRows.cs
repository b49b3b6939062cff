namespace SimCse.Training.Data;

/// <summary>Some rows of a corpus, the same whatever a run's seed is, that it is judged by and does not train on.</summary>
/// <param name="rows">The rows of the corpus.</param>
/// <param name="count">How many of them are held out.</param>
public sealed class HeldOutRows(int rows, int count)
{
    private const uint HoldOutPurpose = 33;

    private readonly KeyedPermutation _order = new(rows, new CounterRandom(0, HoldOutPurpose), 0);

    /// <summary>The rows that remain to train on.</summary>
    public int Trained => rows - count;

    /// <summary>The rows that are held out.</summary>
    public int[] Rows => [.. Enumerable.Range(Trained, count).Select(i => _order[i])];

    /// <summary>The i-th of the rows that remain, 0 … <see cref="Trained"/> − 1.</summary>
    public int TrainedRow(int i) => _order[i];
}
