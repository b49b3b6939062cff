using System.Text.Json;

namespace SimCse.Data;

/// <summary>Texts to encode or tokenize, one a line, streamed.</summary>
public static class TextLines
{
    /// <summary>
    /// The lines of a file (unpacked where its name ends in .gz), or of standard input where <paramref name="path"/> is "-". Strictly UTF-8; a line ends in
    /// LF or CR LF; a byte order mark is skipped; an empty line is a text too, so that rows stay aligned with lines.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">Not UTF-8: the message has file, line and byte column. Or damaged compressed data.</exception>
    public static IEnumerable<string> Read(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return string.Equals(path, "-", StringComparison.Ordinal) ? Read(Console.OpenStandardInput(), "standard input") : Read(DataFiles.OpenUnpacked(path), path);
    }

    /// <summary>The lines of a stream, which is disposed after the last.</summary>
    /// <param name="stream">Read from its place to its end.</param>
    /// <param name="name">What errors call it.</param>
    public static IEnumerable<string> Read(Stream stream, string name)
    {
        using Utf8LineReader reader = new(stream, name);
        while (reader.ReadLine() is { } line)
        {
            yield return line;
        }
    }

    /// <summary>Like <see cref="Read(string)"/>, but every line is a JSON string, so that a text may hold a line break.</summary>
    /// <exception cref="InvalidDataException">A line is not a JSON string.</exception>
    public static IEnumerable<string> ReadJson(string path)
    {
        string name = string.Equals(path, "-", StringComparison.Ordinal) ? "standard input" : path;
        long number = 0;
        foreach (string line in Read(path))
        {
            number++;
            yield return JsonText(line, name, number);
        }
    }

    private static string JsonText(string line, string name, long number)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            return document.RootElement.ValueKind == JsonValueKind.String
                ? document.RootElement.GetString()!
                : throw new InvalidDataException($"{name}:{number}:1: found a JSON {SentenceRows.KindName(document.RootElement)}; expected a JSON string");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{name}:{number}:{e.BytePositionInLine + 1}: not JSON; expected a JSON string such as \"a text\"", e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{name}:{number}:1: the JSON string holds half a surrogate pair and is no text", e);
        }
    }
}
