using System.Diagnostics;
using System.Text.Json;

namespace SimCse.Cli.Tests;

public class RanksTests
{
    [Theory]
    [InlineData(2, "vectors.npy")]
    [InlineData(3, "vectors.jsonl")]
    [InlineData(2, "vectors.parquet")]
    [InlineData(3, "vectors.tsv")]
    public async Task Several_ranks_write_the_bytes_that_one_process_writes(int ranks, string name)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), one = Path.Combine(directory, "one"), several = Path.Combine(directory, "several");
        Directory.CreateDirectory(one);
        Directory.CreateDirectory(several);
        string[] command = ["embed", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--jsonl", "--threads", "1", "--output"];
        string texts = Texts(blocks: 4);
        (await SimCseProcess.ReadingAsync(texts, [.. command, Path.Combine(one, name)])).Succeeded();
        Outcome outcome = await SimCseProcess.OnRanksAsync(ranks, texts, [.. command, Path.Combine(several, name)]);

        Assert.Equal("", outcome.Succeeded().Output);
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(one, name), TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(Path.Combine(several, name), TestContext.Current.CancellationToken));
        Assert.Single(Directory.GetFiles(several));
        Assert.Single(outcome.Error.Split('\n'), line => line.EndsWith("pooling avg", StringComparison.Ordinal));
    }

    [Fact]
    public async Task No_texts_give_an_empty_result_on_several_ranks_too()
    {
        string output = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "vectors.tsv");
        (await SimCseProcess.OnRanksAsync(2, "", "embed", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--output", output)).Succeeded();
        Assert.Empty(await File.ReadAllBytesAsync(output, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task A_text_that_is_broken_ends_all_ranks_with_one_line_and_no_file()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "vectors.npy");
        Outcome outcome = await SimCseProcess.OnRanksAsync(2, Texts(blocks: 2) + "{}\n", "embed", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--jsonl", "--output", output);
        Assert.Contains("standard input:4097:1: found a JSON object", FailedOnce(outcome, 1), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(directory));
    }

    [Fact]
    public async Task A_model_that_no_rank_finds_is_said_once() =>
        Assert.StartsWith("simcse: no-such-model: ", FailedOnce(await SimCseProcess.OnRanksAsync(3, "", "embed", "--model", "no-such-model", "--output", "v.npy"), 1), StringComparison.Ordinal);

    [Fact]
    public async Task A_wrong_command_line_is_said_once() =>
        Assert.Contains("--max-length", FailedOnce(await SimCseProcess.OnRanksAsync(2, "", "embed", "--max-length", "two", "--output", "v.npy"), 2), StringComparison.Ordinal);

    [Fact]
    public async Task A_command_that_knows_nothing_of_ranks_is_refused() =>
        Assert.StartsWith("simcse: simcse tokenize runs as one process", FailedOnce(await SimCseProcess.OnRanksAsync(2, "", "tokenize"), 2), StringComparison.Ordinal);

    [Theory]
    [InlineData(0, "simcse: rank 1: the run ended because rank 0 (process ")]
    [InlineData(1, "simcse: the run ended because rank 1 (process ")]
    public async Task A_rank_that_is_killed_ends_the_others_with_one_line_and_no_file(int dead, string line)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "vectors.npy");
        string texts = Texts(blocks: 200);
        Outcome outcome = await SimCseProcess.OnRanksAsync(2, texts, KillAsync, "embed", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--jsonl", "--output", output);
        Assert.StartsWith(line, FailedOnce(outcome, 137), StringComparison.Ordinal);
        Assert.False(File.Exists(output));

        // As soon as rank 0 has begun its file, all ranks are at work.
        async Task KillAsync(Process mpirun)
        {
            while (Directory.GetFiles(directory).Length == 0 && !mpirun.HasExited)
            {
                await Task.Delay(5, TestContext.Current.CancellationToken);
            }

            KillRank(await File.ReadAllTextAsync($"/proc/{mpirun.Id}/task/{mpirun.Id}/children", TestContext.Current.CancellationToken), dead);
        }
    }

    [Fact]
    public async Task Ranks_train_with_the_losses_of_one_process_and_go_on_after_one_is_killed_to_the_same_bits()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), one = Path.Combine(directory, "one"), two = Path.Combine(directory, "two"), killed = Path.Combine(directory, "killed"), data = Path.Combine(directory, "data.txt");
        await File.WriteAllLinesAsync(data, TinyModel.Bert.Sentences.Where(s => s.Trim().Length > 0).Select(s => s[..Math.Min(s.Length, 60)]), TestContext.Current.CancellationToken);
        string[] train = ["train", "--model", TinyModel.Bert.Directory, "--data", data, "--batch-size", "16", "--micro-batch-size", "5", "--max-steps", "200", "--save-steps", "3", "--do-mlm", "--threads", "1"];
        (await SimCseProcess.RunAsync([.. train, "--output", one])).Succeeded();
        (await SimCseProcess.OnRanksAsync(2, "", [.. train, "--output", two])).Succeeded();
        double[] expected = await LossesAsync(one), actual = await LossesAsync(two);
        Assert.Equal(200, actual.Length);
        Assert.All(Enumerable.Range(0, 5), step => Assert.Equal(expected[step], actual[step], 1e-4 * expected[step])); // rounding grows from step to step

        Outcome outcome = await SimCseProcess.OnRanksAsync(2, "", KillAsync, [.. train, "--output", killed]);
        Assert.Contains("--resume", FailedOnce(outcome, 137), StringComparison.Ordinal);
        (await SimCseProcess.OnRanksAsync(2, "", [.. train, "--output", killed, "--resume"])).Succeeded();
        Assert.Equal(await File.ReadAllBytesAsync(Path.Combine(two, "model.safetensors"), TestContext.Current.CancellationToken), await File.ReadAllBytesAsync(Path.Combine(killed, "model.safetensors"), TestContext.Current.CancellationToken));

        async Task KillAsync(Process mpirun)
        {
            while (!File.Exists(Path.Combine(killed, "run", "state.safetensors")) && !mpirun.HasExited)
            {
                await Task.Delay(5, TestContext.Current.CancellationToken);
            }

            KillRank(await File.ReadAllTextAsync($"/proc/{mpirun.Id}/task/{mpirun.Id}/children", TestContext.Current.CancellationToken), 1);
        }

        static async Task<double[]> LossesAsync(string output) =>
            [.. (await File.ReadAllLinesAsync(Path.Combine(output, "metrics.jsonl"), TestContext.Current.CancellationToken)).Select(line => JsonDocument.Parse(line).RootElement.GetProperty("loss").GetDouble())];
    }

    private static void KillRank(string children, int dead)
    {
        int[] ranks = [.. children.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(int.Parse).Order()];
        using Process rank = Process.GetProcessById(ranks[dead]);
        rank.Kill();
    }

    /// <summary>So many blocks of what a rank encodes at once, the last not full.</summary>
    private static string Texts(int blocks)
    {
        string[] lines = [.. TinyModel.Bert.Sentences.Select(s => JsonSerializer.Serialize(s[..Math.Min(s.Length, 20)]))];
        return string.Concat(Enumerable.Range(0, (blocks * 2048) - (blocks == 4 ? 100 : 0)).Select(i => lines[i * 7 % lines.Length] + "\n"));
    }

    /// <summary>The status, nothing on standard output, and the one line that is not mpirun's own or of progress.</summary>
    private static string FailedOnce(Outcome outcome, int status)
    {
        Assert.Equal("", outcome.Output);
        string line = Assert.Single(outcome.Error.Split('\n'), l => l.StartsWith("simcse: ", StringComparison.Ordinal));
        Assert.Equal(status, outcome.Status);
        return line;
    }
}
