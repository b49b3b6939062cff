namespace SimCse.Search;

/// <summary>Of every row of a matrix, all rows whose cosine with it is not below a threshold, itself among them, best first.</summary>
internal static class Neighbourhoods
{
    private const int QueriesAtOnce = 1024;

    /// <param name="vectors">n × H.</param>
    /// <param name="threshold">The least cosine.</param>
    /// <param name="atFirst">How many rows to look for at first; four times as many where all of them are near enough.</param>
    /// <param name="progress">Told how many rows are done.</param>
    /// <param name="cancellationToken">Checked within every search.</param>
    public static IEnumerable<(int Row, IReadOnlyList<SearchHit> Near)> Find(EmbeddingMatrix vectors, float threshold, int atFirst, IProgress<int>? progress, CancellationToken cancellationToken)
    {
        ExactIndex index = new(vectors);
        for (int first = 0; first < vectors.Count; first += QueriesAtOnce)
        {
            int count = Math.Min(QueriesAtOnce, vectors.Count - first);
            IReadOnlyList<SearchHit>[] found = index.Search(MatrixRows.Slice(vectors, first, count), atFirst, cancellationToken);
            for (int i = 0; i < count; i++)
            {
                IReadOnlyList<SearchHit> hits = found[i];
                for (long k = atFirst; hits.Count > 0 && hits[^1].Score >= threshold && hits.Count < vectors.Count;)
                {
                    k = Math.Min(vectors.Count, 4 * k);
                    hits = index.Search(vectors[first + i], (int)k, cancellationToken);
                }

                yield return (first + i, [.. hits.TakeWhile(hit => hit.Score >= threshold)]);
            }

            progress?.Report(first + count);
        }
    }
}
