namespace SimCse.Bench;

/// <summary>Where the benchmarks find and keep their files.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    /// <summary>Models that were drawn at random, kept between runs.</summary>
    public static string Artifacts { get; } = Path.Combine(Root, "artifacts", "bench");

    /// <summary>A file or folder of the <c>shared</c> folder beside the repository; null where it is absent.</summary>
    public static string? Shared(params string[] parts)
    {
        string path = Path.Combine([Path.GetDirectoryName(Root)!, "shared", .. parts]);
        return Path.Exists(path) ? path : null;
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "SimCse.slnx")))
            {
                return at.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no SimCse.slnx above {AppContext.BaseDirectory}");
    }
}
