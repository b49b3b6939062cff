using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace SimCse.Checkpoints;

/// <summary>
/// The fields of a JSON object in a named file: every wrong kind, range or syntax becomes an <see cref="InvalidDataException"/> of one line
/// that names the file and the field.
/// </summary>
internal readonly struct JsonFields
{
    /// <summary>Deeper nesting is refused; Hugging Face's files have less than ten levels.</summary>
    private const int MaximumDepth = 32;

    /// <summary>Configuration files are some kilobytes; what is larger is not one.</summary>
    private const int MaximumConfigurationLength = 4 << 20;

    private readonly string _file;
    private readonly string _path;

    private JsonFields(JsonElement element, string file, string path)
    {
        Element = element;
        _file = file;
        _path = path;
    }

    public JsonElement Element { get; }

    /// <summary>Reads a configuration file that holds one JSON object.</summary>
    public static JsonFields ReadObject(string path) => Object(ReadDocument(path, MaximumConfigurationLength), path);

    /// <summary>Reads and parses a whole JSON file of at most <paramref name="maximumLength"/> bytes.</summary>
    public static JsonElement ReadDocument(string path, int maximumLength) => Parse(ReadBytes(path, maximumLength), path);

    /// <summary>The bytes of a configuration file.</summary>
    public static byte[] ReadConfiguration(string path) => ReadBytes(path, MaximumConfigurationLength);

    /// <summary>Parses one JSON document: valid UTF-8, no duplicated keys, no broken escapes, bounded depth.</summary>
    public static JsonElement Parse(ReadOnlyMemory<byte> utf8, string file)
    {
        if (!Utf8.IsValid(utf8.Span))
        {
            throw new InvalidDataException($"{file}: not valid UTF-8, which JSON must be");
        }

        try
        {
            // JsonDocument meets a broken escape (half a surrogate pair) only when it is asked for the string: ask here, once.
            Utf8JsonReader reader = new(utf8.Span, new JsonReaderOptions { MaxDepth = MaximumDepth });
            while (reader.Read())
            {
                if (reader.TokenType is JsonTokenType.PropertyName or JsonTokenType.String && reader.ValueIsEscaped)
                {
                    _ = reader.GetString();
                }
            }

            using JsonDocument document = JsonDocument.Parse(utf8, new JsonDocumentOptions { MaxDepth = MaximumDepth, AllowDuplicateProperties = false });
            return document.RootElement.Clone();
        }
        catch (JsonException e)
        {
            string where = e.LineNumber is { } line ? $" at line {line + 1}, column {e.BytePositionInLine + 1}" : "";
            string what = e.Message;
            int end = what.IndexOf(" Path: ", StringComparison.Ordinal);
            end = end < 0 ? what.IndexOf(" LineNumber: ", StringComparison.Ordinal) : end;
            throw new InvalidDataException($"{file}: not valid JSON{where}: {OneLine(end < 0 ? what : what[..end], 300)}", e);
        }
        catch (InvalidOperationException e)
        {
            throw new InvalidDataException($"{file}: not valid JSON: a string holds half a surrogate pair", e);
        }
    }

    /// <summary>The fields of <paramref name="element"/>, which must be an object.</summary>
    public static JsonFields Object(JsonElement element, string file, string path = "")
    {
        JsonFields fields = new(element, file, path);
        return element.ValueKind == JsonValueKind.Object ? fields : throw fields.Wrong(path.Length == 0 ? "the document" : path, element, "an object");
    }

    /// <summary>A text out of a file, fit for a message: quoted, on one line, cut when long.</summary>
    public static string Quote(string text) => $"'{OneLine(text, 120)}'";

    /// <summary>Whether the field is there and not null.</summary>
    public bool Has(string name) => Element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null;

    public string? Text(string name) => Get(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.String ? value.GetString() : throw Wrong(Path(name), value, "a string");

    public string RequiredText(string name) => Text(name) ?? throw Missing(name);

    public bool? Truth(string name) => Get(name) is not { } value ? null
        : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean() : throw Wrong(Path(name), value, "true or false");

    public int? Integer(string name, int minimum, int maximum)
    {
        if (Get(name) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int number) && number >= minimum && number <= maximum
            ? number
            : throw Wrong(Path(name), value, $"an integer from {minimum} to {maximum}");
    }

    public int RequiredInteger(string name, int minimum, int maximum) => Integer(name, minimum, maximum) ?? throw Missing(name);

    /// <summary>A number in [<paramref name="minimum"/>, <paramref name="below"/>).</summary>
    public double? Number(string name, double minimum, double below)
    {
        if (Get(name) is not { } value)
        {
            return null;
        }

        return value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number >= minimum && number < below
            ? number
            : throw Wrong(Path(name), value, $"a number of at least {minimum} and below {below}");
    }

    /// <summary>A field that is an object; null where it is absent.</summary>
    public JsonFields? Fields(string name) => Get(name) is not { } value ? null : Object(value, _file, Path(name));

    /// <summary>A field that is an array, each of its items; null where it is absent.</summary>
    public JsonElement? Array(string name) => Get(name) is not { } value ? null
        : value.ValueKind == JsonValueKind.Array ? value : throw Wrong(Path(name), value, "an array");

    public InvalidDataException Wrong(string path, JsonElement found, string expected) =>
        new($"{_file}: {OneLine(path, 200)} is {Show(found)}, expected {expected}");

    public InvalidDataException Wrong(string name, string expected) => Wrong(Path(name), Element.GetProperty(name), expected);

    private static byte[] ReadBytes(string path, int maximumLength)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        long length = stream.Length;
        if (length > maximumLength)
        {
            throw new InvalidDataException($"{path}: {length} bytes long, expected at most {maximumLength}");
        }

        byte[] bytes = new byte[length];
        try
        {
            stream.ReadExactly(bytes);
        }
        catch (EndOfStreamException e)
        {
            throw new InvalidDataException($"{path}: became shorter while it was read", e);
        }

        return bytes;
    }

    private static string Show(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Object => "an object",
        JsonValueKind.Array => "an array",
        JsonValueKind.String => Quote(value.GetString()!),
        _ => OneLine(value.GetRawText(), 60),
    };

    private static string OneLine(string text, int maximumLength)
    {
        StringBuilder line = new(Math.Min(text.Length, maximumLength) + 1);
        foreach (char c in text)
        {
            if (line.Length >= maximumLength)
            {
                line.Append('…');
                break;
            }

            line.Append(char.IsControl(c) || c is '\u2028' or '\u2029' || char.IsSurrogate(c) ? '\uFFFD' : c);
        }

        return line.ToString();
    }

    private string Path(string name) => _path.Length == 0 ? name : $"{_path}.{name}";

    private JsonElement? Get(string name) => Has(name) ? Element.GetProperty(name) : null;

    private InvalidDataException Missing(string name) => new($"{_file}: {OneLine(Path(name), 200)} is missing");
}
