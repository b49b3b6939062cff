using System.Text.Encodings.Web;
using System.Text.Json;
using SimCse.Checkpoints;

namespace SimCse.Cli;

/// <summary>Writes a file of three columns, as <c>simcse train</c> reads it: anchor, positive, hard negative.</summary>
internal static class TripletWriter
{
    private static readonly JsonWriterOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <exception cref="UsageException">The ending is none of those that are written.</exception>
    public static void CheckEnding(string path)
    {
        if (Path.GetExtension(path).ToLowerInvariant() is not (".jsonl" or ".csv" or ".tsv"))
        {
            throw new UsageException($"--output is '{path}'; expected a file that ends in .jsonl, .csv or .tsv");
        }
    }

    /// <summary>Writes the triplets, beside the file's place, and renames it there.</summary>
    /// <returns>How many there were.</returns>
    /// <exception cref="InvalidDataException">A text holds what a .tsv cannot hold.</exception>
    public static long Write(string path, IEnumerable<(string Anchor, string Positive, string Negative)> triplets)
    {
        long count = 0;
        AtomicFile.Write(path, stream =>
        {
            using StreamWriter writer = new(stream, leaveOpen: true) { NewLine = "\n" };
            string ending = Path.GetExtension(path).ToLowerInvariant();
            if (ending is not ".jsonl")
            {
                writer.WriteLine(string.Join(ending is ".csv" ? ',' : '\t', "sent0", "sent1", "hard_neg"));
            }

            foreach ((string anchor, string positive, string negative) in triplets)
            {
                count++;
                writer.WriteLine(ending switch
                {
                    ".jsonl" => Json(anchor, positive, negative),
                    ".csv" => string.Join(',', Quoted(anchor), Quoted(positive), Quoted(negative)),
                    _ => string.Join('\t', Plain(path, anchor), Plain(path, positive), Plain(path, negative)),
                });
            }
        });
        return count;
    }

    private static string Json(string anchor, string positive, string negative)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, s_json))
        {
            json.WriteStartObject();
            json.WriteString("sent0", anchor);
            json.WriteString("sent1", positive);
            json.WriteString("hard_neg", negative);
            json.WriteEndObject();
        }

        return System.Text.Encoding.UTF8.GetString(bytes.ToArray());
    }

    private static string Quoted(string text) => $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    private static string Plain(string path, string text) => text.AsSpan().IndexOfAny('\t', '\r', '\n') < 0
        ? text
        : throw new InvalidDataException($"{path}: a text holds a tab or a line break, which a .tsv cannot hold ('{text[..Math.Min(40, text.Length)]}…'); write .jsonl or .csv");
}
