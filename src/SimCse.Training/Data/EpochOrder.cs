namespace SimCse.Training.Data;

/// <summary>
/// Which rows step t of a run reads: every epoch a new permutation by the seed, cut into batches, the last short one kept. A pure function of (seed, step): nothing is kept in
/// memory or in a saved run, however many rows there are, and steps may be asked for in any order and from any thread.
/// </summary>
/// <param name="rows">The number of rows of the data.</param>
/// <param name="batchSize">N.</param>
/// <param name="seed">The run's seed.</param>
public sealed class EpochOrder(int rows, int batchSize, long seed)
{
    private const uint ShufflePurpose = 6;

    private readonly CounterRandom _random = new(seed, ShufflePurpose);

    /// <summary>Batches an epoch, ⌈rows / N⌉.</summary>
    public int StepsPerEpoch { get; } = (int)(((long)rows + batchSize - 1) / batchSize);

    /// <summary>The rows of step <paramref name="step"/>, counted from 0 over all epochs.</summary>
    public int[] RowsOf(int step)
    {
        KeyedPermutation order = new(rows, _random, step / StepsPerEpoch);
        int start = step % StepsPerEpoch * batchSize;
        int[] batch = new int[Math.Min(batchSize, rows - start)];
        for (int i = 0; i < batch.Length; i++)
        {
            batch[i] = order[start + i];
        }

        return batch;
    }
}
