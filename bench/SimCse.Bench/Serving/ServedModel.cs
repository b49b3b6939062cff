using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace SimCse.Bench.Serving;

/// <summary>A <c>simcse serve</c> of its own process, on a free port of loopback.</summary>
internal sealed class ServedModel : IDisposable
{
    private readonly Process _process;

    /// <param name="model">The model's directory.</param>
    /// <param name="threads">Of the encoder.</param>
    /// <param name="places">Requests that may be under way at once.</param>
    public ServedModel(string model, int threads, int places)
    {
        string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
        ProcessStartInfo start = new(SideProcess.DotnetHost,
            [Path.Combine(AppContext.BaseDirectory, "SimCse.Cli.dll"), "serve", "--model", model, "--port", "0", "--json", "--threads", Number(threads), "--max-concurrent-requests", Number(places), "--auto-truncate"])
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
        };
        _process = Process.Start(start) ?? throw new InvalidOperationException("simcse serve did not start");
        string? line = _process.StandardOutput.ReadLine();
        Address = line is null
            ? throw new InvalidDataException("simcse serve ended before it answered")
            : new Uri(JsonDocument.Parse(line).RootElement.GetProperty("address").GetString()!);
    }

    public Uri Address { get; }

    /// <summary>Memory that is resident now, bytes.</summary>
    public long Memory
    {
        get
        {
            _process.Refresh();
            return _process.WorkingSet64;
        }
    }

    /// <summary>Processor seconds until now.</summary>
    public double ProcessorSeconds
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime.TotalSeconds;
        }
    }

    public void Dispose()
    {
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
    }
}
