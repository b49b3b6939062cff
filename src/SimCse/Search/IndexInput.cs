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
}
