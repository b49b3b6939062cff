namespace SimCse.Bench;

/// <summary>The processes of a run's sides: each opened when it is first asked, and kept, or opened anew for every round where the benchmark wants that.</summary>
internal sealed class OpenSides(Benchmark benchmark, string folder, BenchmarkOptions options) : IDisposable
{
    private readonly Dictionary<SideName, SideProcess> _kept = [];

    /// <summary>One round of a side.</summary>
    public SideRound Round(SideName side, int round)
    {
        if (benchmark.NewProcessesEachRound)
        {
            using SideProcess process = new(benchmark, side, folder, options);
            return process.Round(round);
        }

        if (!_kept.TryGetValue(side, out SideProcess? kept))
        {
            kept = new SideProcess(benchmark, side, folder, options);
            _kept.Add(side, kept);
        }

        return kept.Round(round);
    }

    public void Dispose()
    {
        foreach (SideProcess process in _kept.Values)
        {
            process.Dispose();
        }
    }
}
