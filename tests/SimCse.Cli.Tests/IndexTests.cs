using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

public class IndexTests
{
    private static readonly TinyModel s_model = TinyModel.Bert;
    private static readonly string[] s_options = ["--model", s_model.Directory, "--pooling", "avg"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_index_is_built_searched_appended_to_deleted_from_and_compacted()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), index = Path.Combine(directory, "index"), texts = Path.Combine(directory, "texts.txt"), more = Path.Combine(directory, "more.jsonl");
        await File.WriteAllLinesAsync(texts, s_model.Sentences[..8], Cancellation);
        await File.WriteAllLinesAsync(more, [$"{{\"id\": \"x\", \"text\": {Json(s_model.Sentences[18])}, \"metadata\": {{\"lang\": \"en\", \"year\": 2021}}}}", Json(s_model.Sentences[22])], Cancellation);

        JsonObject built = (await SimCseProcess.RunAsync(["index", "build", "--index", index, "--input", texts, .. s_options, "--json"])).Json();
        Assert.Equal(["entries", "deleted", "in_graph", "dimensions", "bytes", "about"], built.Names());
        Assert.Equal(8, built["entries"]!.GetValue<int>());

        // The same again encodes nothing; the model is the index's own.
        Outcome again = await SimCseProcess.RunAsync(["index", "build", "--index", index, "--input", texts, .. s_options]);
        Assert.Contains("0 added or replaced, 8 there already", again.Succeeded().Error, StringComparison.Ordinal);
        (await SimCseProcess.RunAsync("index", "append", "--index", index, "--input", more, "--jsonl")).Succeeded();

        JsonObject found = (await SimCseProcess.RunAsync("search", "--index", index, "--query", s_model.Sentences[18], "--top", "2", "--json")).Json();
        JsonNode hit = found["results"]![0]!["hits"]![0]!;
        Assert.Equal(["id", "score", "text", "metadata"], hit.Names());
        Assert.Equal(("x", s_model.Sentences[18]), (hit["id"]!.GetValue<string>(), hit["text"]!.GetValue<string>()));
        Assert.Equal(1, hit["score"]!.GetValue<double>(), 1e-5);
        Assert.Equal(2021, hit["metadata"]!["year"]!.GetValue<int>());

        Outcome filtered = await SimCseProcess.RunAsync("search", "--index", index, "--query", s_model.Sentences[0], "--filter", "lang=en", "--filter", "year>=2021");
        Assert.Equal(2, filtered.Succeeded().Lines.Length); // the query, and the one entry
        Assert.Contains("x: ", filtered.Lines[1], StringComparison.Ordinal);

        (await SimCseProcess.ReadingAsync("texts.txt:1\nx\n", "index", "delete", "--index", index)).Succeeded();
        (await SimCseProcess.RunAsync("index", "compact", "--index", index)).Succeeded();
        JsonObject info = (await SimCseProcess.RunAsync("index", "info", "--index", index, "--json")).Json();
        Assert.Equal((8, 0), (info["entries"]!.GetValue<int>(), info["deleted"]!.GetValue<int>()));
        Assert.Equal("avg", info["about"]!["pooling"]!.GetValue<string>());
    }

    [Fact]
    public async Task Another_model_and_wrong_use_are_refused_in_one_line()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), index = Path.Combine(directory, "index"), texts = Path.Combine(directory, "texts.jsonl");
        await File.WriteAllTextAsync(texts, "\"a text\"\n{\"text\": 3}\n", Cancellation);
        (await SimCseProcess.ReadingAsync("a text\n", ["index", "build", "--index", index, .. s_options])).Succeeded();
        (await SimCseProcess.RunAsync("search", "--index", index, "--query", "x", "--model", s_model.Directory, "--pooling", "avg_first_last")).Failed(1, index, "another model or pooling");
        (await SimCseProcess.RunAsync("index", "append", "--index", index, "--input", texts, "--jsonl")).Failed(1, texts + ":2", "expected a JSON string");
        (await SimCseProcess.RunAsync("search", "--index", directory, "--query", "x")).Failed(1, directory, "no index");
        (await SimCseProcess.RunAsync("search", "--query", "x")).Failed(2, "--input", "--index");
        (await SimCseProcess.RunAsync("search", "--index", index, "--query", "x", "--filter", "year")).Failed(2, "'year'", "field=value");
        (await SimCseProcess.RunAsync("index", "grow", "--index", index)).Failed(2, "'grow'", "build, append");
    }

    [Fact]
    public async Task A_build_that_is_killed_loses_nothing_that_was_added_and_goes_on()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), index = Path.Combine(directory, "index"), texts = Path.Combine(directory, "texts.txt");
        await File.WriteAllLinesAsync(texts, Enumerable.Range(0, 9000).Select(i => $"{s_model.Sentences[i % 3]} {i}"), Cancellation);
        string[] build = ["index", "build", "--index", index, "--input", texts, .. s_options];
        await SimCseProcess.RunUntilAsync(Path.Combine(index, "entries"), kill: true, build);
        int before = (await SimCseProcess.RunAsync("index", "info", "--index", index, "--json")).Json()["entries"]!.GetValue<int>();
        Assert.Equal(0, before % 2048);
        Outcome rest = await SimCseProcess.RunAsync([.. build, "--json"]);
        Assert.Equal(9000, rest.Json()["entries"]!.GetValue<int>());
        Assert.Contains($"{9000 - before:N0} added", rest.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Mining_prints_pairs_and_groups_and_writes_triplets_that_train_reads()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), texts = Path.Combine(directory, "texts.txt"), pairs = Path.Combine(directory, "pairs.tsv"), triplets = Path.Combine(directory, "triplets.jsonl");
        string[] sentences = [s_model.Sentences[0], s_model.Sentences[18], s_model.Sentences[0].ToUpperInvariant(), s_model.Sentences[22]];
        await File.WriteAllLinesAsync(texts, sentences, Cancellation);
        await File.WriteAllLinesAsync(pairs, [$"{sentences[0]}\t{sentences[1]}", $"{sentences[1]}\t{sentences[3]}"], Cancellation);

        JsonObject found = (await SimCseProcess.RunAsync(["mine", "paraphrases", "--input", texts, .. s_options, "--threshold", "-1", "--json"])).Json();
        Assert.Equal(6, found["pairs"]!.AsArray().Count);
        Assert.Equal(["first", "second", "score"], found["pairs"]![0].Names());
        Assert.Equal((0, 2), (found["pairs"]![0]!["first"]!.GetValue<int>(), found["pairs"]![0]!["second"]!.GetValue<int>())); // the model lower-cases
        JsonObject groups = (await SimCseProcess.RunAsync(["mine", "duplicates", "--input", texts, .. s_options, "--threshold", "0.99999", "--json"])).Json();
        Assert.Equal("[[0,2]]", groups["groups"]!.ToJsonString());
        JsonObject communities = (await SimCseProcess.RunAsync(["mine", "communities", "--input", texts, .. s_options, "--threshold", "-1", "--min-community-size", "4", "--json"])).Json();
        Assert.Equal(4, Assert.Single(communities["communities"]!.AsArray())!.AsArray().Count);

        (await SimCseProcess.RunAsync(["mine", "hard-negatives", "--input", pairs, "--corpus", texts, "--output", triplets, .. s_options])).Succeeded();
        JsonNode first = JsonNode.Parse((await File.ReadAllLinesAsync(triplets, Cancellation))[0])!;
        Assert.Equal(["sent0", "sent1", "hard_neg"], first.Names());
        Assert.DoesNotContain(first["hard_neg"]!.GetValue<string>(), new[] { sentences[0], sentences[1] });
        (await SimCseProcess.RunAsync("mine", "hard-negatives", "--input", pairs, "--output", "t.txt")).Failed(2, "t.txt", ".jsonl");
        (await SimCseProcess.RunAsync("mine", "gold", "--input", pairs)).Failed(2, "'gold'", "communities");
    }

    private static string Json(string text) => System.Text.Json.JsonSerializer.Serialize(text);
}
