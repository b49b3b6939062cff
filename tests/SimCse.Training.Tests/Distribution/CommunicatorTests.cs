using System.Diagnostics;
using SimCse.Training.Distribution;

namespace SimCse.Training.Tests.Distribution;

public class CommunicatorTests
{
    private static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, "SimCse.Training.Tests");

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task A_sum_over_the_ranks_has_the_bits_of_adding_in_the_order_of_the_ranks_in_one_process(int ranks) => Assert.Equal("sums equal", await Run(ranks, "sums"));

    [Fact]
    public async Task A_sum_has_the_same_bits_run_after_run_in_whatever_buckets_by_messages_and_in_shared_memory()
    {
        string[] digests = [await Run(3, "buckets", "100000"), await Run(3, "buckets", "100000"), await Run(3, "buckets", "7777"), await Run(3, "buckets", "100000", "shared"), await Run(3, "buckets", "7777", "shared")];
        Assert.Equal(64, digests[0].Length);
        Assert.Single(digests.Distinct(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Gathers_scatters_broadcasts_and_reductions_give_what_the_ranks_have(int ranks) => Assert.Equal("exchanges equal", await Run(ranks, "exchanges"));

    [Fact]
    public async Task The_runtime_keeps_its_signal_handlers_so_that_a_null_reference_is_an_exception() => Assert.Equal("caught", await Run(1, "null-reference"));

    [Fact]
    public async Task Ranks_that_were_started_with_other_data_are_told_apart_by_rank_zero() =>
        await Fails("differ", "rank 0: InvalidDataException: rank 2 has other training data than rank 0 (b, not a); give all ranks the same data, model and options");

    [Fact]
    public async Task What_fails_on_several_ranks_is_reported_by_the_lowest() => await Fails("together", "rank 1: InvalidDataException: no model here");

    [Fact]
    public async Task A_rank_that_throws_ends_the_others_and_is_the_one_to_say_why() => await Fails("failing", "rank 1: InvalidDataException: texts.txt:7: broken");

    [Theory]
    [InlineData("dying", 0, 1)] // waits in a sum
    [InlineData("dying-late", 0, 1)] // computes, and sums later
    [InlineData("dying-first", 1, 0)]
    public async Task A_rank_that_is_killed_ends_the_others_within_seconds_and_the_lowest_left_says_who_died(string program, int survivor, int dead)
    {
        string line = await Fails(program, $"rank {survivor}: RankFailureException: the run ended because rank {dead} (process ", patience: 5);
        Assert.EndsWith(") died", line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_process_that_mpirun_did_not_start_is_no_rank()
    {
        Assert.Null(ProcessRank.FromEnvironment(_ => null));
        Assert.Null(Communicator.FromEnvironment());
        Dictionary<string, string> variables = new(StringComparer.Ordinal) { ["OMPI_COMM_WORLD_RANK"] = "3", ["OMPI_COMM_WORLD_SIZE"] = "8", ["OMPI_COMM_WORLD_LOCAL_SIZE"] = "4" };
        Assert.Equal(new ProcessRank(3, 8, 4), ProcessRank.FromEnvironment(variables.GetValueOrDefault));
    }

    [Theory]
    [InlineData(4, 32, 32, 8)] // not bound: a quarter of the machine
    [InlineData(4, 16, 32, 8)] // two ranks bound to each of two sockets
    [InlineData(2, 1, 32, 1)] // bound to a core
    [InlineData(3, 2, 2, 1)] // more ranks than processors
    public void Ranks_of_one_machine_share_its_processors(int localSize, int bound, int online, int threads) => Assert.Equal(threads, new ProcessRank(0, localSize, localSize).Share(bound, online));

    private static async Task<string> Run(int ranks, string program, params string[] arguments)
    {
        (int status, string output, string error) = await Mpirun.RunAsync(ranks, Executable, [RankPrograms.Option, program, .. arguments]);
        Assert.True(status == 0, $"exit status {status}: {error}");
        return output.TrimEnd();
    }

    /// <summary>Three ranks of which one fails: a status other than zero, and exactly one line that begins so beside what mpirun itself says.</summary>
    private static async Task<string> Fails(string program, string start, int patience = 1)
    {
        long began = Stopwatch.GetTimestamp();
        (int status, string output, string error) = await Mpirun.RunAsync(3, Executable, [RankPrograms.Option, program], patience: patience);
        Assert.InRange(Stopwatch.GetElapsedTime(began).TotalSeconds, 0, 60);
        Assert.NotEqual(0, status);
        Assert.Equal("", output);
        string line = Assert.Single(error.Split('\n'), l => l.StartsWith("rank ", StringComparison.Ordinal));
        Assert.StartsWith(start, line, StringComparison.Ordinal);
        return line;
    }
}
