using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace SimCse.Bench;

/// <summary>The parent's end of a side's process: asks, waits, and reads its processor time and peak memory from the system.</summary>
internal sealed class SideProcess : IDisposable
{
    private readonly SideName _side;
    private readonly Process _process;

    /// <param name="benchmark">Whose side it is.</param>
    /// <param name="side">Which.</param>
    /// <param name="folder">The run's.</param>
    /// <param name="options">What the user asked for.</param>
    /// <param name="namesCode">Whether .NET writes the names of the code that it compiles, for perf.</param>
    public SideProcess(Benchmark benchmark, SideName side, string folder, BenchmarkOptions options, bool namesCode = false)
    {
        _side = side;
        IReadOnlyList<string> command = side == SideName.Peak ? CommandOf(benchmark, side, folder) : benchmark.CommandOf(side, folder, options);
        ProcessStartInfo start = new(command[0], command.Skip(1)) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        string threads = options.Threads.ToString(CultureInfo.InvariantCulture);
        foreach (string name in new[] { "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "DOTNET_PROCESSOR_COUNT", "RAYON_NUM_THREADS" })
        {
            start.Environment[name] = threads;
        }

        if (namesCode)
        {
            start.Environment["DOTNET_PerfMapEnabled"] = "3"; // the map alone
            start.Environment["DOTNET_EnableWriteXorExecute"] = "0"; // else compiled code lies in a file of its own, for which perf reads no map
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        using JsonDocument ready = Ask(null);
        Version = ready.RootElement.GetProperty("ready").GetString()!;
    }

    /// <summary>Its number in the system.</summary>
    public int Id => _process.Id;

    /// <summary>What the side runs on, as it says itself.</summary>
    public string Version { get; }

    /// <summary>The dotnet that runs this program.</summary>
    public static string DotnetHost { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet"));

    /// <summary>The command that makes this program a side.</summary>
    public static IReadOnlyList<string> CommandOf(Benchmark benchmark, SideName side, string folder) =>
        [DotnetHost, typeof(SideProcess).Assembly.Location, "--side", side.ToString(), benchmark.Name, folder];

    public void Check(string path)
    {
        using JsonDocument reply = Ask($"check {path}");
    }

    /// <summary>One round: what the side measured, and what its processes took.</summary>
    public SideRound Round(int round)
    {
        TimeSpan before = ProcessTree.ProcessorTime(_process);
        using JsonDocument reply = Ask(string.Create(CultureInfo.InvariantCulture, $"round {round}"));
        Measurement[] parts = reply.Deserialize<Measurement[]>()!;
        return new SideRound(parts, (ProcessTree.ProcessorTime(_process) - before).TotalSeconds, Math.Max(ProcessTree.PeakMemory(_process), parts.Max(p => p.PeakMemory)));
    }

    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            if (!_process.WaitForExit(TimeSpan.FromSeconds(10)))
            {
                _process.Kill(entireProcessTree: true);
            }
        }

        _process.Dispose();
    }

    private JsonDocument Ask(string? request)
    {
        if (request is not null)
        {
            _process.StandardInput.WriteLine(request);
            _process.StandardInput.Flush();
        }

        if (_process.StandardOutput.ReadLine() is string line)
        {
            return JsonDocument.Parse(line);
        }

        _process.WaitForExit();
        throw new InvalidDataException($"the process of side {_side} ended with exit status {_process.ExitCode} at {request ?? "its start"}; its message is above");
    }
}
