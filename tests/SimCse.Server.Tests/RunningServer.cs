using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Search;

namespace SimCse.Server.Tests;

/// <summary>A server on a free port of loopback, and a client of it.</summary>
internal sealed class RunningServer : IAsyncDisposable
{
    private readonly SentenceEncoder _encoder;

    private RunningServer(SentenceEncoder encoder, SentenceIndex? index, EmbeddingServer server)
    {
        _encoder = encoder;
        Index = index;
        Server = server;
        Client = new HttpClient { BaseAddress = server.Address, Timeout = TimeSpan.FromMinutes(2) };
    }

    public EmbeddingServer Server { get; }

    public SentenceIndex? Index { get; }

    public HttpClient Client { get; }

    public Uri Address => Server.Address;

    public static string TinyModel => RepositoryPaths.Fixture("tiny-bert");

    public static string DefaultModel => Path.Combine(RepositoryPaths.Root, "models", "simcse-base");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>The reference model with mean pooling.</summary>
    public static Task<RunningServer> StartAsync(Func<EmbeddingServerOptions, EmbeddingServerOptions>? with = null, bool index = false) => StartAsync(TinyModel, with, index);

    public static async Task<RunningServer> StartAsync(string model, Func<EmbeddingServerOptions, EmbeddingServerOptions>? with = null, bool index = false)
    {
        EmbeddingServerOptions options = new() { ModelName = "tiny", Port = 0 };
        SentenceEncoder encoder = SentenceEncoder.Load(model, new SentenceEncoderOptions { Pooling = Pooling.Avg });
        SentenceIndex? made = index ? SentenceIndex.Create(RepositoryPaths.NewTemporaryDirectory(), new SentenceIndexOptions(encoder.Dimensions)) : null;
        return new RunningServer(encoder, made, await EmbeddingServer.StartAsync(encoder, with?.Invoke(options) ?? options, made, Cancellation));
    }

    public static StringContent Json(string json) => new(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json"));

    public static string Quoted(string text) => JsonSerializer.Serialize(text);

    public async Task<(HttpStatusCode Status, JsonNode Body)> PostAsync(string path, string json)
    {
        using HttpResponseMessage response = await Client.PostAsync(path, Json(json), Cancellation);
        return (response.StatusCode, JsonNode.Parse(await response.Content.ReadAsStringAsync(Cancellation))!);
    }

    public async Task<JsonNode> PostedAsync(string path, string json)
    {
        (HttpStatusCode status, JsonNode body) = await PostAsync(path, json);
        Assert.True(status == HttpStatusCode.OK, $"{path}: {(int)status} {body.ToJsonString()}");
        return body;
    }

    public async Task<JsonNode> GotAsync(string path) => JsonNode.Parse(await Client.GetStringAsync(path, Cancellation))!;

    /// <summary>The request was refused, in the form of text-embeddings-inference, with all of these in its message.</summary>
    public async Task RefusedAsync(int status, string path, string json, params string[] parts)
    {
        (HttpStatusCode given, JsonNode body) = await PostAsync(path, json);
        Assert.Equal((status, $"{path} {json[..Math.Min(json.Length, 80)]}"), ((int)given, $"{path} {json[..Math.Min(json.Length, 80)]}"));
        string message = (path.StartsWith("/v1", StringComparison.Ordinal) ? body["error"]!["message"] : body["error"])!.GetValue<string>();
        Assert.All(parts, part => Assert.Contains(part, message, StringComparison.Ordinal));
        Assert.DoesNotContain("SimCse.", message, StringComparison.Ordinal);
        Assert.DoesNotContain("System.", message, StringComparison.Ordinal);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await Server.DisposeAsync();
        Index?.Dispose();
        _encoder.Dispose();
    }
}

internal static class JsonVectors
{
    public static float[] Floats(this JsonNode? node) => [.. node!.AsArray().Select(v => v!.GetValue<float>())];

    public static double Length(this float[] vector) => Math.Sqrt(vector.Sum(v => (double)v * v));
}
