using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SimCse.Server.Api;

/// <summary>The JSON of requests and answers: snake_case, strict about kinds and duplicates, tolerant of fields that it does not know.</summary>
[JsonSerializable(typeof(OpenAiRequest))]
[JsonSerializable(typeof(OpenAiResponse))]
[JsonSerializable(typeof(OpenAiModel))]
[JsonSerializable(typeof(OpenAiModels))]
[JsonSerializable(typeof(OpenAiError))]
[JsonSerializable(typeof(EmbedRequest))]
[JsonSerializable(typeof(IReadOnlyList<float[]>))]
[JsonSerializable(typeof(float[][]))]
[JsonSerializable(typeof(SimilarityRequest))]
[JsonSerializable(typeof(MatrixRequest))]
[JsonSerializable(typeof(MatrixResponse))]
[JsonSerializable(typeof(TokenizeRequest))]
[JsonSerializable(typeof(IReadOnlyList<Token[]>))]
[JsonSerializable(typeof(ServerInfo))]
[JsonSerializable(typeof(ErrorResponse))]
[JsonSerializable(typeof(HealthResponse))]
[JsonSerializable(typeof(SearchRequest))]
[JsonSerializable(typeof(SearchResponse))]
[JsonSerializable(typeof(IndexResponse))]
[JsonSerializable(typeof(AddRequest))]
[JsonSerializable(typeof(AddResponse))]
[JsonSerializable(typeof(DeleteRequest))]
[JsonSerializable(typeof(DeleteResponse))]
[JsonSerializable(typeof(EntryJson))]
[JsonSerializable(typeof(MapResponse))]
[JsonSerializable(typeof(SpectrumResponse))]
[JsonSerializable(typeof(RunResponse))]
internal sealed partial class ServerJson : JsonSerializerContext
{
    /// <param name="mostTexts">Of a request.</param>
    public static ServerJson For(int mostTexts) => new(new JsonSerializerOptions
    {
        PropertyNamingPolicy = JsonNamingPolicy.SnakeCaseLower,
        AllowDuplicateProperties = false,
        RespectNullableAnnotations = true,
        MaxDepth = 16,
        DefaultIgnoreCondition = JsonIgnoreCondition.Never,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, // the content type is application/json, and browsers are told not to guess another
        Converters = { new TextInputsConverter(mostTexts), new EmbeddingValueConverter(), new VectorConverter(), new MetadataValueConverter() },
    });
}
