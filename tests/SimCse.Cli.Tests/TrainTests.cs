using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

public class TrainTests
{
    private const int Steps = 60;

    [Fact]
    public async Task Train_writes_a_model_that_the_other_commands_open()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "model"), data = await WriteTextAsync(directory);
        string sts = await JudgeTests.WriteDevSetAsync();
        Outcome outcome = await SimCseProcess.RunAsync("train", "--model", TinyModel.Bert.Directory, "--data", data, "--output", output,
            "--batch-size", "16", "--limit", "100", "--max-length", "8", "--max-steps", "12", "--eval-steps", "4", "--mlp-only-train", "--eval-data", sts, "--threads", "1", "--json");

        JsonObject json = outcome.Json();
        Assert.Equal(["best_step", "best_dev", "steps", "seconds", "sentences_per_second"], json.Names());
        Assert.Equal(12, json["steps"]!.GetValue<int>());
        Assert.Contains(json["best_step"]!.GetValue<int>(), new[] { 4, 8, 12 });
        Assert.Contains("100 rows of 1 column", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("of 100 texts are longer than 8 tokens", outcome.Error, StringComparison.Ordinal);
        Assert.Contains("STS-B dev", outcome.Error, StringComparison.Ordinal);
        string[] files = ["config.json", "model.safetensors", "tokenizer.json", "modules.json", "1_Pooling/config.json", "README.md", "metrics.jsonl", "manifest.json", "trainer_state.json"];
        Assert.All(files, file => Assert.True(File.Exists(Path.Combine(output, file)), file));
        JsonNode options = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(output, "manifest.json"), TestContext.Current.CancellationToken))!["options"]!;
        Assert.Equal(16, options["batch-size"]!.GetValue<int>());

        JsonObject judged = (await SimCseProcess.RunAsync("evaluate", "--model", output, "--suite", "STSB-dev", "--data", sts, "--json")).Json();
        Assert.Equal("cls_before_pooler", judged["pooling"]!.GetValue<string>());
        Assert.Equal(json["best_dev"]!.GetValue<double>(), judged["average"]!.GetValue<double>(), 0.011);
        (await SimCseProcess.RunAsync("train", "--model", TinyModel.Bert.Directory, "--data", data, "--output", output)).Failed(1, output, "--resume");
    }

    [Fact]
    public async Task A_run_that_was_killed_or_interrupted_goes_on_to_the_same_bytes()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs signals");
        string directory = RepositoryPaths.NewTemporaryDirectory();
        string[] train = ["train", "--model", TinyModel.Bert.Directory, "--data", await WriteTextAsync(directory), "--batch-size", "32",
            "--max-steps", Steps.ToString(CultureInfo.InvariantCulture), "--save-steps", "2", "--threads", "1"];
        string whole = Path.Combine(directory, "whole"), killed = Path.Combine(directory, "killed"), interrupted = Path.Combine(directory, "interrupted");
        (await SimCseProcess.RunAsync([.. train, "--output", whole])).Succeeded();

        Outcome kill = await SimCseProcess.RunUntilAsync(Path.Combine(killed, "run", "state.safetensors"), kill: true, [.. train, "--output", killed]);
        Assert.Equal(137, kill.Status);
        Assert.False(File.Exists(Path.Combine(killed, "model.safetensors")));
        (await SimCseProcess.RunAsync([.. train, "--output", killed])).Failed(1, killed, "--resume");
        Outcome other = await SimCseProcess.RunAsync([.. train, "--output", killed, "--seed", "7", "--resume"]);
        Assert.Equal(1, other.Status);
        Assert.Contains("seed = 42, not 7", other.Error, StringComparison.Ordinal);
        (await SimCseProcess.RunAsync([.. train, "--output", killed, "--resume"])).Succeeded();

        Outcome stop = await SimCseProcess.RunUntilAsync(Path.Combine(interrupted, "run", "state.safetensors"), kill: false, [.. train, "--output", interrupted, "--json"]);
        Assert.Equal(130, stop.Status);
        Assert.Equal("", stop.Output);
        Assert.Contains("simcse: interrupted: stopped after step ", stop.Error, StringComparison.Ordinal);
        Assert.Contains("--resume", stop.Error, StringComparison.Ordinal);
        (await SimCseProcess.RunAsync([.. train, "--output", interrupted, "--resume"])).Succeeded();

        byte[] expected = SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(whole, "model.safetensors"), TestContext.Current.CancellationToken));
        foreach (string output in new[] { killed, interrupted })
        {
            Assert.Equal(expected, SHA256.HashData(await File.ReadAllBytesAsync(Path.Combine(output, "model.safetensors"), TestContext.Current.CancellationToken)));
            Assert.Equal(Steps, File.ReadLines(Path.Combine(output, "metrics.jsonl")).Count());
        }
    }

    [Fact]
    public async Task A_teacher_is_learnt_by_a_model_and_by_a_new_one_from_vectors_that_are_kept()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), data = await WriteTextAsync(directory), corpus = Path.Combine(directory, "corpus.txt"), teacher = Path.Combine(directory, "teacher");
        string vectors = Path.Combine(directory, "teacher.bin"), words = Path.Combine(directory, "words"), small = Path.Combine(directory, "small"), evaluation = Path.Combine(directory, "evaluation.tsv");
        await File.WriteAllTextAsync(evaluation, "score\tsentence1\tsentence2\n3\tThe DOG sees snow, 0\tthe cat sees rain\n", TestContext.Current.CancellationToken);
        JsonObject collected = (await SimCseProcess.RunAsync("corpus", "--data", data, "--exclude", evaluation, "--output", corpus, "--json")).Json();
        Assert.Equal((199, 1), (collected["sentences"]!.GetValue<int>(), collected["overlaps"]!.GetValue<int>()));
        Assert.Equal(0, (await SimCseProcess.RunAsync("corpus", "--data", corpus, "--exclude", evaluation, "--json")).Json()["overlaps"]!.GetValue<int>());
        Assert.Equal(1, (await SimCseProcess.RunAsync("corpus", "--data", data, "--exclude", evaluation, "--json")).Json()["overlaps"]!.GetValue<int>());
        (await SimCseProcess.RunAsync("train", "--model", TinyModel.Bert.Directory, "--data", data, "--output", teacher, "--pooling", "avg", "--max-steps", "1", "--threads", "1")).Succeeded();

        string[] teach = ["--teacher", teacher, "--teacher-vectors", vectors, "--data", corpus, "--max-length", "32", "--threads", "1", "--json"];
        string[] shape = ["pretrain", .. teach, "--vocab-size", "150", "--hidden-size", "16", "--heads", "2", "--intermediate-size", "32", "--max-positions", "40", "--warmup-steps", "0", "--max-steps", "8"];
        Assert.Equal(8, (await SimCseProcess.RunAsync([.. shape, "--layers", "0", "--output", words])).Json()["steps"]!.GetValue<int>());
        DateTime computed = File.GetLastWriteTimeUtc(vectors);
        (await SimCseProcess.RunAsync([.. shape, "--layers", "1", "--words-from", words, "--pooling", "static_first_last", "--store", "fp16", "--output", small])).Json();
        (await SimCseProcess.RunAsync(["train", .. teach, "--model", small, "--pooling", "static_first_last", "--max-steps", "2", "--output", Path.Combine(directory, "further")])).Json();
        Assert.Equal(computed, File.GetLastWriteTimeUtc(vectors)); // read by all three, computed by the first
        Assert.Equal(await File.ReadAllTextAsync(Path.Combine(words, "vocab.txt"), TestContext.Current.CancellationToken), await File.ReadAllTextAsync(Path.Combine(small, "vocab.txt"), TestContext.Current.CancellationToken));
        Assert.InRange((await SimCseProcess.RunAsync("similarity", "the dog sees snow", "the dog likes snow", "--model", small, "--json")).Json()["similarity"]!.GetValue<double>(), 0.5, 1);

        Outcome other = await SimCseProcess.RunAsync("pretrain", "--teacher", teacher, "--teacher-vectors", vectors, "--data", data, "--output", Path.Combine(directory, "other"), "--layers", "0");
        Assert.Equal(1, other.Status);
        Assert.Contains($"simcse: {vectors}: holds the vectors of other texts", other.Error, StringComparison.Ordinal);
        (await SimCseProcess.RunAsync("pretrain", "--data", data, "--output", Path.Combine(directory, "masked"), "--layers", "0")).Failed(2, "--layers is 0");
        (await SimCseProcess.RunAsync("corpus", "--data", data, "--min-words", "9", "--max-words", "8")).Failed(2, "--min-words is 9");
    }

    [Fact]
    public async Task A_config_file_holds_the_options_and_the_command_line_wins()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "model"), config = Path.Combine(directory, "run.json");
        JsonObject options = new()
        {
            ["model"] = TinyModel.Bert.Directory,
            ["data"] = await WriteTextAsync(directory),
            ["batch_size"] = 8,
            ["learning-rate"] = 1e-4,
            ["max-steps"] = 50,
            ["hard-negative-weight"] = -0.5,
            ["mlp-only-train"] = true,
            ["seed"] = null,
            ["threads"] = 1,
        };
        await File.WriteAllTextAsync(config, options.ToJsonString(), TestContext.Current.CancellationToken);
        Outcome outcome = await SimCseProcess.RunAsync("train", "--config", config, "--max-steps", "2", "--output", output, "--json");
        Assert.Equal(2, outcome.Json()["steps"]!.GetValue<int>());
        JsonNode manifest = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(output, "manifest.json"), TestContext.Current.CancellationToken))!["options"]!;
        Assert.Equal((8, 1e-4, -0.5, true, 42), (manifest["batch-size"]!.GetValue<int>(), manifest["learning-rate"]!.GetValue<double>(),
            manifest["hard-negative-weight"]!.GetValue<double>(), manifest["mlp-only-train"]!.GetValue<bool>(), manifest["seed"]!.GetValue<int>()));

        options["batchsize"] = 8;
        await File.WriteAllTextAsync(config, options.ToJsonString(), TestContext.Current.CancellationToken);
        (await SimCseProcess.RunAsync("train", "--config", config, "--output", output)).Failed(2, config, "'batchsize'");
        await File.WriteAllTextAsync(config, "{\n\"batch-size\": ", TestContext.Current.CancellationToken);
        (await SimCseProcess.RunAsync("train", "--config", config, "--output", output)).Failed(1, config + ":2:");
    }

    /// <summary>200 sentences of unequal length.</summary>
    private static async Task<string> WriteTextAsync(string directory)
    {
        string[] subjects = ["the dog", "a woman", "the company", "one river", "my teacher"], verbs = ["sees", "likes", "reports", "leaves"], objects = ["snow", "a large profit this year", "the kitchen", "an old guitar on the stage"];
        string path = Path.Combine(directory, "text.txt");
        await File.WriteAllLinesAsync(path, Enumerable.Range(0, 200).Select(i => $"{subjects[i % 5]} {verbs[i / 5 % 4]} {objects[i / 20 % 4]} {i}"), TestContext.Current.CancellationToken);
        return path;
    }
}
