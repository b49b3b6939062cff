using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace SimCse.Bench;

/// <summary>The parent's end of a side's process: asks, waits, and reads its processor time and peak memory from the system.</summary>
internal sealed class SideProcess : IDisposable
{
    public static readonly string DotnetHost = Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", OperatingSystem.IsWindows() ? "dotnet.exe" : "dotnet");
    private readonly SideName _side;
    private readonly Process _process;

    public SideProcess(Benchmark benchmark, SideName side, string folder, BenchmarkOptions options)
    {
        _side = side;
        IReadOnlyList<string> command = benchmark.CommandOf(side, folder, options)
            ?? [DotnetHost, typeof(SideProcess).Assembly.Location, "--side", side.ToString(), benchmark.Name, folder];
        ProcessStartInfo start = new(command[0], command.Skip(1)) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true };
        string threads = options.Threads.ToString(CultureInfo.InvariantCulture);
        foreach (string name in new[] { "OMP_NUM_THREADS", "MKL_NUM_THREADS", "DOTNET_PROCESSOR_COUNT", "RAYON_NUM_THREADS" })
        {
            start.Environment[name] = threads;
        }

        _process = Process.Start(start) ?? throw new InvalidOperationException($"{command[0]} did not start");
        using JsonDocument ready = Ask(null);
    }

    /// <summary>The most memory the process has had resident, bytes.</summary>
    public long PeakMemory
    {
        get
        {
            _process.Refresh();
            return _process.PeakWorkingSet64;
        }
    }

    public void Check(string path)
    {
        using JsonDocument reply = Ask($"check {path}");
    }

    /// <summary>One round: what the side measured, and the processor seconds (all threads) that its process took.</summary>
    public (IReadOnlyList<Measurement> Parts, double ProcessorSeconds) Round(int round)
    {
        TimeSpan before = ProcessorTime();
        using JsonDocument reply = Ask(string.Create(CultureInfo.InvariantCulture, $"round {round}"));
        return (reply.Deserialize<Measurement[]>()!, (ProcessorTime() - before).TotalSeconds);
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

    private TimeSpan ProcessorTime()
    {
        _process.Refresh();
        return _process.TotalProcessorTime;
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
