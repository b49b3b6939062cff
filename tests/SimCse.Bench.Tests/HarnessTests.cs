using System.Globalization;
using System.Text.RegularExpressions;
using SimCse.Bench.Training;
using SimCse.Checkpoints;

namespace SimCse.Bench.Tests;

public sealed partial class HarnessTests
{
    [GeneratedRegex(@"^train-small-fp32 ratio=\d+\.\d\d ours=\S+ peer=\S+ unit=sentences/s rounds=2$", RegexOptions.None, 1000)]
    private static partial Regex ResultLine();

    [GeneratedRegex(@"^train-memory ratio=\d+\.\d\d ours=0\.\d\d peer=0\.\d\d unit=GB rounds=1$", RegexOptions.None, 1000)]
    private static partial Regex MemoryLine();

    [Fact]
    public void A_run_alternates_both_sides_and_ends_with_its_result()
    {
        using StringWriter report = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        BenchmarkOptions options = new(Rounds: 2, Threads: 1, Steps: 1, Batch: 4, Model: RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal(0, PairedRun.Run(Benchmarks.Named("train-small-fp32"), options, report, TestContext.Current.CancellationToken));

        string[] lines = report.ToString().TrimEnd().Split('\n');
        Assert.Matches(ResultLine(), lines[^1]);
        Assert.Contains(lines, l => l.StartsWith("check: first step without dropout: loss", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.StartsWith("peak memory: ours", StringComparison.Ordinal));
        Assert.Contains(lines, l => l.StartsWith("matrix-product peak", StringComparison.Ordinal));
    }

    [Fact]
    public void A_memory_run_ends_with_the_peak_of_new_processes_in_GB_and_gradient_caching_before_it()
    {
        using StringWriter report = new(CultureInfo.InvariantCulture) { NewLine = "\n" };
        BenchmarkOptions options = new(Rounds: 1, Threads: 1, Steps: 1, Batch: 4, Model: RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal(0, PairedRun.Run(Benchmarks.Named("train-memory"), options, report, TestContext.Current.CancellationToken));

        string[] lines = report.ToString().TrimEnd().Split('\n');
        Assert.Matches(MemoryLine(), lines[^1]);
        Assert.Single(lines, l => l.StartsWith("train-memory-512 ratio=", StringComparison.Ordinal));
        Assert.DoesNotContain(lines, l => l.StartsWith("warm-up", StringComparison.Ordinal));
    }

    [Fact]
    public void A_cost_run_is_told_by_a_whole_epoch()
    {
        // 10,000 sentences: 5 s that do not belong to steps, and steps at 200 a second.
        SideRound round = new([new Measurement("all-but-steps", 5, 10_000), new Measurement("steps", 6.4, 1280)], 0, 0);

        Assert.Equal(10_000 / 55.0, Benchmarks.Named("train-cost").ValueOf(round), 1e-9);
        Assert.Equal(200, Benchmarks.Named("train-cost").ValueOf(round with { Parts = [round.Parts[1]] }), 1e-9);
    }

    [Theory]
    [InlineData(new double[] { 3 }, 3)]
    [InlineData(new double[] { 5, 1, 3 }, 3)]
    [InlineData(new double[] { 4, 1, 2, 100 }, 3)]
    public void The_median_is_the_middle_value(double[] values, double median) => Assert.Equal(median, PairedRun.Median(values));

    [Fact]
    public void The_last_line_has_the_form_that_other_programs_read() =>
        Assert.Equal("tokenize ratio=2.13 ours=21300 peer=10000 unit=texts/s rounds=5", PairedRun.LastLine("tokenize", 2.13, 21_300, 10_000, "texts/s", 5));

    [Theory]
    [InlineData("--rounds", "0", "whole number above 0")]
    [InlineData("--rounds", "many", "whole number above 0")]
    [InlineData("--speed", "1", "is not an option")]
    [InlineData("--sentences", "poems", "wiki or generated")]
    public void A_wrong_option_is_refused_with_what_is_expected(string name, string value, string message) =>
        Assert.Contains(message, Assert.Throws<UsageException>(() => BenchmarkOptions.Parse([name, value])).Message, StringComparison.Ordinal);

    [Fact]
    public void Names_are_unique_and_an_unknown_one_lists_them()
    {
        Assert.Equal(Benchmarks.All.Count, Benchmarks.All.Select(b => b.Name).Distinct(StringComparer.Ordinal).Count());
        Assert.Contains("train-base-fp32", Assert.Throws<UsageException>(() => Benchmarks.Named("train-huge")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sides_that_compute_different_losses_are_refused()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        string ours = Path.Combine(folder, "ours"), peer = Path.Combine(folder, "peer");
        new TrainingCheck(2.5, 10).Save(ours);
        new TrainingCheck(2.6, 10).Save(peer);

        Assert.Contains("do not compute the same", Assert.Throws<InvalidDataException>(() => Benchmarks.Named("train-small-fp32").Compare(ours, peer)).Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Ranks_that_compute_another_loss_than_one_process_are_refused()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        string ours = Path.Combine(folder, "ours"), peer = Path.Combine(folder, "peer");
        File.WriteAllText(ours, "[2.5, 2.25]");
        File.WriteAllText(peer, "[2.5, 2.26]");

        Assert.Contains("do not compute the same", Assert.Throws<InvalidDataException>(() => Benchmarks.Named("ranks-2").Compare(ours, peer)).Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Texts_whose_ids_differ_are_named()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        string ours = Path.Combine(folder, "ours"), peer = Path.Combine(folder, "peer");
        File.WriteAllLines(ours, ["101 102", "101 7 102", "0 2", "0 8 2"]);
        File.WriteAllLines(peer, ["101 102", "101 7 102", "0 2", "0 9 2"]);

        Assert.Equal("the ids of text 2 differ (bpe): 0 8 2 ours, 0 9 2 the peer's", Assert.Throws<InvalidDataException>(() => Benchmarks.Named("tokenize").Compare(ours, peer)).Message);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void A_step_of_BERT_base_on_padded_rows_takes_three_times_its_forward_products()
    {
        EncoderConfig config = ModelShape.Base.Config;
        int[][] batch = [new int[32], new int[16]];

        (double padded, double real, double computed) = TrainingInput.Flops(batch, config);

        // 12 layers of 12 H² multiply-adds a token and 2 L H a token in attention; 2 sentences as 2 rows each.
        double Forward(double tokens) => 2 * 12 * tokens * ((12.0 * 768 * 768) + (2 * tokens * 768));
        Assert.Equal(3 * 2 * 2 * Forward(32), padded, 1.0);
        Assert.Equal(3 * 2 * (Forward(32) + Forward(16)), real, 1.0);

        // The last layer: keys and values of every token (2 H² each), then for [CLS] alone query and projection, the feed-forward layer (8 H²), and its row of attention.
        double Last(double tokens) => 2 * ((tokens * 2.0 * 768 * 768) + (10.0 * 768 * 768) + (2 * tokens * 768));
        Assert.Equal(3 * 2 * ((11 / 12.0 * (Forward(32) + Forward(16))) + Last(32) + Last(16)), computed, 1.0);
        Assert.Equal(64 / 48.0, TrainingInput.PaddingFactor([batch]), 1e-12);
    }

    [Fact]
    public void Generated_sentences_have_a_mean_of_19_tokens_and_a_padding_factor_of_1_6()
    {
        int[][] sentences = [.. TrainingInput.GeneratedSentences(30522, 32).Take(6400)];

        Assert.InRange(sentences.Average(s => s.Length), 18, 20.5);
        Assert.InRange(TrainingInput.PaddingFactor(sentences.Chunk(64)), 1.55, 1.75);
        Assert.All(sentences, s => Assert.InRange(s.Length, 3, 32));
    }
}
