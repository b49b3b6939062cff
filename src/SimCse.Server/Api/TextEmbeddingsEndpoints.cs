using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using SimCse.Server.Batching;
using SimCse.Tokenization;

namespace SimCse.Server.Api;

/// <summary>The API of text-embeddings-inference, as its clients speak it.</summary>
internal static class TextEmbeddingsEndpoints
{
    private static readonly int[] s_errors = [400, 401, 408, 413, 415, 429, 503];

    public static void Map(IEndpointRouteBuilder routes, ServerJson json)
    {
        RouteGroupBuilder group = routes.MapGroup("").WithTags("Text Embeddings Inference");
        group.MapPost("/embed", async (HttpContext context, RequestBody body, RequestLimit limit, TextVectors vectors) =>
            {
                EmbedRequest request = await body.ReadAsync(context, json.EmbedRequest);
                return TypedResults.Json(await EmbedAsync(request, context, limit, vectors), json.IReadOnlyListSingleArray);
            })
            .WithSummary("The vectors of texts")
            .Accepts<EmbedRequest>("application/json").Produces<IReadOnlyList<float[]>>().WithErrors<ErrorResponse>(s_errors);
        group.MapPost("/similarity", async (HttpContext context, RequestBody body, RequestLimit limit, TextVectors vectors) =>
            {
                SimilarityRequest request = await body.ReadAsync(context, json.SimilarityRequest);
                return TypedResults.Json(await SimilarityAsync(request, context, limit, vectors), json.SingleArray);
            })
            .WithSummary("The cosines of one text with others")
            .Accepts<SimilarityRequest>("application/json").Produces<float[]>().WithErrors<ErrorResponse>(s_errors);
        group.MapPost("/similarity/matrix", async (HttpContext context, RequestBody body, RequestLimit limit, TextVectors vectors) =>
            {
                MatrixRequest request = await body.ReadAsync(context, json.MatrixRequest);
                return TypedResults.Json(await MatrixAsync(request, context, limit, vectors), json.MatrixResponse);
            })
            .WithSummary("The cosines of each of some texts with each of others").WithTags("SimCSE")
            .Accepts<MatrixRequest>("application/json").Produces<MatrixResponse>().WithErrors<ErrorResponse>(s_errors);
        group.MapPost("/tokenize", async (HttpContext context, RequestBody body, RequestLimit limit, SentenceEncoder encoder) =>
            {
                TokenizeRequest request = await body.ReadAsync(context, json.TokenizeRequest);
                return TypedResults.Json(Tokenize(request, context, limit, encoder), json.IReadOnlyListTokenArray);
            })
            .WithSummary("The tokens of texts, uncut")
            .Accepts<TokenizeRequest>("application/json").Produces<IReadOnlyList<Token[]>>().WithErrors<ErrorResponse>(s_errors);
        group.MapGet("/info", (SentenceEncoder encoder, EmbeddingServerOptions options) => TypedResults.Json(ServerInfo.Of(encoder, options), json.ServerInfo))
            .WithSummary("The model and the limits").Produces<ServerInfo>().WithErrors<ErrorResponse>(401);
    }

    private static async Task<IReadOnlyList<float[]>> EmbedAsync(EmbedRequest request, HttpContext context, RequestLimit limit, TextVectors vectors)
    {
        RequireDefaults(request.PromptName, request.TruncationDirection);
        int dimensions = vectors.Dimensions(request.Dimensions);
        using RequestLimit.Place place = limit.Enter(context);
        EmbeddingMatrix encoded = await vectors.EncodeAsync(vectors.Tokenize(request.Inputs, request.Truncate, "inputs"), place.CancellationToken);
        return [.. Enumerable.Range(0, encoded.Count).Select(row => TextVectors.Components(encoded[row], dimensions, request.Normalize ?? true))];
    }

    private static async Task<float[]> SimilarityAsync(SimilarityRequest request, HttpContext context, RequestLimit limit, TextVectors vectors)
    {
        RequireDefaults(request.Parameters?.PromptName, request.Parameters?.TruncationDirection);
        SimilarityInputs inputs = request.Inputs;
        using RequestLimit.Place place = limit.Enter(context);
        TokenizedText[] sentences = vectors.Tokenize(inputs.Sentences, request.Parameters?.Truncate, "sentences");
        TokenizedText[] source = vectors.Tokenize(TextInputs.Of([inputs.SourceSentence]), request.Parameters?.Truncate, "source_sentence");
        EmbeddingMatrix encoded = await vectors.EncodeAsync([.. source, .. sentences], place.CancellationToken);
        return [.. Enumerable.Range(1, sentences.Length).Select(row => TextVectors.Cosine(encoded[0], encoded[row]))];
    }

    private static async Task<MatrixResponse> MatrixAsync(MatrixRequest request, HttpContext context, RequestLimit limit, TextVectors vectors)
    {
        using RequestLimit.Place place = limit.Enter(context);
        TokenizedText[] rows = vectors.Tokenize(request.Rows, request.Truncate, "rows"), columns = vectors.Tokenize(request.Columns, request.Truncate, "columns");
        EmbeddingMatrix encoded = await vectors.EncodeAsync([.. rows, .. columns], place.CancellationToken);
        return new MatrixResponse(
            [.. Enumerable.Range(0, rows.Length).Select(row => Enumerable.Range(rows.Length, columns.Length).Select(column => TextVectors.Cosine(encoded[row], encoded[column])).ToArray())]);
    }

    private static List<Token[]> Tokenize(TokenizeRequest request, HttpContext context, RequestLimit limit, SentenceEncoder encoder)
    {
        RequireDefaults(request.PromptName, truncationDirection: null);
        using RequestLimit.Place place = limit.Enter(context);
        List<Token[]> texts = new(request.Inputs.Texts.Count);
        foreach (TextInput input in request.Inputs.Texts)
        {
            string text = input.Text ?? throw RequestException.Invalid("'inputs' holds token ids; expected texts", "inputs");
            int[] ids = encoder.Tokenizer.Encode(text).Ids;
            IEnumerable<Token> tokens = ids.Select((id, i) =>
                new Token(id, encoder.Tokenizer.TokenOf(id), (i == 0 && id == encoder.Tokenizer.ClassTokenId) || (i == ids.Length - 1 && id == encoder.Tokenizer.SeparatorTokenId)));
            texts.Add([.. tokens.Where(token => request.AddSpecialTokens != false || !token.Special)]);
            place.CancellationToken.ThrowIfCancellationRequested();
        }

        return texts;
    }

    /// <summary>What text-embeddings-inference has, and this does not, is refused where it would change the vectors.</summary>
    private static void RequireDefaults(string? promptName, string? truncationDirection)
    {
        if (promptName is not null)
        {
            throw RequestException.Invalid($"'prompt_name' is '{promptName}'; this server has no prompts: put the prompt before the text", "prompt_name");
        }

        if (truncationDirection is not null && !string.Equals(truncationDirection, "Right", StringComparison.OrdinalIgnoreCase))
        {
            throw RequestException.Invalid($"'truncation_direction' is '{truncationDirection}'; expected Right: texts are cut at their end", "truncation_direction");
        }
    }
}

/// <summary>What <c>POST /embed</c> takes.</summary>
/// <param name="Inputs">A string, an array of strings, an array of token ids, or an array of such arrays.</param>
/// <param name="Truncate">Whether a text that is too long is cut; what the server does where it is not given.</param>
/// <param name="TruncationDirection">Right: texts are cut at their end.</param>
/// <param name="PromptName">Not known here: null.</param>
/// <param name="Normalize">Whether vectors are scaled to length one: true where it is not given.</param>
/// <param name="Dimensions">The first components of each vector; all where it is not given.</param>
internal sealed record EmbedRequest([property: JsonRequired] TextInputs Inputs, bool? Truncate = null, string? TruncationDirection = null, string? PromptName = null, bool? Normalize = null, int? Dimensions = null);

/// <summary>What <c>POST /similarity</c> takes.</summary>
internal sealed record SimilarityRequest([property: JsonRequired] SimilarityInputs Inputs, SimilarityParameters? Parameters = null);

/// <summary>One text, and those to compare it with.</summary>
internal sealed record SimilarityInputs([property: JsonRequired] string SourceSentence, [property: JsonRequired] TextInputs Sentences);

/// <summary>As of <see cref="EmbedRequest"/>.</summary>
internal sealed record SimilarityParameters(bool? Truncate = null, string? TruncationDirection = null, string? PromptName = null);

/// <summary>What <c>POST /similarity/matrix</c> takes.</summary>
internal sealed record MatrixRequest([property: JsonRequired] TextInputs Rows, [property: JsonRequired] TextInputs Columns, bool? Truncate = null);

/// <summary>A row for each of the rows, with the cosine of each column.</summary>
internal sealed record MatrixResponse(IReadOnlyList<float[]> Cosines);

/// <summary>What <c>POST /tokenize</c> takes.</summary>
internal sealed record TokenizeRequest([property: JsonRequired] TextInputs Inputs, bool? AddSpecialTokens = null, string? PromptName = null);

/// <summary>A token.</summary>
/// <param name="Id">Its number in the vocabulary.</param>
/// <param name="Text">As the vocabulary spells it.</param>
/// <param name="Special">Whether it was put around the text.</param>
/// <param name="Start">Where it stood in the text: not known here, always null.</param>
/// <param name="Stop">Where it ended: not known here, always null.</param>
internal sealed record Token(int Id, string Text, bool Special, int? Start = null, int? Stop = null);

/// <summary>What <c>GET /info</c> gives.</summary>
internal sealed record ServerInfo(
    string ModelId, string ModelDtype, ModelType ModelType, int Dimensions, int MaxConcurrentRequests, int MaxInputLength, int MaxBatchTokens, int MaxClientBatchSize, int PayloadLimit, bool AutoTruncate, int TokenizationWorkers, string Version)
{
    public static ServerInfo Of(SentenceEncoder encoder, EmbeddingServerOptions options) => new(
        options.ModelName,
        "float32",
        new ModelType(new EmbeddingType(encoder.Pooling.ToName())),
        encoder.Dimensions,
        options.MaxConcurrentRequests,
        encoder.MaxLength,
        options.MaxBatchTokens,
        options.MaxClientBatchSize,
        options.PayloadLimit,
        options.AutoTruncate,
        Environment.ProcessorCount,
        typeof(ServerInfo).Assembly.GetName().Version!.ToString(3));
}

/// <summary>The kind of model.</summary>
internal sealed record ModelType(EmbeddingType Embedding);

/// <summary>How its vectors are made.</summary>
internal sealed record EmbeddingType(string Pooling);

/// <summary>An error as text-embeddings-inference gives it.</summary>
/// <param name="Error">Where, what was found, what was expected.</param>
/// <param name="ErrorType">Validation, Overloaded, Unhealthy, Backend or Authentication.</param>
internal sealed record ErrorResponse(string Error, string ErrorType);
