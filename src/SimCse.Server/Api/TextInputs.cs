using System.Text.Json;
using System.Text.Json.Serialization;

namespace SimCse.Server.Api;

/// <summary>The texts of a request: a string, an array of strings, an array of token ids, or an array of such arrays.</summary>
/// <param name="Texts">Each a text, or its token ids.</param>
internal sealed record TextInputs(IReadOnlyList<TextInput> Texts)
{
    /// <summary>Texts that the server has put together.</summary>
    public static TextInputs Of(IEnumerable<string> texts) => new([.. texts.Select(text => new TextInput(text, null))]);
}

/// <summary>A text, or its token ids.</summary>
internal readonly record struct TextInput(string? Text, int[]? Ids);

/// <summary>Reads <see cref="TextInputs"/>, and stops at more texts than a request may have.</summary>
internal sealed class TextInputsConverter(int most) : JsonConverter<TextInputs>
{
    private const string Expected = "expected a string, an array of strings, an array of token ids, or an array of such arrays";

    public override TextInputs Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            return new TextInputs([new TextInput(reader.GetString(), null)]);
        }

        if (reader.TokenType != JsonTokenType.StartArray)
        {
            throw new JsonException(Expected);
        }

        reader.Read();
        if (reader.TokenType == JsonTokenType.Number)
        {
            return new TextInputs([new TextInput(null, ReadIds(ref reader))]);
        }

        List<TextInput> texts = [];
        for (; reader.TokenType != JsonTokenType.EndArray; reader.Read())
        {
            if (texts.Count == most)
            {
                throw RequestException.TooLarge($"the request has more than {most} texts, which is as many as one may have");
            }

            switch (reader.TokenType)
            {
                case JsonTokenType.String:
                    texts.Add(new TextInput(reader.GetString(), null));
                    break;
                case JsonTokenType.StartArray:
                    reader.Read();
                    texts.Add(new TextInput(null, ReadIds(ref reader)));
                    break;
                default:
                    throw new JsonException($"text {texts.Count} is neither a string nor an array of token ids; {Expected}");
            }
        }

        return new TextInputs(texts);
    }

    public override void Write(Utf8JsonWriter writer, TextInputs value, JsonSerializerOptions options) => throw new NotSupportedException("requests are only read");

    private static int[] ReadIds(ref Utf8JsonReader reader)
    {
        List<int> ids = [];
        for (; reader.TokenType != JsonTokenType.EndArray; reader.Read())
        {
            ids.Add(reader.TokenType == JsonTokenType.Number && reader.TryGetInt32(out int id) ? id : throw new JsonException($"token {ids.Count} is not a token id; {Expected}"));
        }

        return [.. ids];
    }
}
