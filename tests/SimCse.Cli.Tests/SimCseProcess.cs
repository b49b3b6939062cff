using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

/// <summary>The built <c>simcse</c> as a child process.</summary>
internal static partial class SimCseProcess
{
    private const int Interrupt = 2, TerminateSignal = 15;
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false);

    private static string Executable { get; } = Path.Combine(AppContext.BaseDirectory, OperatingSystem.IsWindows() ? "simcse.exe" : "simcse");

    public static Task<Outcome> RunAsync(params string[] arguments) => ReadingAsync("", arguments);

    /// <summary>With this text on standard input.</summary>
    public static Task<Outcome> ReadingAsync(string input, params string[] arguments) => WithAsync(environment: null, input, arguments);

    /// <summary>With this text on standard input, and a variable in the environment.</summary>
    public static async Task<Outcome> WithAsync((string Name, string Value)? environment, string input, params string[] arguments)
    {
        using Process process = Start(environment, arguments);
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

        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Outcome(process.ExitCode, await output, await error);
    }

    /// <summary>On several ranks, with this text on the standard input of rank 0.</summary>
    public static Task<Outcome> OnRanksAsync(int ranks, string input, params string[] arguments) => OnRanksAsync(ranks, input, meanwhile: null, arguments);

    /// <summary>The same; something is done while they run, after the text is read: a rank killed, or all of them interrupted. They then have time to say so.</summary>
    public static async Task<Outcome> OnRanksAsync(int ranks, string input, Func<Process, Task>? meanwhile, params string[] arguments)
    {
        (int status, string output, string error) = await Mpirun.RunAsync(ranks, Executable, arguments, input, meanwhile, patience: meanwhile is null ? 1 : 5);
        return new Outcome(status, output, error);
    }

    /// <summary>Starts a command and, as soon as a file is there, kills it (as kill -9 does) or interrupts it (as Ctrl-C does).</summary>
    public static async Task<Outcome> RunUntilAsync(string file, bool kill, params string[] arguments)
    {
        using Process process = Start(environment: null, arguments);
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        while (!File.Exists(file) && !process.HasExited)
        {
            await Task.Delay(2, TestContext.Current.CancellationToken);
        }

        if (kill)
        {
            process.Kill();
        }
        else
        {
            Assert.Equal(0, Signal(process.Id, Interrupt));
        }

        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return new Outcome(process.ExitCode, await output, await error);
    }

    /// <summary>Starts a command, with a variable in its environment.</summary>
    public static Process Start((string Name, string Value)? environment, string[] arguments)
    {
        ProcessStartInfo start = new(Executable, arguments)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = s_utf8,
            StandardOutputEncoding = s_utf8,
            StandardErrorEncoding = s_utf8,
        };
        if (environment is var (name, value))
        {
            start.Environment[name] = value;
        }

        return Process.Start(start)!;
    }

    /// <summary>Asks a process to stop, as service managers do.</summary>
    public static void Terminate(Process process) => Assert.Equal(0, Signal(process.Id, TerminateSignal));

    [LibraryImport("libc", EntryPoint = "kill", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Signal(int process, int signal);
}

/// <summary>What a command left behind.</summary>
internal sealed record Outcome(int Status, string Output, string Error)
{
    /// <summary>The lines of standard output.</summary>
    public string[] Lines => Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>The one JSON document on standard output, after a success.</summary>
    public JsonObject Json()
    {
        Succeeded();
        return JsonNode.Parse(Output)!.AsObject();
    }

    public Outcome Succeeded()
    {
        Assert.True(Status == 0, $"exit status {Status}: {Error}");
        return this;
    }

    /// <summary>The command ended with this status, printed nothing, and said why in exactly one line that holds all of <paramref name="parts"/>.</summary>
    public void Failed(int status, params string[] parts)
    {
        Assert.Equal("", Output);
        string[] lines = Error.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.True(lines.Length == 1, $"expected one line on standard error, found {lines.Length}: {Error}");
        Assert.StartsWith("simcse: ", lines[0], StringComparison.Ordinal);
        Assert.DoesNotContain("this is a bug", lines[0], StringComparison.Ordinal);
        Assert.All(parts, part => Assert.Contains(part, lines[0], StringComparison.Ordinal));
        Assert.Equal(status, Status);
    }
}
