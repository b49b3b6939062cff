using System.IO.Compression;
using System.Text.Json;

namespace SimCse.Tests.Tokenization;

/// <summary>The texts that tokenizers are compared on.</summary>
internal static class TokenizerTexts
{
    /// <summary>Strings chosen to go wrong; lone surrogates are given by their UTF-16 code units.</summary>
    public static IReadOnlyList<string> Hostile { get; } = ReadHostile();

    /// <summary>
    /// English and Korean sentences of the shared data, one in <paramref name="every"/>: dictionary examples, the web, captions and what follows from
    /// them, Wikipedia, fiction; many of them short, because the reference takes a tenth of a millisecond for each.
    /// </summary>
    public static List<string> Real(int every = 1)
    {
        var sentences = new List<string>();
        foreach ((string name, int count) in ((string, int)[])
            [("wordnet_examples_en", 30_000), ("ud_ewt_en", 12_500), ("wiki_en_250k", 4_000), ("brown_en", 4_000), ("abc_news_en", 2_000)])
        {
            sentences.AddRange(ReadLines(RepositoryPaths.Shared("data", "text", name + ".txt.gz")).Take(count));
        }

        sentences.AddRange(ReadLines(RepositoryPaths.Shared("data", "nli", "triplets.tsv.gz")).Skip(1).SelectMany(line => line.Split('\t')[1..]));
        sentences.AddRange(ReadLines(RepositoryPaths.Shared("data", "ko", "korsts", "train.tsv")).Skip(1).SelectMany(line => line.Split('\t')[^2..]));
        sentences.AddRange(ReadLines(RepositoryPaths.Shared("data", "ko", "text", "wiki_ko_40k.txt.gz")).Take(14_000));
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
