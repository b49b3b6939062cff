using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using SimCse.Server.Batching;
using SimCse.Tokenization;

namespace SimCse.Server.Api;

/// <summary>OpenAI's embeddings API, as its clients speak it.</summary>
internal static class OpenAiEndpoints
{
    public static void Map(IEndpointRouteBuilder routes, ServerJson json)
    {
        RouteGroupBuilder group = routes.MapGroup("/v1").WithTags("OpenAI");
        group.MapPost("/embeddings", async (HttpContext context, RequestBody body, RequestLimit limit, TextVectors vectors, EmbeddingServerOptions options) =>
            {
                OpenAiRequest request = await body.ReadAsync(context, json.OpenAiRequest);
                return TypedResults.Json(await EmbedAsync(request, context, limit, vectors, options), json.OpenAiResponse);
            })
            .WithSummary("The vectors of texts")
            .Accepts<OpenAiRequest>("application/json").Produces<OpenAiResponse>().WithErrors<OpenAiError>(400, 401, 404, 408, 413, 415, 429, 503);
        group.MapGet("/models", (EmbeddingServerOptions options) => TypedResults.Json(new OpenAiModels([new OpenAiModel(options.ModelName)]), json.OpenAiModels))
            .WithSummary("The one model that is served").Produces<OpenAiModels>().WithErrors<OpenAiError>(401);
        group.MapGet("/models/{**model}", (string model, EmbeddingServerOptions options) =>
            {
                RequireModel(model, options);
                return TypedResults.Json(new OpenAiModel(options.ModelName), json.OpenAiModel);
            })
            .WithSummary("The model of this name").Produces<OpenAiModel>().WithErrors<OpenAiError>(401, 404);
    }

    private static async Task<OpenAiResponse> EmbedAsync(OpenAiRequest request, HttpContext context, RequestLimit limit, TextVectors vectors, EmbeddingServerOptions options)
    {
        RequireModel(request.Model, options);
        bool base64 = request.EncodingFormat switch
        {
            null or "float" => false,
            "base64" => true,
            _ => throw RequestException.Invalid($"'encoding_format' is '{request.EncodingFormat}'; expected float or base64", "encoding_format"),
        };
        int dimensions = vectors.Dimensions(request.Dimensions);
        using RequestLimit.Place place = limit.Enter(context);
        TokenizedText[] texts = vectors.Tokenize(request.Input, truncate: null, "input");
        EmbeddingMatrix encoded = await vectors.EncodeAsync(texts, place.CancellationToken);
        int tokens = texts.Sum(text => text.Ids.Length);
        return new OpenAiResponse(
            [.. Enumerable.Range(0, encoded.Count).Select(row => new OpenAiEmbedding(row, new EmbeddingValue(TextVectors.Components(encoded[row], dimensions, normalize: true), base64)))],
            options.ModelName,
            new OpenAiUsage(tokens, tokens));
    }

    private static void RequireModel(string? model, EmbeddingServerOptions options)
    {
        if (model is not null && !string.Equals(model, options.ModelName, StringComparison.Ordinal))
        {
            throw new RequestException(StatusCodes.Status404NotFound, "Validation", $"the model is '{model}'; this server has '{options.ModelName}'") { Field = "model", Code = "model_not_found" };
        }
    }
}

/// <summary>What <c>POST /v1/embeddings</c> takes.</summary>
/// <param name="Input">A string, an array of strings, an array of token ids, or an array of such arrays.</param>
/// <param name="Model">The name of the model that is served; it may be left out.</param>
/// <param name="EncodingFormat">float (the default), or base64: the components as little-endian float32.</param>
/// <param name="Dimensions">The first components of each vector, scaled to length one; all where it is not given.</param>
/// <param name="User">Taken and not used.</param>
internal sealed record OpenAiRequest([property: JsonRequired] TextInputs Input, string? Model = null, string? EncodingFormat = null, int? Dimensions = null, string? User = null);

/// <summary>The vectors of a request, in its order.</summary>
/// <param name="Data">One for each text.</param>
/// <param name="Model">The model that is served.</param>
/// <param name="Usage">The tokens.</param>
/// <param name="Object">Always list.</param>
internal sealed record OpenAiResponse(IReadOnlyList<OpenAiEmbedding> Data, string Model, OpenAiUsage Usage, string Object = "list");

/// <summary>One vector, of length one.</summary>
/// <param name="Index">Which text.</param>
/// <param name="Embedding">Its components.</param>
/// <param name="Object">Always embedding.</param>
internal sealed record OpenAiEmbedding(int Index, EmbeddingValue Embedding, string Object = "embedding");

/// <summary>Tokens of all texts, special ones included.</summary>
internal sealed record OpenAiUsage(int PromptTokens, int TotalTokens);

/// <summary>The models.</summary>
internal sealed record OpenAiModels(IReadOnlyList<OpenAiModel> Data, string Object = "list");

/// <summary>A model.</summary>
/// <param name="Id">Its name.</param>
/// <param name="Object">Always model.</param>
/// <param name="Created">Not known: 0.</param>
/// <param name="OwnedBy">Always simcse.</param>
internal sealed record OpenAiModel(string Id, string Object = "model", long Created = 0, string OwnedBy = "simcse");

/// <summary>An error as OpenAI's clients read it.</summary>
internal sealed record OpenAiError(OpenAiErrorDetail Error);

/// <summary>What is wrong.</summary>
/// <param name="Message">Where, what was found, what was expected.</param>
/// <param name="Type">invalid_request_error, authentication_error, rate_limit_error or server_error.</param>
/// <param name="Param">The field at fault.</param>
/// <param name="Code">A word for programs.</param>
internal sealed record OpenAiErrorDetail(string Message, string Type, string? Param, string? Code);

/// <summary>A vector as an array of numbers or, in base64, as the bytes of its components.</summary>
internal readonly record struct EmbeddingValue(float[] Components, bool Base64);

internal sealed class EmbeddingValueConverter : JsonConverter<EmbeddingValue>
{
    public override EmbeddingValue Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException("answers are only written");

    public override void Write(Utf8JsonWriter writer, EmbeddingValue value, JsonSerializerOptions options)
    {
        if (value.Base64)
        {
            writer.WriteBase64StringValue(MemoryMarshal.AsBytes(value.Components.AsSpan()));
            return;
        }

        VectorJson.Write(writer, value.Components);
    }
}
