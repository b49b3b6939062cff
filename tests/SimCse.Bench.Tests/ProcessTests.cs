using System.Diagnostics;

namespace SimCse.Bench.Tests;

public sealed class ProcessTests
{
    private static readonly string[] s_lines = ["check somewhere", "round 0", "round 1"];

    [Fact]
    public async Task All_ranks_read_the_lines_that_rank_0_is_given()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory(), socket = Path.Combine(folder, "ranks.sock");
        File.WriteAllText(socket, ""); // as an earlier run leaves it
        using StringReader input = new(string.Join('\n', s_lines));

        Task<List<string>>[] others = [.. Enumerable.Range(1, 2).Select(rank => Task.Run(() =>
        {
            using RankRequests requests = new(rank, 3, socket, TextReader.Null);
            return Lines(requests);
        }))];
        using (RankRequests first = new(0, 3, socket, input))
        {
            Assert.Equal(s_lines, Lines(first));
        }

        foreach (Task<List<string>> other in others)
        {
            Assert.Equal(s_lines, await other.WaitAsync(TimeSpan.FromSeconds(20), TestContext.Current.CancellationToken));
        }

        Directory.Delete(folder, recursive: true);

        static List<string> Lines(RankRequests requests)
        {
            List<string> lines = [];
            while (requests.Requests.ReadLine() is string line)
            {
                lines.Add(line);
            }

            return lines;
        }
    }

    [Fact]
    public void What_a_process_takes_includes_the_processes_it_started()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        // The shell waits for one child that computes, and ends another that computes and is waited for.
        const string Script = "awk 'BEGIN { for (i = 0; i < 3000000; i++) s += i }'; awk 'BEGIN { s = sprintf(\"%20000000s\", \"\"); print \"up\"; fflush(); getline }'; true";
        using Process shell = Process.Start(new ProcessStartInfo("bash", ["-c", Script]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Assert.Equal("up", shell.StandardOutput.ReadLine());
        shell.Refresh();

        Assert.InRange(ProcessTree.PeakMemory(shell), shell.PeakWorkingSet64 + 15_000_000, long.MaxValue);
        Assert.InRange(ProcessTree.ProcessorTime(shell), shell.TotalProcessorTime + TimeSpan.FromMilliseconds(10), TimeSpan.MaxValue);
        shell.StandardInput.Close();
        shell.WaitForExit();
    }
}
