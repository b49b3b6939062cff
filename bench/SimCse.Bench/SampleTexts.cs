using System.IO.Compression;

namespace SimCse.Bench;

/// <summary>The texts that benchmarks feed: real ones where the data is there, else generated.</summary>
internal static class SampleTexts
{
    /// <summary>250,000 sentences of Wikipedia, gzipped, one a line; null where they are absent.</summary>
    public static string? Wikipedia { get; } = Repository.Shared("data", "text", "wiki_en_250k.txt.gz");

    /// <summary>What <see cref="All"/> gives, for a report.</summary>
    public static string Source => Wikipedia is null ? "generated texts" : $"sentences of {Path.GetFileName(Wikipedia)}";

    /// <summary>The sentences of Wikipedia in the order of the file; where they are absent, 250,000 generated texts.</summary>
    public static IEnumerable<string> All() => Wikipedia is null ? Generated().Take(250_000) : Lines(Wikipedia);

    private static IEnumerable<string> Lines(string gzip)
    {
        using StreamReader reader = new(new GZipStream(File.OpenRead(gzip), CompressionMode.Decompress));
        while (reader.ReadLine() is string line)
        {
            yield return line;
        }
    }

    private static IEnumerable<string> Generated()
    {
        const string Letters = "eeeetttaaaooiinnsshhrrdlucmfwygpbvk";
        Random random = new(5);
        while (true)
        {
            IEnumerable<string> words = Enumerable.Range(0, random.Next(5, 35)).Select(_ =>
                string.Create(random.Next(1, 10), random, (word, r) => r.GetItems(Letters, word)));
            yield return string.Join(' ', words) + ".";
        }
    }
}
