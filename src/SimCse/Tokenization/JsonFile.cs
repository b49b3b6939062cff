using System.Text.Json;

namespace SimCse.Tokenization;

/// <summary>A JSON file that is read strictly: whatever is not as it must be ends in one line that names the file, the place and what was found.</summary>
internal sealed class JsonFile : IDisposable
{
    private readonly JsonDocument _document;

    private JsonFile(string path, JsonDocument document, long length)
    {
        Path = path;
        _document = document;
        Length = length;
    }

    public string Path { get; }

    /// <summary>In bytes.</summary>
    public long Length { get; }

    public JsonElement Root => _document.RootElement;

    /// <exception cref="InvalidDataException">The file is not one JSON object.</exception>
    public static JsonFile Open(string path)
    {
        ReadOnlyMemory<byte> bytes = File.ReadAllBytes(path);
        if (bytes.Span.StartsWith("\uFEFF"u8))
        {
            bytes = bytes[3..];
        }

        try
        {
            var file = new JsonFile(path, JsonDocument.Parse(bytes), bytes.Length);
            return file.Root.ValueKind == JsonValueKind.Object ? file : throw file.Unexpected("the file", "an object", file.Root);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: not valid JSON at line {e.LineNumber + 1}, byte {e.BytePositionInLine + 1}", e);
        }
    }

    public void Dispose() => _document.Dispose();

    public InvalidDataException Error(string message) => new($"{Path}: {message}");

    public InvalidDataException Unexpected(string where, string expected, JsonElement found)
    {
        string text = found.GetRawText();
        return Error($"{where} must be {expected}, not {(text.Length > 60 ? $"{text[..60].ReplaceLineEndings(" ")}…" : text.ReplaceLineEndings(" "))}");
    }

    /// <summary>A property of an object; null where it is missing or null.</summary>
    public static JsonElement? Find(JsonElement parent, string name) =>
        parent.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;

    public JsonElement? FindObject(JsonElement parent, string where, string name) => Find(parent, name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Object ? value
        : throw Unexpected(Join(where, name), "an object", value);

    public JsonElement RequireObject(JsonElement parent, string where, string name) =>
        FindObject(parent, where, name) ?? throw Error($"{Join(where, name)} is missing");

    public JsonElement RequireArray(JsonElement parent, string where, string name) => Find(parent, name) is not { } value
        ? throw Error($"{Join(where, name)} is missing")
        : value.ValueKind == JsonValueKind.Array ? value
        : throw Unexpected(Join(where, name), "an array", value);

    public string? FindString(JsonElement parent, string where, string name) => Find(parent, name) is { } value ? AsString(value, Join(where, name)) : null;

    public string RequireString(JsonElement parent, string where, string name) =>
        FindString(parent, where, name) ?? throw Error($"{Join(where, name)} is missing");

    public bool? FindBoolean(JsonElement parent, string where, string name) => Find(parent, name) is not { } value ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
        : throw Unexpected(Join(where, name), "true or false", value);

    public string AsString(JsonElement value, string where)
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw Unexpected(where, "a string", value);
        }

        try
        {
            return value.GetString()!;
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{Path}: {where} is not valid Unicode", e);
        }
    }

    public string NameOf(JsonProperty property, string where)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{Path}: a name in {where} is not valid Unicode", e);
        }
    }

    /// <summary>A token id: from 0, and no larger than a file of this length could give tokens for.</summary>
    public int AsId(JsonElement value, string where) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int id) && id >= 0 && id <= Length
            ? id
            : throw Unexpected(where, $"a token id, 0 to {Length}", value);

    public static string Join(string where, string name) => where.Length == 0 ? name : $"{where}.{name}";
}
