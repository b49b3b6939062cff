namespace SimCse.Search;

/// <summary>What every index asks of the entries that it is given.</summary>
public static class IndexInput
{
    /// <summary>Checks that there is a vector of H components for each entry, and that their ids are different and not empty.</summary>
    /// <exception cref="ArgumentException">They are not.</exception>
    public static void Check(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, int dimensions)
    {
        ArgumentNullException.ThrowIfNull(entries);
        ArgumentNullException.ThrowIfNull(vectors);
        if (entries.Count != vectors.Count || vectors.Dimensions != dimensions)
        {
            throw new ArgumentException($"{vectors.Count} vectors of {vectors.Dimensions} components for {entries.Count} entries; expected one for each, of {dimensions}", nameof(vectors));
        }

        HashSet<string> ids = new(entries.Count, StringComparer.Ordinal);
        foreach (IndexEntry entry in entries)
        {
            if (string.IsNullOrEmpty(entry.Id) || !ids.Add(entry.Id))
            {
                throw new ArgumentException(string.IsNullOrEmpty(entry.Id) ? $"an entry has no id (its text is '{entry.Text}'); expected one" : $"the id '{entry.Id}' comes twice; expected different ids", nameof(entries));
            }
        }
    }

    /// <summary>Checks that queries have H components, and that these are finite.</summary>
    /// <exception cref="ArgumentException">They have another number of components.</exception>
    /// <exception cref="InvalidDataException">A query has a component or a length that is not finite.</exception>
    public static void CheckQueries(EmbeddingMatrix queries, int dimensions)
    {
        ArgumentNullException.ThrowIfNull(queries);
        if (queries.Dimensions != dimensions)
        {
            throw new ArgumentException($"the queries have {queries.Dimensions} components, the vectors of the index have {dimensions}", nameof(queries));
        }

        CheckVectors(queries, "query");
    }

    /// <summary>Checks that components and lengths are finite.</summary>
    /// <exception cref="InvalidDataException">One is not.</exception>
    public static void CheckVectors(EmbeddingMatrix vectors, string what)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        VectorLengths.Inverse(vectors, what);
    }
}
