using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace SimCse.Tests.Tokenization;

/// <summary>Hugging Face's Rust tokenizers, run by node: eng/tokenizers/setup installs them.</summary>
internal static class RustReference
{
    private static string Folder { get; } = Path.Combine(RepositoryPaths.Root, "eng", "tokenizers");

    /// <summary>A file of an installed npm package; the running test is skipped, by name, where it or node is absent.</summary>
    public static string Package(params string[] parts)
    {
        string path = Path.Combine([Folder, "node_modules", .. parts]);
        Assert.SkipUnless(Path.Exists(path), $"needs the npm package {string.Join('/', parts)}: run eng/tokenizers/setup");
        Assert.SkipUnless(InstalledProgram.Find("node") is not null, "needs node");
        return path;
    }

    /// <summary>The ids that the reference gives each text, with the tokenizer.json of <paramref name="directory"/>.</summary>
    public static int[][] Encode(string directory, IReadOnlyCollection<string> texts, int? maxLength = null)
    {
        string input = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "texts.jsonl");
        using (var writer = new StreamWriter(input))
        {
            foreach (string text in texts)
            {
                WriteJson(writer, text);
            }
        }

        string[] length = maxLength is { } max ? ["--max-length", max.ToString(CultureInfo.InvariantCulture)] : [];
        int[][] ids = [.. Run("encode.mjs", [Path.Combine(directory, "tokenizer.json"), input, "--threads", .. length]).Select(ParseIds)];
        Assert.Equal(texts.Count, ids.Length);
        return ids;
    }

    /// <summary>Id to token of all tokens that the reference knows.</summary>
    public static Dictionary<string, string> Vocabulary(string directory) =>
        JsonSerializer.Deserialize<Dictionary<string, string>>(Run("encode.mjs", [Path.Combine(directory, "tokenizer.json"), "--vocabulary"]).Single())!;

    /// <summary>The tokens that the reference's default WordPiece trainer learns from the lines of a file, in the order of their ids.</summary>
    public static string[] TrainWordPiece(string textFile) =>
        // It prints empty lines for its progress bars first.
        JsonSerializer.Deserialize<string[]>(Run("train.mjs", [textFile])[^1])!;

    private static List<string> Run(string script, IEnumerable<string> arguments)
    {
        Package("@anush008", "tokenizers");
        var start = new ProcessStartInfo("node") { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8 };
        start.ArgumentList.Add(Path.Combine(Folder, script));
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process node = Process.Start(start)!;
        Task<string> errors = node.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var lines = new List<string>();
        while (node.StandardOutput.ReadLine() is { } line)
        {
            lines.Add(line);
        }

        node.WaitForExit();
        Assert.True(node.ExitCode == 0, errors.Result);
        return lines;
    }

    private static int[] ParseIds(string line)
    {
        var ids = new List<int>();
        foreach (Range range in line.AsSpan().Split(' '))
        {
            if (line.AsSpan()[range] is { IsEmpty: false } id)
            {
                ids.Add(int.Parse(id, CultureInfo.InvariantCulture));
            }
        }

        return [.. ids];
    }

    // By hand, because the serialiser does not write a lone surrogate, and here it must arrive.
    private static void WriteJson(StreamWriter writer, string text)
    {
        writer.Write('"');
        foreach (char c in text)
        {
            if (c is >= ' ' and <= '~' and not ('"' or '\\'))
            {
                writer.Write(c);
            }
            else
            {
                writer.Write("\\u");
                writer.Write(((int)c).ToString("x4", CultureInfo.InvariantCulture));
            }
        }

        writer.Write("\"\n");
    }
}
