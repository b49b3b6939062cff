using System.Text.Json;
using SimCse.Training.Modeling;

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
        benchmark.RequireMachine();
        if (benchmark.Further is { } further)
        {
            Run(further, options, report, cancellationToken);
        }

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

            report.WriteLine($"check: {Check(benchmark, folder, options, out string oursVersion, out string peerVersion)}");
            report.WriteLine($"ours runs on {oursVersion}; the peer on {peerVersion}");
            Summarise(benchmark, Measure(benchmark, folder, options, report, cancellationToken), report);
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
    private static string Check(Benchmark benchmark, string folder, BenchmarkOptions options, out string oursVersion, out string peerVersion)
    {
        (string oursCheck, string peerCheck) = (Path.Combine(folder, "check-ours"), Path.Combine(folder, "check-peer"));
        using (SideProcess ours = new(benchmark, SideName.Ours, folder, options))
        {
            ours.Check(oursCheck);
            oursVersion = ours.Version;
        }

        using (SideProcess peer = new(benchmark, SideName.Peer, folder, options))
        {
            peer.Check(peerCheck);
            peerVersion = peer.Version;
        }

        return benchmark.Compare(oursCheck, peerCheck);
    }

    private static List<Round> Measure(Benchmark benchmark, string folder, BenchmarkOptions options, TextWriter report, CancellationToken cancellationToken)
    {
        using OpenSides sides = new(benchmark, folder, options);
        report.WriteLine($"round   ours {benchmark.Unit}   peer {benchmark.Unit}   ratio   ours CPU s   peer CPU s   CPU ratio");
        List<Round> rounds = [];
        for (int r = benchmark.NewProcessesEachRound ? 1 : 0; r <= options.Rounds; r++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            IReadOnlyList<Measurement> products = benchmark.Products is null ? [] : sides.Round(SideName.Peak, r).Parts;
            SideRound ours, peer;
            if (r % 2 == 1)
            {
                ours = sides.Round(SideName.Ours, r);
                peer = sides.Round(SideName.Peer, r);
            }
            else
            {
                peer = sides.Round(SideName.Peer, r);
                ours = sides.Round(SideName.Ours, r);
            }

            double oursValue = benchmark.ValueOf(ours), peerValue = benchmark.ValueOf(peer);
            string number = r == 0 ? "warm-up" : $"{r,5}";
            string peak = string.Concat(products.Select(p => $"   {p.Part} {p.Items / p.Seconds / 1e9:0} GFLOP/s"));
            report.WriteLine($"{number}   {Figure(oursValue)}   {Figure(peerValue)}   {benchmark.RatioOf(oursValue, peerValue):0.00}   {ours.ProcessorSeconds:0.00}   {peer.ProcessorSeconds:0.00}   {peer.ProcessorSeconds / ours.ProcessorSeconds:0.00}{peak}");
            report.Flush();
            if (r > 0)
            {
                rounds.Add(benchmark.Products is null
                    ? new Round(ours, peer, products, default, default)
                    : new Round(ours, peer, products, benchmark.FlopsOf(SideName.Ours, r, folder), benchmark.FlopsOf(SideName.Peer, r, folder)));
            }
        }

        return rounds;
    }

    private static void Summarise(Benchmark benchmark, List<Round> rounds, TextWriter report)
    {
        double[] ratios = [.. rounds.Select(r => benchmark.RatioOf(benchmark.ValueOf(r.Ours), benchmark.ValueOf(r.Peer)))];
        report.WriteLine($"ratio of the rounds: {ratios.Min():0.00} to {ratios.Max():0.00}");
        long oursMemory = rounds.Max(r => r.Ours.PeakMemory), peerMemory = rounds.Max(r => r.Peer.PeakMemory);
        report.WriteLine($"peak memory: ours {oursMemory / 1e9:0.00} GB, peer {peerMemory / 1e9:0.00} GB, peer/ours {(double)peerMemory / oursMemory:0.00}, ours/peer {(double)oursMemory / peerMemory:0.00}");
        report.WriteLine($"processor seconds a round: ours {Median(rounds.Select(r => r.Ours.ProcessorSeconds)):0.00}, peer {Median(rounds.Select(r => r.Peer.ProcessorSeconds)):0.00}, peer/ours {Median(rounds.Select(r => r.Peer.ProcessorSeconds / r.Ours.ProcessorSeconds)):0.00}");
        if (benchmark.Products is { } products)
        {
            SummariseProducts("ours", products.Ours, rounds, r => (r.Ours.Seconds, r.OursFlops), report);
            SummariseProducts("peer", products.Peer, rounds, r => (r.Peer.Seconds, r.PeerFlops), report);
        }

        foreach (string part in rounds[0].Ours.Parts.Select(p => p.Part).Where(p => p.Length > 0))
        {
            report.WriteLine(Line($"{benchmark.Name}/{part}", p => string.Equals(p.Part, part, StringComparison.Ordinal)));
        }

        report.WriteLine(Line(benchmark.Name, _ => true));

        string Line(string name, Func<Measurement, bool> counts)
        {
            (double Ours, double Peer)[] values = [.. rounds.Select(r => (Value(r.Ours), Value(r.Peer)))];
            return LastLine(name, Median(values.Select(v => benchmark.RatioOf(v.Ours, v.Peer))), Median(values.Select(v => v.Ours)), Median(values.Select(v => v.Peer)), benchmark.Unit, rounds.Count);

            double Value(SideRound round) => benchmark.ValueOf(round with { Parts = [.. round.Parts.Where(counts)] });
        }
    }

    private static void SummariseProducts(string side, Precision precision, List<Round> rounds, Func<Round, (double Seconds, FlopCount Flops)> of, TextWriter report)
    {
        (string Part, double Flops)[] products = [.. rounds[0].Products.Where(p => MatrixProductPeak.IsOf(p.Part, precision))
            .Select(p => (p.Part, Median(rounds.Select(r => r.Products.First(q => string.Equals(q.Part, p.Part, StringComparison.Ordinal))).Select(q => q.Items / q.Seconds))))];
        double peak = products.Max(p => p.Flops);
        report.WriteLine($"matrix-product peak of this machine, these threads: {string.Join(", ", products.Select(p => $"{p.Part} {p.Flops / 1e9:0}"))} GFLOP/s; {side} is measured by {peak / 1e9:0}");
        string Share(Func<FlopCount, double> counted)
        {
            double flops = Median(rounds.Select(of).Select(r => counted(r.Flops) / r.Seconds));
            return $"{flops / 1e9:0} ({flops / peak:0%} of the peak)";
        }

        report.WriteLine($"GFLOP/s of {side}: {Share(f => f.Padded)} padding counted, {Share(f => f.Real)} real tokens only, {Share(f => f.Computed)} really computed");
    }

    private static string Figure(double value) => value >= 1000 ? $"{value:0}" : value >= 100 ? $"{value:0.0}" : $"{value:0.00}";

    private sealed record Round(SideRound Ours, SideRound Peer, IReadOnlyList<Measurement> Products, FlopCount OursFlops, FlopCount PeerFlops);
}
