using System.ClientModel;
using System.Diagnostics;
using System.Net;
using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using OpenAI;
using OpenAI.Embeddings;
using OpenAI.Models;
using SimCse.Cli.Tests;

namespace SimCse.Server.Tests;

/// <summary>OpenAI's API by OpenAI's own client, by curl and by hand; vectors against the reference's of tests/fixtures.</summary>
public class OpenAiTests
{
    private static readonly TinyModel s_model = TinyModel.Bert;
    private static readonly float[][] s_reference = s_model.Pooled("avg");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task OpenAIs_client_gets_the_references_vectors()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        OpenAIClient client = Client(server, "unused");
        string[] sentences = s_model.Sentences[..8];
        OpenAIEmbeddingCollection found = await client.GetEmbeddingClient("tiny").GenerateEmbeddingsAsync(sentences, cancellationToken: Cancellation);
        Assert.Equal(sentences.Length, found.Count);
        for (int i = 0; i < sentences.Length; i++)
        {
            float[] vector = found[i].ToFloats().ToArray();
            Assert.Equal(i, found[i].Index);
            Assert.Equal(1, vector.Length(), 1e-5);
            Assert.Equal(1, TinyModel.Cosine(s_reference[i], vector), 1e-5);
        }

        Assert.Equal("tiny", found.Model);
        Assert.Equal(s_model.Tokens[..8].Sum(tokens => tokens.Length), found.Usage.InputTokenCount);
        OpenAIModelCollection models = await client.GetOpenAIModelClient().GetModelsAsync(Cancellation);
        Assert.Equal("tiny", Assert.Single(models).Id);
    }

    [Fact]
    public async Task OpenAIs_client_reads_our_errors()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { ApiKeys = ["a-key-of-the-tests-0001"] });
        ClientResultException wrongKey = await Assert.ThrowsAsync<ClientResultException>(() => Client(server, "another-key-of-the-tests").GetEmbeddingClient("tiny").GenerateEmbeddingAsync("a", cancellationToken: Cancellation));
        Assert.Equal(401, wrongKey.Status);
        Assert.Contains("invalid_api_key", wrongKey.Message, StringComparison.Ordinal);
        ClientResultException wrongModel = await Assert.ThrowsAsync<ClientResultException>(() => Client(server, "a-key-of-the-tests-0001").GetEmbeddingClient("text-embedding-3-small").GenerateEmbeddingAsync("a", cancellationToken: Cancellation));
        Assert.Equal(404, wrongModel.Status);
        Assert.Contains("model_not_found", wrongModel.Message, StringComparison.Ordinal);
        Assert.Contains("'tiny'", wrongModel.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task OpenAIs_client_may_ask_for_fewer_dimensions()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        OpenAIEmbedding found = await Client(server, "unused").GetEmbeddingClient("tiny").GenerateEmbeddingAsync(s_model.Sentences[0], new EmbeddingGenerationOptions { Dimensions = 5 }, Cancellation);
        float[] vector = found.ToFloats().ToArray();
        Assert.Equal(5, vector.Length);
        Assert.Equal(1, TinyModel.Cosine(s_reference[0][..5], vector), 1e-5);
        Assert.Equal(1, vector.Length(), 1e-5);
    }

    [Fact]
    public async Task Texts_and_token_ids_floats_and_base64_give_the_same_vectors()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        string text = s_model.Sentences[0];
        JsonNode whole = await server.PostedAsync("/v1/embeddings", $$"""{"input": {{RunningServer.Quoted(text)}}, "model": "tiny", "user": "someone", "a_field_of_the_future": [1]}""");
        float[] expected = whole["data"]![0]!["embedding"].Floats();
        Assert.Equal(["data", "model", "usage", "object"], whole.Names());
        int[] ids = [.. (await server.PostedAsync("/tokenize", $$"""{"inputs": {{RunningServer.Quoted(text)}}}"""))[0]!.AsArray().Select(token => token!["id"]!.GetValue<int>())];
        foreach (string input in new[] { $"[{string.Join(',', ids)}]", $"[[{string.Join(',', ids)}], [{string.Join(',', ids[1..^1])}]]", $"[{RunningServer.Quoted(text)}, [{string.Join(',', ids)}]]" })
        {
            JsonNode found = await server.PostedAsync("/v1/embeddings", $$"""{"input": {{input}}, "encoding_format": "float"}""");
            Assert.All(found["data"]!.AsArray(), item => Assert.Equal(1, TinyModel.Cosine(expected, item!["embedding"].Floats()), 1e-5));
        }

        JsonNode base64 = await server.PostedAsync("/v1/embeddings", $$"""{"input": [{{RunningServer.Quoted(text)}}], "encoding_format": "base64"}""");
        float[] bytes = MemoryMarshal.Cast<byte, float>(Convert.FromBase64String(base64["data"]![0]!["embedding"]!.GetValue<string>())).ToArray();
        Assert.Equal(expected, bytes);
    }

    [Fact]
    public async Task Curl_gets_a_vector()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        ProcessStartInfo start = new("curl", ["-sS", $"{server.Address}v1/embeddings", "-H", "Content-Type: application/json", "-d", """{"input": "A man plays."}"""]) { RedirectStandardOutput = true, UseShellExecute = false };
        using Process curl = Process.Start(start)!;
        JsonNode found = JsonNode.Parse(await curl.StandardOutput.ReadToEndAsync(Cancellation))!;
        Assert.Equal(1, found["data"]![0]!["embedding"].Floats().Length(), 1e-5);
    }

    [Fact]
    public async Task What_is_wrong_is_said_in_OpenAIs_form()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { MaxClientBatchSize = 2, PayloadLimit = 10_000 });
        string path = "/v1/embeddings";
        (HttpStatusCode status, JsonNode body) = await server.PostAsync(path, """{"input": "a", "dimensions": 0}""");
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Equal(["message", "type", "param", "code"], body["error"].Names());
        Assert.Equal(("invalid_request_error", "dimensions"), (body["error"]!["type"]!.GetValue<string>(), body["error"]!["param"]!.GetValue<string>()));
        await server.RefusedAsync(400, path, "{}", "\"input\" is missing");
        await server.RefusedAsync(400, path, "[]", "expected an object");
        await server.RefusedAsync(400, path, """{"input": []}""", "'input' is empty");
        await server.RefusedAsync(400, path, """{"input": 3}""", "input", "expected a string");
        await server.RefusedAsync(400, path, """{"input": ["a", 3]}""", "text 1");
        await server.RefusedAsync(400, path, """{"input": [3, "a"]}""", "token 1");
        await server.RefusedAsync(400, path, """{"input": [-1]}""", "token id -1", "0 to ");
        await server.RefusedAsync(400, path, """{"input": "a", "dimensions": "2"}""", "dimensions", "expected a number");
        await server.RefusedAsync(400, path, """{"input": "a", "input": "b"}""", "input");
        await server.RefusedAsync(400, path, """{"input": "a", "encoding_format": "int8"}""", "'int8'", "float or base64");
        await server.RefusedAsync(400, path, """{"input": "\ud800"}""", "input");
        await server.RefusedAsync(413, path, """{"input": ["a", "b", "c"]}""", "more than 2 texts");
        await server.RefusedAsync(413, path, $$"""{"input": "{{new string('a', 10_000)}}"}""", "10000 bytes");
        await server.RefusedAsync(413, path, $$"""{"input": "{{string.Concat(Enumerable.Repeat("a ", 1000))}}"}""", "text 0", "tokens");
        await server.RefusedAsync(404, "/v1/completions", "{}", "/v1/completions");
    }

    private static OpenAIClient Client(RunningServer server, string key) => new(new ApiKeyCredential(key), new OpenAIClientOptions { Endpoint = new Uri(server.Address, "v1") });
}
