namespace SimCse.Evaluation;

/// <summary>
/// Hubs: vectors that are among the nearest of many others, which a search then finds too often. Radovanović, Nanopoulos and Ivanović, Hubs in Space (JMLR 11, 2010).
/// </summary>
public static class Hubness
{
    /// <summary>N_k(x): for each vector, of how many others it is among the k nearest by cosine. Their mean is k.</summary>
    /// <param name="vectors">n × H, raw or normalised.</param>
    /// <param name="k">From 1 to n − 1.</param>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static int[] Occurrences(EmbeddingMatrix vectors, int k)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(k, vectors.Count);
        UnitVectors unit = new(vectors);
        int[] occurrences = new int[unit.Count];
        Parallel.For(0, unit.Count, () => (Cosines: new float[unit.Count], Rows: new int[unit.Count]), (row, _, buffers) =>
        {
            unit.Dot(unit[row], 0, buffers.Cosines);
            buffers.Cosines[row] = float.NegativeInfinity; // not its own neighbour
            for (int i = 0; i < buffers.Rows.Length; i++)
            {
                buffers.Cosines[i] = -buffers.Cosines[i];
                buffers.Rows[i] = i;
            }

            Array.Sort(buffers.Cosines, buffers.Rows);
            foreach (int neighbour in buffers.Rows.AsSpan(0, k))
            {
                Interlocked.Increment(ref occurrences[neighbour]);
            }

            return buffers;
        }, _ => { });
        return occurrences;
    }

    /// <summary>
    /// The skewness of N_k, E[(N − k)³] / σ³: 0 where no vector is favoured (all N_k equal count as 0), above 1 where there are hubs.
    /// </summary>
    /// <param name="occurrences">N_k of every vector.</param>
    public static double Skewness(IReadOnlyList<int> occurrences)
    {
        ArgumentNullException.ThrowIfNull(occurrences);
        double mean = occurrences.Average(), variance = occurrences.Average(n => Math.Pow(n - mean, 2));
        return variance > 0 ? occurrences.Average(n => Math.Pow(n - mean, 3)) / Math.Pow(variance, 1.5) : 0;
    }
}
