using System.Text.Encodings.Web;
using System.Text.Json;

namespace SimCse.Data;

/// <summary>A JSON object a line: text and embedding.</summary>
internal sealed class JsonLinesVectorWriter : VectorWriter
{
    // The relaxed encoder leaves letters of all scripts as they are: the file is for programs and people, not for pages.
    private readonly Utf8JsonWriter _json;

    public JsonLinesVectorWriter(string path, int dimensions)
        : base(path, dimensions) => _json = new Utf8JsonWriter(Stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    private protected override void WriteRow(string text, ReadOnlySpan<float> vector)
    {
        RequireFinite(vector);
        _json.Reset();
        _json.WriteStartObject();
        _json.WriteString("text"u8, text);
        _json.WriteStartArray("embedding"u8);
        foreach (float value in vector)
        {
            _json.WriteNumberValue(value);
        }

        _json.WriteEndArray();
        _json.WriteEndObject();
        _json.Flush();
        Stream.WriteByte((byte)'\n');
    }

    private protected override void Finish()
    {
        // Every row is flushed as it is written.
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _json.Reset(System.IO.Stream.Null);
            _json.Dispose();
        }

        base.Dispose(disposing);
    }
}
