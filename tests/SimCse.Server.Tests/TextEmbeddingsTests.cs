using System.Text.Json.Nodes;
using SimCse.Cli.Tests;

namespace SimCse.Server.Tests;

/// <summary>The API of text-embeddings-inference; vectors against the reference's of tests/fixtures.</summary>
public class TextEmbeddingsTests
{
    private static readonly TinyModel s_model = TinyModel.Bert;
    private static readonly float[][] s_reference = s_model.Pooled("avg");

    [Fact]
    public async Task Embed_gives_unit_vectors_or_raw_ones()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        string inputs = $"[{string.Join(',', s_model.Sentences[..4].Select(RunningServer.Quoted))}]";
        JsonNode unit = await server.PostedAsync("/embed", $$"""{"inputs": {{inputs}}}"""), raw = await server.PostedAsync("/embed", $$"""{"inputs": {{inputs}}, "normalize": false}""");
        for (int i = 0; i < 4; i++)
        {
            Assert.Equal(1, unit[i].Floats().Length(), 1e-5);
            Assert.Equal(1, TinyModel.Cosine(s_reference[i], unit[i].Floats()), 1e-5);
            float[] vector = raw[i].Floats();
            Assert.All(Enumerable.Range(0, vector.Length), c => Assert.Equal(s_reference[i][c], vector[c], 1e-4));
        }
    }

    [Fact]
    public async Task Similarity_and_matrix_give_cosines_of_the_references_vectors()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        string[] quoted = [.. s_model.Sentences[..4].Select(RunningServer.Quoted)];
        JsonNode one = await server.PostedAsync("/similarity", $$$"""{"inputs": {"source_sentence": {{{quoted[0]}}}, "sentences": [{{{quoted[1]}}}, {{{quoted[2]}}}]}}""");
        Assert.Equal(TinyModel.Cosine(s_reference[0], s_reference[1]), one[0]!.GetValue<double>(), 1e-4);
        Assert.Equal(TinyModel.Cosine(s_reference[0], s_reference[2]), one[1]!.GetValue<double>(), 1e-4);
        JsonNode matrix = await server.PostedAsync("/similarity/matrix", $$"""{"rows": [{{quoted[0]}}, {{quoted[1]}}], "columns": [{{quoted[1]}}, {{quoted[2]}}, {{quoted[3]}}]}""");
        Assert.Equal(2, matrix["cosines"]!.AsArray().Count);
        Assert.Equal(1, matrix["cosines"]![1]![0]!.GetValue<double>(), 1e-4);
        Assert.Equal(TinyModel.Cosine(s_reference[0], s_reference[3]), matrix["cosines"]![0]![2]!.GetValue<double>(), 1e-4);
    }

    [Fact]
    public async Task Tokenize_gives_the_references_tokens()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        JsonNode found = await server.PostedAsync("/tokenize", $$"""{"inputs": [{{RunningServer.Quoted(s_model.Sentences[0])}}, {{RunningServer.Quoted(s_model.Sentences[3])}}]}""");
        Assert.Equal(s_model.Tokens[0], found[0]!.AsArray().Select(token => token!["text"]!.GetValue<string>()));
        Assert.Equal(["id", "text", "special", "start", "stop"], found[0]![0].Names());
        Assert.True(found[0]![0]!["special"]!.GetValue<bool>());
        JsonNode plain = await server.PostedAsync("/tokenize", $$"""{"inputs": {{RunningServer.Quoted(s_model.Sentences[0])}}, "add_special_tokens": false}""");
        Assert.Equal(s_model.Tokens[0][1..^1], plain[0]!.AsArray().Select(token => token!["text"]!.GetValue<string>()));
    }

    [Fact]
    public async Task A_text_that_is_too_long_is_refused_or_cut()
    {
        string text = string.Concat(Enumerable.Repeat("a ", 1000)), request = $$"""{"inputs": "{{text}}"}""", cut = $$"""{"inputs": "{{text}}", "truncate": true}""";
        await using RunningServer server = await RunningServer.StartAsync(), cutting = await RunningServer.StartAsync(options => options with { AutoTruncate = true });
        await server.RefusedAsync(413, "/embed", request, "text 0", "tokens", "--auto-truncate");
        float[] vector = (await server.PostedAsync("/embed", cut))[0].Floats();
        Assert.Equal(1, TinyModel.Cosine(vector, (await cutting.PostedAsync("/embed", request))[0].Floats()), 1e-6);
        await cutting.RefusedAsync(413, "/embed", $$"""{"inputs": "{{text}}", "truncate": false}""", "text 0");
    }

    [Fact]
    public async Task What_cannot_be_honoured_is_refused()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        await server.RefusedAsync(400, "/embed", """{"inputs": "a", "prompt_name": "query"}""", "'query'", "no prompts");
        await server.RefusedAsync(400, "/embed", """{"inputs": "a", "truncation_direction": "Left"}""", "'Left'", "Right");
        await server.RefusedAsync(400, "/similarity", """{"inputs": {"source_sentence": "a"}}""", "\"sentences\" is missing");
        await server.RefusedAsync(400, "/similarity", """{"inputs": {"source_sentence": ["a"], "sentences": ["b"]}}""", "source_sentence", "a string");
        await server.RefusedAsync(400, "/tokenize", """{"inputs": [1, 2]}""", "token ids");
    }

    [Fact]
    public async Task Info_says_what_is_served_and_the_limits()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { MaxBatchTokens = 1000 });
        JsonNode info = await server.GotAsync("/info");
        Assert.Equal(("tiny", 1000, 512, 32), (info["model_id"]!.GetValue<string>(), info["max_batch_tokens"]!.GetValue<int>(), info["max_concurrent_requests"]!.GetValue<int>(), info["max_client_batch_size"]!.GetValue<int>()));
        Assert.Equal("avg", info["model_type"]!["embedding"]!["pooling"]!.GetValue<string>());
    }
}
