using System.Text.Json;

namespace SimCse.Bench;

/// <summary>
/// One run of a benchmark: prepares the input, checks that both sides compute the same, then alternates rounds, ours and the peer's,
/// each side in a process of its own that waits while the other works. Who begins changes from round to round.
/// </summary>
internal static class PairedRun
{
    public const string OptionsFile = "options.json";

    public static int Run(Benchmark benchmark, BenchmarkOptions options, TextWriter report, CancellationToken cancellationToken = default)
    {
        options = benchmark.OneThread ? options with { Threads = 1 } : options;
        string folder = Directory.CreateTempSubdirectory("simcse-bench-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, OptionsFile), JsonSerializer.Serialize(options));
            report.WriteLine($"{benchmark.Name}: {benchmark.Summary}");
            report.WriteLine(Machine.Describe(options.Threads));
            foreach (string line in benchmark.Prepare(folder, options))
            {
                report.WriteLine(line);
            }

            report.WriteLine($"check: {Check(benchmark, folder, options)}");
            List<Round> rounds = Measure(benchmark, folder, options, report, cancellationToken, out long oursMemory, out long peerMemory);
            Summarise(benchmark, rounds, oursMemory, peerMemory, report);
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The middle value, or the mean of the two in the middle.</summary>
    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }

    /// <summary>The line that other programs read.</summary>
    public static string LastLine(string name, double ratio, double ours, double peer, string unit, int rounds) =>
        $"{name} ratio={ratio:0.00} ours={Figure(ours)} peer={Figure(peer)} unit={unit} rounds={rounds}";

    // In processes of their own, so that the check leaves no trace in the memory that the timed ones report.
    private static string Check(Benchmark benchmark, string folder, BenchmarkOptions options)
    {
        string[] files = new string[2];
        foreach (SideName side in new[] { SideName.Ours, SideName.Peer })
        {
            files[(int)side] = Path.Combine(folder, $"check-{side}");
            using SideProcess process = new(benchmark, side, folder, options);
            process.Check(files[(int)side]);
        }

        return benchmark.Compare(files[0], files[1]);
    }

    private static List<Round> Measure(Benchmark benchmark, string folder, BenchmarkOptions options, TextWriter report, CancellationToken cancellationToken, out long oursMemory, out long peerMemory)
    {
        using SideProcess ours = new(benchmark, SideName.Ours, folder, options);
        using SideProcess peer = new(benchmark, SideName.Peer, folder, options);
        using SideProcess? peak = benchmark.CountsFlops ? new SideProcess(benchmark, SideName.Peak, folder, options) : null;
        string peakHead = peak is null ? "" : "   peak GFLOP/s";
        report.WriteLine($"round   ours {benchmark.Unit}   peer {benchmark.Unit}   ratio   ours CPU s   peer CPU s   CPU ratio{peakHead}");
        List<Round> rounds = [];
        for (int r = 0; r <= options.Rounds; r++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            double peakFlops = 0;
            if (peak is not null)
            {
                Measurement product = peak.Round(r).Parts[0];
                peakFlops = product.PaddedFlops / product.Seconds;
            }

            Round round = r % 2 == 1
                ? new Round(Ours: ours.Round(r), Peer: peer.Round(r), peakFlops)
                : SecondFirst(ours, peer, r, peakFlops);
            double oursValue = benchmark.ValueOf(round.Ours.Parts), peerValue = benchmark.ValueOf(round.Peer.Parts);
            string peakColumn = peak is null ? "" : $"   {peakFlops / 1e9,12:0}";
            string number = r == 0 ? "warm-up" : $"{r,5}";
            report.WriteLine($"{number}   {Figure(oursValue)}   {Figure(peerValue)}   {benchmark.RatioOf(oursValue, peerValue):0.00}   {round.Ours.ProcessorSeconds:0.00}   {round.Peer.ProcessorSeconds:0.00}   {round.Peer.ProcessorSeconds / round.Ours.ProcessorSeconds:0.00}{peakColumn}");
            report.Flush();
            if (r > 0)
            {
                rounds.Add(round);
            }
        }

        oursMemory = ours.PeakMemory;
        peerMemory = peer.PeakMemory;
        return rounds;
    }

    private static Round SecondFirst(SideProcess ours, SideProcess peer, int r, double peakFlops)
    {
        (IReadOnlyList<Measurement>, double) peerRound = peer.Round(r);
        return new Round(ours.Round(r), peerRound, peakFlops);
    }

    private static void Summarise(Benchmark benchmark, List<Round> rounds, long oursMemory, long peerMemory, TextWriter report)
    {
        report.WriteLine($"peak memory: ours {oursMemory / 1e9:0.00} GB, peer {peerMemory / 1e9:0.00} GB, peer/ours {(double)peerMemory / oursMemory:0.00}");
        report.WriteLine($"processor seconds a round: ours {Median(rounds.Select(r => r.Ours.ProcessorSeconds)):0.00}, peer {Median(rounds.Select(r => r.Peer.ProcessorSeconds)):0.00}, peer/ours {Median(rounds.Select(r => r.Peer.ProcessorSeconds / r.Ours.ProcessorSeconds)):0.00}");
        if (benchmark.CountsFlops)
        {
            double peak = Median(rounds.Select(r => r.PeakFlops));
            report.WriteLine($"matrix-product peak of this machine, these threads: {peak / 1e9:0} GFLOP/s");
            foreach ((string side, Func<Round, IReadOnlyList<Measurement>> of) in new (string, Func<Round, IReadOnlyList<Measurement>>)[] { ("ours", r => r.Ours.Parts), ("peer", r => r.Peer.Parts) })
            {
                double padded = Median(rounds.Select(r => of(r).Sum(p => p.PaddedFlops) / of(r).Sum(p => p.Seconds)));
                double real = Median(rounds.Select(r => of(r).Sum(p => p.RealFlops) / of(r).Sum(p => p.Seconds)));
                report.WriteLine($"GFLOP/s of {side}: {padded / 1e9:0} padding counted ({padded / peak:0%} of the peak), {real / 1e9:0} real tokens only ({real / peak:0%})");
            }
        }

        foreach (string part in rounds[0].Ours.Parts.Select(p => p.Part).Where(p => p.Length > 0))
        {
            report.WriteLine(Line($"{benchmark.Name}/{part}", p => string.Equals(p.Part, part, StringComparison.Ordinal)));
        }

        report.WriteLine(Line(benchmark.Name, _ => true));

        string Line(string name, Func<Measurement, bool> counts)
        {
            (double Ours, double Peer)[] values = [.. rounds.Select(r => (benchmark.ValueOf([.. r.Ours.Parts.Where(counts)]), benchmark.ValueOf([.. r.Peer.Parts.Where(counts)])))];
            return LastLine(name, Median(values.Select(v => benchmark.RatioOf(v.Ours, v.Peer))), Median(values.Select(v => v.Ours)), Median(values.Select(v => v.Peer)), benchmark.Unit, rounds.Count);
        }
    }

    private static string Figure(double value) => value >= 1000 ? $"{value:0}" : value >= 100 ? $"{value:0.0}" : $"{value:0.00}";

    private sealed record Round((IReadOnlyList<Measurement> Parts, double ProcessorSeconds) Ours, (IReadOnlyList<Measurement> Parts, double ProcessorSeconds) Peer, double PeakFlops);
}
