using System.Diagnostics;
using System.Text;

namespace SimCse.Tests;

/// <summary>A program on several ranks, as a user starts it. eng/mpi/setup installs Open MPI.</summary>
internal static class Mpirun
{
    private static readonly Encoding s_utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);

    /// <summary>Runs a command on so many ranks, with this text on rank 0's standard input, and does something while they run; the running test is skipped, by name, where there is no mpirun.</summary>
    /// <remarks>
    /// When a rank has died, mpirun asks the others to stop and kills them <paramref name="patience"/> seconds later, which it spends asleep, twice. Its own second is too short on a busy machine for a rank to say
    /// what happened.
    /// </remarks>
    public static async Task<(int Status, string Output, string Error)> RunAsync(
        int ranks, string executable, string[] arguments, string input = "", Func<Process, Task>? meanwhile = null, int patience = 1)
    {
        Assert.SkipUnless(Installed, "needs Open MPI (eng/mpi/setup)");
        string[] options = ["-n", $"{ranks}", "--oversubscribe", "--bind-to", "none", "--mca", "odls_base_sigkill_timeout", $"{patience}"];
        ProcessStartInfo start = new("mpirun", [.. options, executable, .. arguments])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = s_utf8,
            StandardOutputEncoding = s_utf8,
            StandardErrorEncoding = s_utf8,
        };
        start.Environment["OMPI_ALLOW_RUN_AS_ROOT"] = start.Environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
        start.Environment["DOTNET_PROCESSOR_COUNT"] = "1"; // tests run side by side
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        try
        {
            await process.StandardInput.WriteAsync(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has ended without reading: its exit status says why.
        }

        if (meanwhile is not null)
        {
            await meanwhile(process);
        }

        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output, await error);
    }

    private static bool Installed { get; } = InstalledProgram.Find("mpirun") is not null;
}
