using System.Globalization;
using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

public class JudgeTests
{
    private static readonly (int First, int Second, double Gold)[] s_pairs = [(0, 1, 4.8), (0, 7, 0.2), (3, 4, 4.4), (12, 13, 5.0), (12, 21, 1.0), (15, 16, 4.1), (18, 26, 0.4), (9, 10, 3.5)];

    [Fact]
    public async Task Evaluate_gives_the_rank_correlation_of_the_reference_cosines_and_names_what_is_missing()
    {
        string data = await WriteDevSetAsync();
        float[][] vectors = TinyModel.Bert.Pooled("avg");
        int[] cosines = Ranks(s_pairs.Select(p => TinyModel.Cosine(vectors[p.First], vectors[p.Second])));
        int[] gold = Ranks(s_pairs.Select(p => p.Gold));
        int n = s_pairs.Length;
        double spearman = 1 - (6.0 * cosines.Zip(gold, (a, b) => (a - b) * (a - b)).Sum() / (n * ((n * n) - 1))); // no ties

        string[] command = ["evaluate", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--suite", "STSB-dev,STS12", "--data", data];
        Outcome outcome = await SimCseProcess.RunAsync([.. command, "--json"]);
        JsonObject json = outcome.Json();
        Assert.Equal(["model", "pooling", "tasks", "average", "average_over", "missing"], json.Names());
        Assert.Equal("avg", json["pooling"]!.GetValue<string>());
        Assert.Equal(["STSB-dev"], json["tasks"].Names());
        JsonObject task = json["tasks"]!["STSB-dev"]!.AsObject();
        Assert.Equal(["all", "mean", "wmean", "pairs", "subsets"], task.Names());
        Assert.Equal(100 * spearman, task["all"]!.GetValue<double>(), 0.0051);
        Assert.Equal(n, task["pairs"]!.GetValue<int>());
        Assert.Equal(task["all"]!.GetValue<double>(), json["average"]!.GetValue<double>());
        Assert.Equal(["STS12"], json["missing"].Texts());
        Assert.Contains("STS12", outcome.Error, StringComparison.Ordinal);

        string markdown = (await SimCseProcess.RunAsync([.. command, "--markdown"])).Succeeded().Output;
        Assert.Contains("| model | pooling | STSB-dev |", markdown, StringComparison.Ordinal);
        Assert.Contains((100 * spearman).ToString("F2", CultureInfo.InvariantCulture), markdown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Analyze_gives_alignment_and_mean_cosine_of_the_reference_vectors()
    {
        string data = await WriteDevSetAsync(), plots = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "plots");
        float[][] vectors = TinyModel.Bert.Pooled("avg");
        JsonObject json = (await SimCseProcess.RunAsync("analyze", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--data", data, "--output", plots, "--json")).Json();
        Assert.All(new[] { "spectrum.svg", "alignment-uniformity.svg", "cosine-density.svg" }, plot => Assert.EndsWith("</svg>", File.ReadAllText(Path.Combine(plots, plot)).TrimEnd(), StringComparison.Ordinal));
        Assert.Equal(["alignment", "uniformity", "effective_rank", "mean_cosine", "singular_values"], json.Names()[..5]);

        // Of unit vectors ‖x − y‖² = 2 − 2 cos(x, y).
        double alignment = s_pairs.Where(p => p.Gold > 4).Average(p => 2 - (2 * TinyModel.Cosine(vectors[p.First], vectors[p.Second])));
        Assert.Equal(alignment, json["alignment"]!.GetValue<double>(), 1e-5);
        int[] rows = [.. s_pairs.SelectMany(p => new[] { p.First, p.Second }).Distinct()];
        double[] cosines = [.. rows.SelectMany((a, i) => rows[(i + 1)..].Select(b => TinyModel.Cosine(vectors[a], vectors[b])))];
        Assert.Equal(cosines.Average(), json["mean_cosine"]!.GetValue<double>(), 1e-5);
        Assert.Equal(Math.Log(cosines.Average(c => Math.Exp(-2 * (2 - (2 * c))))), json["uniformity"]!.GetValue<double>(), 1e-5);
        Assert.Equal(1, json["singular_values"]!.AsArray()[0]!.GetValue<double>());
    }

    [Fact]
    public async Task A_model_is_judged_with_another_pooling_than_its_own_only_with_a_warning_and_not_used_with_it()
    {
        string data = await WriteDevSetAsync(), model = RepositoryPaths.Fixture("sentence-transformers-6", "bert-cls-dense");
        Outcome judged = await SimCseProcess.RunAsync("evaluate", "--model", model, "--pooling", "avg", "--suite", "STSB-dev", "--data", data, "--json");
        Assert.Equal("avg", judged.Json()["pooling"]!.GetValue<string>());
        Assert.Contains("stored with the pooling cls", judged.Error, StringComparison.Ordinal);
        Outcome own = await SimCseProcess.RunAsync("evaluate", "--model", model, "--suite", "STSB-dev", "--data", data, "--json");
        Assert.Equal("cls", own.Json()["pooling"]!.GetValue<string>());

        string[] similarity = ["similarity", "a", "b", "--model", model, "--pooling", "avg"];
        (await SimCseProcess.RunAsync(similarity)).Failed(1, "stored with the pooling cls, not avg", "--allow-other-pooling");
        (await SimCseProcess.RunAsync([.. similarity, "--allow-other-pooling"])).Succeeded();
    }

    [Fact]
    public async Task Transfer_gives_the_accuracy_of_classifiers_on_frozen_vectors()
    {
        string data = RepositoryPaths.NewTemporaryDirectory();
        Directory.CreateDirectory(Path.Combine(data, "TREC"));
        string[] questions = ["label\tsentence", .. Enumerable.Range(0, 600).Select(i => i % 2 == 0 ? $"NUM\thow many {i} are there" : $"HUM\twho wrote the book {i}")];
        await File.WriteAllLinesAsync(Path.Combine(data, "TREC", "train.tsv"), questions, TestContext.Current.CancellationToken);
        await File.WriteAllLinesAsync(Path.Combine(data, "TREC", "test.tsv"), questions[..101], TestContext.Current.CancellationToken);
        string[] command = ["evaluate", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--suite", "TREC", "--data", data];
        Outcome outcome = await SimCseProcess.RunAsync([.. command, "--json"]);
        JsonObject json = outcome.Json();
        Assert.Equal(["model", "pooling", "tasks", "average", "average_over", "missing", "encoding_seconds", "seconds"], json.Names());
        JsonObject task = json["tasks"]!["TREC"]!.AsObject();
        Assert.Equal(["accuracy", "dev", "l2", "train", "test", "seconds"], task.Names());
        Assert.Equal((600, 100), (task["train"]!.GetValue<int>(), task["test"]!.GetValue<int>()));
        Assert.Equal(100, task["accuracy"]!.GetValue<double>());
        Assert.Contains("TREC has 700 examples here and 5952 officially", outcome.Error, StringComparison.Ordinal);
        (await SimCseProcess.RunAsync([.. command[..^3], "TREC,STS12", "--data", data])).Failed(2, "one or the other");
    }

    [Fact]
    public async Task A_model_that_is_written_whitened_scores_what_the_whitened_vectors_score()
    {
        string data = await WriteDevSetAsync(), folder = RepositoryPaths.NewTemporaryDirectory(), texts = Path.Combine(folder, "texts.txt"), white = Path.Combine(folder, "white");
        await File.WriteAllLinesAsync(texts, TinyModel.Bert.Sentences.Select(s => s.Replace('\n', ' ')), TestContext.Current.CancellationToken);
        string[] judge = ["evaluate", "--suite", "STSB-dev", "--data", data, "--json"], map = ["--whiten", "4", "--fit-on", texts], model = ["--model", TinyModel.Bert.Directory, "--pooling", "avg"];
        JsonObject mapped = (await SimCseProcess.RunAsync([.. judge, .. model, .. map])).Json();
        Assert.Equal("whitening 4 fitted on texts.txt", mapped["post_processing"]!.GetValue<string>());

        (await SimCseProcess.RunAsync(["postprocess", .. model, .. map, "--output", white])).Succeeded();
        Assert.Equal(mapped["average"]!.GetValue<double>(), (await SimCseProcess.RunAsync([.. judge, "--model", white])).Json()["average"]!.GetValue<double>(), 0.01);
        JsonObject plain = (await SimCseProcess.RunAsync([.. judge, .. model])).Json();
        Assert.Null(plain["post_processing"]);

        JsonArray models = (await SimCseProcess.RunAsync("analyze", "--model", TinyModel.Bert.Directory, white, "--pooling", "avg", "--data", data, "--json")).Json()["models"]!.AsArray();
        Assert.Equal(2, models.Count);
        Assert.Equal(4, models[1]!["singular_values"]!.AsArray().Count);
        Assert.Equal(5, models[0]!["cosine_groups"]!.AsArray().Count);

        (await SimCseProcess.RunAsync([.. judge, .. model, "--fit-on", texts])).Failed(2, "--fit-on needs --whiten K or --all-but-the-top D");
        Outcome impossible = await SimCseProcess.RunAsync([.. judge, .. model, "--whiten", "300"]); // after a line on the size of the set
        Assert.Equal(1, impossible.Status);
        Assert.Contains("STSB-dev: whitening to 300 components is not possible", impossible.Error, StringComparison.Ordinal);
    }

    /// <summary>stsb/dev.tsv over the golden sentences, in a new folder.</summary>
    internal static async Task<string> WriteDevSetAsync()
    {
        string data = RepositoryPaths.NewTemporaryDirectory();
        Directory.CreateDirectory(Path.Combine(data, "stsb"));
        await File.WriteAllLinesAsync(Path.Combine(data, "stsb", "dev.tsv"),
            ["score\tsentence1\tsentence2", .. s_pairs.Select(p => string.Create(CultureInfo.InvariantCulture, $"{p.Gold}\t{TinyModel.Bert.Sentences[p.First]}\t{TinyModel.Bert.Sentences[p.Second]}"))],
            TestContext.Current.CancellationToken);
        return data;
    }

    private static int[] Ranks(IEnumerable<double> values)
    {
        double[] all = [.. values];
        return [.. all.Select(v => all.Count(other => other < v))];
    }
}
