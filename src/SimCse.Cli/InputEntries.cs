using System.Globalization;
using System.Text.Json;
using SimCse.Search;

namespace SimCse.Cli;

/// <summary>The entries of <c>--input</c> for an index, streamed.</summary>
internal static class InputEntries
{
    /// <summary>An entry a line. One without an id of its own is called by its file and line, so that the same line is the same entry the next time.</summary>
    /// <param name="path">A file, or "-" for standard input.</param>
    /// <param name="asJson">Whether a line is a JSON string, or an object with text, and where wanted id and metadata; else it is the text.</param>
    /// <param name="cancellationToken">Ends also a wait for standard input.</param>
    public static IEnumerable<IndexEntry> Read(string path, bool asJson, CancellationToken cancellationToken)
    {
        string name = path is "-" ? "standard input" : path, idPrefix = path is "-" ? "stdin" : Path.GetFileName(path);
        long line = 0;
        foreach (string text in InputTexts.Read(path, asJson: false, cancellationToken))
        {
            line++;
            string id = string.Create(CultureInfo.InvariantCulture, $"{idPrefix}:{line}");
            yield return asJson ? Parse(text, id, string.Create(CultureInfo.InvariantCulture, $"{name}:{line}")) : new IndexEntry(id, text);
        }
    }

    private static IndexEntry Parse(string line, string id, string place)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(line);
            JsonElement root = document.RootElement;
            if (root.ValueKind == JsonValueKind.String)
            {
                return new IndexEntry(id, root.GetString()!);
            }

            if (root.ValueKind != JsonValueKind.Object || !root.TryGetProperty("text", out JsonElement text) || text.ValueKind != JsonValueKind.String)
            {
                throw new InvalidDataException($"{place}: expected a JSON string, or an object such as {{\"id\": \"a1\", \"text\": \"A man plays.\", \"metadata\": {{\"year\": 2021}}}}");
            }

            IndexEntry entry = new(root.TryGetProperty("id", out JsonElement given) ? Id(given, place) : id, text.GetString()!);
            return root.TryGetProperty("metadata", out JsonElement metadata) ? entry with { Metadata = MetadataValue.ReadAll(metadata) } : entry;
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{place}:{e.BytePositionInLine + 1}: not JSON; expected a JSON string, or an object with text", e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{place}: a JSON string holds half a surrogate pair and is no text", e);
        }
        catch (InvalidDataException e) when (!e.Message.StartsWith(place, StringComparison.Ordinal))
        {
            throw new InvalidDataException($"{place}: {e.Message}", e);
        }
    }

    private static string Id(JsonElement id, string place) => id.ValueKind switch
    {
        JsonValueKind.String when id.GetString() is { Length: > 0 } text => text,
        JsonValueKind.Number => id.GetRawText(),
        _ => throw new InvalidDataException($"{place}: 'id' is a JSON {id.ValueKind.ToString().ToLowerInvariant()}; expected a string that is not empty, or a number"),
    };
}
