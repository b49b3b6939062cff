using System.Diagnostics;
using System.Globalization;

namespace SimCse.Cli;

/// <summary>Says every ten seconds how far a stream of unknown length has come.</summary>
/// <param name="what">What is counted.</param>
internal sealed class RateLines(string what) : IProgress<long>
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);
    private readonly long _start = Stopwatch.GetTimestamp();
    private long _last = Stopwatch.GetTimestamp();

    /// <summary>Called when so many are done.</summary>
    public void Report(long value)
    {
        if (Stopwatch.GetElapsedTime(_last) >= s_interval)
        {
            _last = Stopwatch.GetTimestamp();
            Log.Info(string.Create(CultureInfo.InvariantCulture, $"{value:N0} {what}, {value / Stopwatch.GetElapsedTime(_start).TotalSeconds:0} a second"));
        }
    }
}
