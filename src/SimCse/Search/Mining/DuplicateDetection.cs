namespace SimCse.Search;

/// <summary>Groups of texts that say the same: equal but for case and white space, or with vectors nearer than a threshold, directly or over others of the group.</summary>
public static class DuplicateDetection
{
    /// <summary>The groups of two and more, each ascending, in the order of their first rows.</summary>
    /// <param name="texts">n texts.</param>
    /// <param name="vectors">n × H: their vectors.</param>
    /// <param name="threshold">The least cosine of two that are taken for the same.</param>
    /// <param name="progress">Told how many rows are done.</param>
    /// <param name="cancellationToken">Checked within every search.</param>
    /// <exception cref="ArgumentException">There is not one vector for each text.</exception>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public static IReadOnlyList<IReadOnlyList<int>> Find(IReadOnlyList<string> texts, EmbeddingMatrix vectors, float threshold = 0.95f, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(vectors);
        if (texts.Count != vectors.Count)
        {
            throw new ArgumentException($"{vectors.Count} vectors for {texts.Count} texts; expected one for each", nameof(vectors));
        }

        int[] leader = [.. Enumerable.Range(0, texts.Count)];
        Dictionary<string, int> firstOf = new(StringComparer.OrdinalIgnoreCase);
        for (int row = 0; row < texts.Count; row++)
        {
            string plain = string.Join(' ', texts[row].Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
            if (!firstOf.TryAdd(plain, row))
            {
                Join(leader, firstOf[plain], row);
            }
        }

        foreach ((int row, IReadOnlyList<SearchHit> near) in Neighbourhoods.Find(vectors, threshold, atFirst: 10, progress, cancellationToken))
        {
            foreach (SearchHit hit in near)
            {
                Join(leader, row, hit.Row);
            }
        }

        return [.. Enumerable.Range(0, texts.Count).GroupBy(row => Leader(leader, row)).Where(group => group.Skip(1).Any()).OrderBy(group => group.Key).Select(group => group.ToArray())];
    }

    private static int Leader(int[] leader, int row)
    {
        while (leader[row] != row)
        {
            leader[row] = leader[leader[row]];
            row = leader[row];
        }

        return row;
    }

    private static void Join(int[] leader, int a, int b)
    {
        (a, b) = (Leader(leader, a), Leader(leader, b));
        leader[Math.Max(a, b)] = Math.Min(a, b);
    }
}
