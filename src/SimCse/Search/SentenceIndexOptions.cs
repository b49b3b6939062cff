namespace SimCse.Search;

/// <summary>What a <see cref="SentenceIndex"/> is made with; it is stored with the index.</summary>
/// <param name="Dimensions">H, the number of components of a vector.</param>
public sealed record SentenceIndexOptions(int Dimensions)
{
    /// <summary>
    /// Whether the float32 vectors are kept beside the int8 codes, five times the space: scores are then float32 cosines. Without them scores are those of the codes, off by about 0.001.
    /// </summary>
    public bool KeepFloats { get; init; } = true;

    /// <summary>M of the graph: links that an entry makes on each level.</summary>
    public int Links { get; init; } = 16;

    /// <summary>efConstruction of the graph: candidates that an entry chooses its links from.</summary>
    public int ConstructionBreadth { get; init; } = 128;

    /// <summary>Decides the level of each entry in the graph.</summary>
    public ulong Seed { get; init; } = 42;

    /// <summary>What else to keep with the index, such as the model that its vectors come from.</summary>
    public IReadOnlyDictionary<string, string> About { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of its range.</exception>
    public void Validate()
    {
        Require(Dimensions is >= 1 and <= 65_536, nameof(Dimensions), Dimensions, "1 to 65,536 components");
        Require(Links is >= 2 and <= 256, nameof(Links), Links, "2 to 256 links");
        Require(ConstructionBreadth >= Links && ConstructionBreadth <= 10_000, nameof(ConstructionBreadth), ConstructionBreadth, $"{Links} (as there are links) to 10,000 candidates");
    }

    private static void Require(bool holds, string name, int value, string expected)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(name, value, $"expected {expected}");
        }
    }
}
