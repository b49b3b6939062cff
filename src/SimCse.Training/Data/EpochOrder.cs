namespace SimCse.Training.Data;

/// <summary>Which rows step t of a run reads: every epoch a new permutation by the seed, cut into batches, the last short one kept.</summary>
/// <param name="rows">The number of rows of the data.</param>
/// <param name="batchSize">N.</param>
/// <param name="seed">The run's seed.</param>
public sealed class EpochOrder(int rows, int batchSize, long seed)
{
    private const uint ShufflePurpose = 6;

    private int _epoch = -1;
    private int[] _order = [];

    /// <summary>Batches an epoch, ⌈rows / N⌉.</summary>
    public int StepsPerEpoch { get; } = (rows + batchSize - 1) / batchSize;

    /// <summary>The rows of step <paramref name="step"/>, counted from 0 over all epochs.</summary>
    public ReadOnlySpan<int> RowsOf(int step)
    {
        int epoch = step / StepsPerEpoch, start = step % StepsPerEpoch * batchSize;
        if (epoch != _epoch)
        {
            _order = new CounterRandom(seed, ShufflePurpose).Permutation(rows, epoch);
            _epoch = epoch;
        }

        return _order.AsSpan(start, Math.Min(batchSize, rows - start));
    }
}
