using System.Net;
using System.Text.Json.Nodes;
using SimCse.Cli.Tests;
using SimCse.Search;

namespace SimCse.Server.Tests;

public class IndexTests
{
    private static readonly TinyModel s_model = TinyModel.Bert;
    private static readonly float[][] s_reference = s_model.Pooled("avg");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Entries_are_added_found_filtered_replaced_and_deleted()
    {
        await using RunningServer server = await RunningServer.StartAsync(index: true);
        JsonNode added = await server.PostedAsync("/index/entries", $$$"""{"entries": [{{{Entry(0, "\"en\"", 2019)}}}, {{{Entry(1, "\"en\"", 2021)}}}, {{{Entry(2, "true", 2021)}}}]}""");
        Assert.Equal((3, 3), (added["added"]!.GetValue<int>(), added["entries"]!.GetValue<int>()));

        JsonNode found = await server.PostedAsync("/search", $$"""{"query": {{RunningServer.Quoted(s_model.Sentences[1])}}, "top": 2}""");
        JsonNode hit = found["results"]![0]!["hits"]![0]!;
        Assert.Equal(["id", "score", "text", "metadata"], hit.Names());
        Assert.Equal(("e1", s_model.Sentences[1]), (hit["id"]!.GetValue<string>(), hit["text"]!.GetValue<string>()));
        Assert.Equal(1, hit["score"]!.GetValue<double>(), 1e-5);
        Assert.Equal((2021, "en"), (hit["metadata"]!["year"]!.GetValue<int>(), hit["metadata"]!["kind"]!.GetValue<string>()));
        JsonNode second = found["results"]![0]!["hits"]![1]!;
        int other = int.Parse(second["id"]!.GetValue<string>()[1..], System.Globalization.CultureInfo.InvariantCulture);
        Assert.Equal(TinyModel.Cosine(s_reference[1], s_reference[other]), second["score"]!.GetValue<double>(), 1e-4);

        JsonNode filtered = await server.PostedAsync("/search", $$"""{"query": [{{RunningServer.Quoted(s_model.Sentences[1])}}, "x"], "filter": ["kind=true", "year>=2020"], "exact": true}""");
        Assert.Equal(2, filtered["results"]!.AsArray().Count);
        Assert.Equal("e2", Assert.Single(filtered["results"]![1]!["hits"]!.AsArray())!["id"]!.GetValue<string>());

        await server.PostedAsync("/index/entries", """{"entries": [{"id": "e0", "text": "A new text."}]}""");
        Assert.Equal("A new text.", (await server.GotAsync("/index/entries/e0"))["text"]!.GetValue<string>());
        JsonNode deleted = await server.PostedAsync("/index/delete", """{"ids": ["e1", "e7"]}""");
        Assert.Equal((1, 2), (deleted["deleted"]!.GetValue<int>(), deleted["entries"]!.GetValue<int>()));
        using HttpResponseMessage gone = await server.Client.DeleteAsync("/index/entries/e1", Cancellation), present = await server.Client.DeleteAsync("/index/entries/e2", Cancellation);
        Assert.Equal((HttpStatusCode.NotFound, HttpStatusCode.OK), (gone.StatusCode, present.StatusCode));
        JsonNode info = await server.GotAsync("/index");
        Assert.Equal((1, 3), (info["entries"]!.GetValue<int>(), info["deleted"]!.GetValue<int>()));
    }

    [Fact]
    public async Task Highlighted_words_are_those_whose_loss_costs_the_most_by_the_library_too()
    {
        await using RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel, index: true);
        const string Text = "The weather was fine, and a man played the guitar on a stage.";
        await server.PostedAsync("/index/entries", $$"""{"entries": [{"id": "a", "text": "{{Text}}"}]}""");
        JsonNode found = await server.PostedAsync("/search", """{"query": "someone plays guitar", "highlight": true}""");
        (string Word, double Weight)[] words = [.. found["results"]![0]!["hits"]![0]!["words"]!.AsArray().Select(w => (Text[w!["start"]!.GetValue<int>()..w["end"]!.GetValue<int>()], w["weight"]!.GetValue<double>()))];

        using SentenceEncoder encoder = SentenceEncoder.Load(RunningServer.DefaultModel, new SentenceEncoderOptions { Pooling = Pooling.Avg });
        float[] query = encoder.Encode("someone plays guitar");
        double whole = TinyModel.Cosine(query, encoder.Encode(Text));
        (string Word, double Loss)[] losses = [.. Text.Split([' ', ',', '.'], StringSplitOptions.RemoveEmptyEntries).Distinct(StringComparer.Ordinal).Where(w => w is not ("a" or "the"))
            .Select(word => (word, whole - TinyModel.Cosine(query, encoder.Encode(Text.Remove(Text.IndexOf(word, StringComparison.Ordinal), word.Length)))))];
        Assert.Equal(1, words[0].Weight, 1e-6);
        Assert.Equal(losses.MaxBy(l => l.Loss).Word, words[0].Word);
        double heaviest = losses.Max(l => l.Loss);
        foreach ((string word, double loss) in losses.Where(l => l.Loss > 0.3 * heaviest))
        {
            Assert.Equal(loss / heaviest, words.Single(w => string.Equals(w.Word, word, StringComparison.Ordinal)).Weight, 0.02);
        }
    }

    [Fact]
    public async Task The_map_and_the_spectrum_are_of_the_entries_and_change_with_them()
    {
        await using RunningServer server = await RunningServer.StartAsync(index: true);
        Assert.Empty((await server.GotAsync("/index/map"))["points"]!.AsArray());
        await server.PostedAsync("/index/entries", $$"""{"entries": [{{string.Join(", ", Enumerable.Range(0, 20).Select(i => $"{{{Body(i, "\"x\"", 1)}}}"))}}]}""");
        JsonNode map = await server.GotAsync("/index/map"), few = await server.GotAsync("/index/map?most=5");
        Assert.Equal(20, map["points"]!.AsArray().Count);
        Assert.Equal(["e0", "e4", "e8", "e12", "e16"], few["points"]!.AsArray().Select(p => p!["id"]!.GetValue<string>()));
        Assert.True(map["explained"]![0]!.GetValue<double>() >= map["explained"]![1]!.GetValue<double>());
        JsonNode spectrum = await server.GotAsync("/index/spectrum");
        Assert.Equal(1, spectrum["singular_values"]![0]!.GetValue<double>());
        Assert.Equal(20, spectrum["sampled"]!.GetValue<int>());
        await server.PostedAsync("/index/delete", """{"ids": ["e0"]}""");
        Assert.Equal(19, (await server.GotAsync("/index/map"))["points"]!.AsArray().Count);
        Assert.Equal(19, (await server.GotAsync("/index/spectrum"))["sampled"]!.GetValue<int>());
    }

    [Fact]
    public async Task What_is_wrong_is_said()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { MaxClientBatchSize = 2 }, index: true), without = await RunningServer.StartAsync();
        await without.RefusedAsync(404, "/search", """{"query": "a"}""", "no index", "--index");
        await server.RefusedAsync(400, "/search", "{}", "\"query\" is missing");
        await server.RefusedAsync(400, "/search", """{"query": "a", "top": 0}""", "'top' is 0", "1 to 1000");
        await server.RefusedAsync(400, "/search", """{"query": "a", "top": 21, "highlight": true}""", "21", "at most 20");
        await server.RefusedAsync(400, "/search", """{"query": "a", "top": 5, "breadth": 3}""", "'breadth' is 3");
        await server.RefusedAsync(400, "/search", """{"query": "a", "filter": ["year"]}""", "'year'", "field=value");
        await server.RefusedAsync(400, "/search", """{"query": "a", "filter": [null]}""", "filter");
        await server.RefusedAsync(400, "/index/entries", """{"entries": []}""", "'entries' is empty");
        await server.RefusedAsync(400, "/index/entries", """{"entries": [null]}""", "entries");
        await server.RefusedAsync(400, "/index/entries", """{"entries": [{"id": "", "text": "a"}]}""", "id");
        await server.RefusedAsync(400, "/index/entries", """{"entries": [{"id": "a", "text": "a"}, {"id": "a", "text": "b"}]}""", "'a'", "different ids");
        await server.RefusedAsync(400, "/index/entries", """{"entries": [{"id": "a", "text": "a", "metadata": {"x": [1]}}]}""", "a string, a number");
        await server.RefusedAsync(400, "/index/entries", """{"entries": [{"id": "a"}]}""", "\"text\" is missing");
        await server.RefusedAsync(413, "/index/entries", """{"entries": [{"id": "a", "text": "a"}, {"id": "b", "text": "b"}, {"id": "c", "text": "c"}]}""", "3 entries", "at most 2");
        Assert.Equal(0, server.Index!.Count);
    }

    [Fact]
    public async Task An_index_that_is_only_searched_is_not_written_to()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        using SentenceEncoder encoder = SentenceEncoder.Load(RunningServer.TinyModel, new SentenceEncoderOptions { Pooling = Pooling.Avg });
        SentenceIndex.Create(directory, new SentenceIndexOptions(encoder.Dimensions)).Dispose();
        using SentenceIndex index = SentenceIndex.Open(directory, readOnly: true);
        await using EmbeddingServer server = await EmbeddingServer.StartAsync(encoder, new EmbeddingServerOptions { ModelName = "m", Port = 0 }, index, Cancellation);
        using HttpClient client = new() { BaseAddress = server.Address };
        using HttpResponseMessage response = await client.PostAsync("/index/entries", RunningServer.Json("""{"entries": [{"id": "a", "text": "a"}]}"""), Cancellation);
        Assert.Equal(HttpStatusCode.Forbidden, response.StatusCode);
    }

    private static string Entry(int i, string kind, int year) => $"{{{Body(i, kind, year)}}}";

    private static string Body(int i, string kind, int year) => $"\"id\": \"e{i}\", \"text\": {RunningServer.Quoted(s_model.Sentences[i])}, \"metadata\": {{\"kind\": {kind}, \"year\": {year}}}";
}
