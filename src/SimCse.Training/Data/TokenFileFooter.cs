using System.Text.Json;

namespace SimCse.Training.Data;

/// <summary>What the tokens of a file follow from: where all of it is the same, so are they.</summary>
/// <param name="Data">SHA-256 of the data file's bytes; null for rows that were given in memory.</param>
/// <param name="Format">By which format the data was read; null for rows that were given in memory.</param>
/// <param name="Limit">How many rows were read at most; null for all.</param>
/// <param name="Tokenizer">SHA-256 of the tokenizer's files, and the build whose code read them; null for rows that were given in memory.</param>
/// <param name="MaxLength">Tokens kept of a text, special tokens included.</param>
internal sealed record TokenFileKey(string? Data, string? Format, int? Limit, string? Tokenizer, int MaxLength);

/// <summary>The JSON at the end of a token file. It is written last: a file that has it is whole.</summary>
/// <param name="Key">What the tokens follow from.</param>
/// <param name="Columns">1 to 3.</param>
/// <param name="Rows">The number of rows.</param>
/// <param name="Truncated">How many texts were longer than the limit and cut.</param>
/// <param name="IdBytes">Bytes of an id: 2 or 4.</param>
/// <param name="Sha256">Of all bytes before the footer.</param>
internal sealed record TokenFileFooter(TokenFileKey Key, int Columns, int Rows, long Truncated, int IdBytes, string Sha256)
{
    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        RespectNullableAnnotations = true,
        RespectRequiredConstructorParameters = true,
    };

    public byte[] ToJson() => JsonSerializer.SerializeToUtf8Bytes(this, s_json);

    /// <exception cref="JsonException">It is no footer.</exception>
    public static TokenFileFooter Parse(ReadOnlySpan<byte> json) => JsonSerializer.Deserialize<TokenFileFooter>(json, s_json) ?? throw new JsonException("null");
}
