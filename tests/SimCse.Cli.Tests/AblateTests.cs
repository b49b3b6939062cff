using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

public class AblateTests
{
    [Fact]
    public async Task A_study_writes_its_table_beside_the_papers_and_uses_its_runs_again()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "studies");
        string[] study = ["--model", TinyModel.Bert.Directory, "--data", await WriteAsync(directory, "text.txt", i => $"the dog number {i} sees the snow"), "--eval-data", await JudgeTests.WriteDevSetAsync(), "--output", output,
            "--sentences", "32", "--batch-size", "16", "--seeds", "1", "--threads", "1"];
        Outcome outcome = await SimCseProcess.RunAsync(["ablate", "dropout", .. study, "--json"]);
        JsonObject json = outcome.Json();
        Assert.Contains("8 runs; about", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("run 8 of 8: fixed 0.1, seed 1", outcome.Error, StringComparison.Ordinal);
        Assert.Equal([71.1, 72.6, 81.1, 82.5, 81.4, 80.5, 71.0, 43.6], json["cells"]!.AsArray().Select(c => c!["paper"]!.GetValue<double>()));
        Assert.All(json["cells"]!.AsArray(), cell => Assert.Single(cell!["runs"]!.AsArray()));
        Assert.All(new[] { "dropout.md", "dropout.json", "dropout.svg" }, file => Assert.True(File.Exists(Path.Combine(output, file)), file));

        Outcome again = await SimCseProcess.RunAsync(["ablate", "dropout", .. study]);
        Assert.Contains("8 of them on disk", again.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("run 1 of", again.Error, StringComparison.Ordinal);
        Assert.Contains("| fixed 0.1 |", again.Output, StringComparison.Ordinal);

        Outcome other = await SimCseProcess.RunAsync(["ablate", "augmentation", .. study]); // p = 0.1 is among the runs
        Assert.Contains("10 runs, 1 of them on disk", other.Error, StringComparison.Ordinal);
        Assert.Contains("Left out: synonym replacement: needs WordNet", other.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Supervised_runs_need_triplets_and_say_so()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        string[] study = ["ablate", "temperature", "--model", TinyModel.Bert.Directory, "--data", await WriteAsync(directory, "text.txt", i => $"line {i}"), "--eval-data", await JudgeTests.WriteDevSetAsync(),
            "--output", Path.Combine(directory, "studies"), "--seeds", "1", "--threads", "1"];
        (await SimCseProcess.RunAsync(study)).Failed(1, "--triplets");
        (await SimCseProcess.RunAsync([.. study, "--triplets", await WriteAsync(directory, "pairs.tsv", i => $"line {i}\tthe same line {i}")])).Failed(1, "pairs.tsv", "3");
        (await SimCseProcess.RunAsync("ablate", "weather")).Failed(2, "weather");
    }

    [Fact]
    public async Task Training_reports_false_negatives_and_chooses_weights_without_labels()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "model");
        string data = await WriteAsync(directory, "text.txt", i => i % 40 == 0 ? "the company reports a large profit" : $"a woman number {i} likes the old guitar on stage {i * i}");
        string[] train = ["train", "--model", TinyModel.Bert.Directory, "--data", data, "--batch-size", "16", "--max-steps", "6", "--eval-steps", "3", "--pooling", "avg", "--threads", "1", "--select-by", "retrieval", "--hold-out", "40"];
        Outcome outcome = await SimCseProcess.RunAsync([.. train, "--output", output, "--filter-false-negatives", "--json"]);
        Assert.Equal(6, outcome.Json()["steps"]!.GetValue<int>());
        Assert.Contains("4 rows repeat an earlier one", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("rows 1 and 41 are the same", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("held-out retrieval", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("effective_rank", await File.ReadAllTextAsync(Path.Combine(output, "metrics.jsonl"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
        (await SimCseProcess.RunAsync([.. train, "--output", Path.Combine(directory, "other"), "--eval-data", directory])).Failed(2, "--select-by", "--eval-data");
        Outcome jepa = await SimCseProcess.RunAsync([.. train, "--output", Path.Combine(directory, "jepa"), "--objective", "jepa", "--jepa-views", "masked-spans", "--projection-width", "8"]);
        Assert.Equal(0, jepa.Status);
        Assert.Contains("joint-embedding prediction", await File.ReadAllTextAsync(Path.Combine(directory, "jepa", "README.md"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    private static async Task<string> WriteAsync(string directory, string name, Func<int, string> line)
    {
        string path = Path.Combine(directory, name);
        await File.WriteAllLinesAsync(path, Enumerable.Range(0, 200).Select(line), TestContext.Current.CancellationToken);
        return path;
    }
}
