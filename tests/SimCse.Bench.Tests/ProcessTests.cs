using System.Diagnostics;

namespace SimCse.Bench.Tests;

public sealed class ProcessTests
{
    [Fact]
    public void What_a_process_takes_includes_the_processes_it_started()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "reads /proc");
        // The shell waits for one child that computes, and ends another that computes and is waited for.
        const string Script = """
            bash -c 'for ((i = 0; i < 300000; i++)); do :; done'
            bash -c 'x=$(printf "%30000000s" ""); echo up; read line'
            true
            """;
        using Process shell = Process.Start(new ProcessStartInfo("bash", ["-c", Script]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Assert.Equal("up", shell.StandardOutput.ReadLine());
        shell.Refresh();

        Assert.InRange(ProcessTree.PeakMemory(shell), shell.PeakWorkingSet64 + 15_000_000, long.MaxValue);
        Assert.InRange(ProcessTree.ProcessorTime(shell), shell.TotalProcessorTime + TimeSpan.FromMilliseconds(10), TimeSpan.MaxValue);
        shell.StandardInput.Close();
        shell.WaitForExit();
    }
}
