using System.Text.Json;
using System.Text.Json.Serialization;
using SimCse.Search;

namespace SimCse.Server.Api;

/// <summary>A value of an entry's metadata: a string, a number, true or false.</summary>
internal sealed class MetadataValueConverter : JsonConverter<MetadataValue>
{
    public override MetadataValue Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => reader.TokenType switch
    {
        JsonTokenType.String => reader.GetString()!,
        JsonTokenType.True => true,
        JsonTokenType.False => false,
        JsonTokenType.Number when reader.TryGetDouble(out double number) && double.IsFinite(number) => number,
        _ => throw new JsonException("expected a string, a number that a double can hold, true or false"),
    };

    public override void Write(Utf8JsonWriter writer, MetadataValue value, JsonSerializerOptions options)
    {
        if (value.Text is { } text)
        {
            writer.WriteStringValue(text);
        }
        else if (value.Number is { } number)
        {
            writer.WriteNumberValue(number);
        }
        else
        {
            writer.WriteBooleanValue(value.Truth!.Value);
        }
    }
}
