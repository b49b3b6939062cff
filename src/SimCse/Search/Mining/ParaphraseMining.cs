namespace SimCse.Search;

/// <summary>Finds the pairs of a corpus that are most alike, as sentence-transformers' <c>paraphrase_mining</c> does.</summary>
public static class ParaphraseMining
{
    private const int QueriesAtOnce = 1024;

    /// <summary>The pairs with the highest cosine, best first. A pair is found where one of the two is among the <paramref name="neighbours"/> nearest of the other.</summary>
    /// <param name="vectors">n × H.</param>
    /// <param name="neighbours">Rows looked at for each row, at least 1 (top_k there).</param>
    /// <param name="mostPairs">Pairs kept, at least 1 (max_pairs there).</param>
    /// <param name="leastScore">Pairs below this cosine are left out.</param>
    /// <param name="progress">Told how many rows are done.</param>
    /// <param name="cancellationToken">Checked within every search.</param>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public static IReadOnlyList<SimilarPair> Find(
        EmbeddingMatrix vectors, int neighbours = 100, int mostPairs = 500_000, float leastScore = float.NegativeInfinity, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(neighbours, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(mostPairs, 1);
        ExactIndex index = new(vectors);
        Dictionary<(int First, int Second), float> pairs = [];
        for (int first = 0; first < vectors.Count; first += QueriesAtOnce)
        {
            int count = Math.Min(QueriesAtOnce, vectors.Count - first);
            IReadOnlyList<SearchHit>[] found = index.Search(MatrixRows.Slice(vectors, first, count), (int)Math.Min(int.MaxValue, neighbours + 1L), cancellationToken);
            for (int i = 0; i < count; i++)
            {
                int row = first + i;
                foreach (SearchHit hit in found[i].Where(hit => hit.Row != row).Take(neighbours).TakeWhile(hit => hit.Score >= leastScore))
                {
                    // Seen from its other row a pair's cosine may differ in the last bit: the first view counts.
                    pairs.TryAdd((Math.Min(row, hit.Row), Math.Max(row, hit.Row)), hit.Score);
                }
            }

            if (pairs.Count > 2L * mostPairs)
            {
                pairs = Best(pairs, mostPairs).ToDictionary(pair => (pair.First, pair.Second), pair => pair.Score);
            }

            progress?.Report(first + count);
        }

        return [.. Best(pairs, mostPairs)];
    }

    private static IEnumerable<SimilarPair> Best(Dictionary<(int First, int Second), float> pairs, int most) =>
        pairs.Select(pair => new SimilarPair(pair.Key.First, pair.Key.Second, pair.Value)).OrderByDescending(pair => pair.Score).ThenBy(pair => pair.First).ThenBy(pair => pair.Second).Take(most);
}
