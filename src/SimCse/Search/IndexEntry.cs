namespace SimCse.Search;

/// <summary>A text in an index.</summary>
/// <param name="Id">What it is called; there is one entry of an id. Not empty.</param>
/// <param name="Text">The text, as hits give it back.</param>
public sealed record IndexEntry(string Id, string Text)
{
    /// <summary>What filters can ask for.</summary>
    public IReadOnlyDictionary<string, MetadataValue> Metadata { get; init; } = new Dictionary<string, MetadataValue>(StringComparer.Ordinal);
}

/// <summary>An entry found.</summary>
/// <param name="Entry">The entry.</param>
/// <param name="Score">The cosine of its vector with the query, -1 to 1.</param>
public sealed record IndexHit(IndexEntry Entry, float Score);

/// <summary>What to look for beside the vectors.</summary>
/// <param name="K">Hits a query, at least 1.</param>
public sealed record IndexSearchOptions(int K = 10)
{
    /// <summary>Only entries that it accepts are hits; null for all.</summary>
    public IndexFilter? Filter { get; init; }

    /// <summary>
    /// ef: how many candidates a walk over a graph keeps in view, at least K. More finds more of the true neighbours and takes longer. Null for the index's own choice.
    /// </summary>
    public int? Breadth { get; init; }

    /// <summary>Whether to compare with every vector where the index could do less.</summary>
    public bool Exact { get; init; }

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentOutOfRangeException">K is below 1, or Breadth is below K.</exception>
    public void Validate()
    {
        if (K < 1)
        {
            throw new ArgumentOutOfRangeException(nameof(K), K, "expected at least 1 hit");
        }

        if (Breadth < K)
        {
            throw new ArgumentOutOfRangeException(nameof(Breadth), Breadth, $"expected at least {K}, the hits asked for");
        }
    }
}
