using System.IO.Compression;
using System.Text.Json;

namespace SimCse.Tests.Tokenization;

/// <summary>The texts that tokenizers are compared on.</summary>
internal static class TokenizerTexts
{
    /// <summary>Strings chosen to go wrong; lone surrogates are given by their UTF-16 code units.</summary>
    public static IReadOnlyList<string> Hostile { get; } = ReadHostile();

    /// <summary>English and Korean sentences of the shared data, one in <paramref name="every"/>: Wikipedia, news, fiction, the web, dictionary examples, the STS sets.</summary>
    public static List<string> Real(int every = 1)
    {
        var sentences = new List<string>();
        foreach ((string name, int count) in ((string, int)[])
            [("text/wordnet_examples_en", 30_000), ("text/ud_ewt_en", 12_500), ("text/wiki_en_250k", 8_000), ("text/brown_en", 8_000), ("text/abc_news_en", 4_000), ("text/wiki1m_simcse_head", 6_000), ("ko/text/wiki_ko_40k", 20_000)])
        {
            sentences.AddRange(ReadLines(RepositoryPaths.Shared(["data", .. $"{name}.txt.gz".Split('/')])).Take(count));
        }

        foreach (string file in Directory.EnumerateFiles(RepositoryPaths.Shared("data", "sts"), "*.tsv", SearchOption.AllDirectories).Order(StringComparer.Ordinal))
        {
            sentences.AddRange(ReadLines(file).Skip(1).SelectMany(line => line.Split('\t')[1..]));
        }

        return [.. sentences.Where((_, i) => i % every == 0)];
    }

    private static IEnumerable<string> ReadLines(string path)
    {
        using FileStream file = File.OpenRead(path);
        using Stream stream = path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            yield return line;
        }
    }

    private static string[] ReadHostile()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(RepositoryPaths.Fixture("tokenizer-hostile.json")));
        return
        [
            .. document.RootElement.EnumerateArray().Select(element => element.ValueKind == JsonValueKind.String
                ? element.GetString()!
                : new string([.. element.GetProperty("utf16").EnumerateArray().Select(unit => (char)unit.GetUInt16())])),
        ];
    }
}
