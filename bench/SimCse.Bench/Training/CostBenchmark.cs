using System.Globalization;

namespace SimCse.Bench.Training;

/// <summary>
/// What a sentence costs as the corpus grows: <c>simcse train</c> for a fixed number of steps on a file of many sentences, against the same on 10,000. The figure is the sentences a second of a whole epoch:
/// N / (everything but the steps + N / sentences a second of the steps), where the steps are timed by the command itself and everything else is the rest of its wall time.
/// </summary>
internal sealed class CostBenchmark(int sentences) : Benchmark
{
    private const int Few = 10_000, Million = 1_000_000, DefaultSteps = 20;
    private const string Rest = "all-but-steps", Steps = "steps";

    public override string Name => sentences == Million ? "train-cost" : $"train-cost-{sentences / 1000}k";

    public override string Summary => $"simcse train on a file of {sentences} sentences against the same on {Few}, 6 x 384: sentences a second of an epoch";

    public override string Unit => "sentences/s";

    public override Benchmark? Further => sentences == Million ? Benchmarks.Named("train-cost-100k") : null;

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        string[] texts = [.. SampleTexts.All()];
        foreach (int count in new[] { Few, sentences })
        {
            Random random = new(6);
            File.WriteAllLines(DataFile(folder, count), Enumerable.Range(0, count).Select(_ => texts[random.Next(texts.Length)]));
        }

        return [$"input: {sentences} and {Few} drawn from {texts.Length} {SampleTexts.Source}; {options.Steps ?? DefaultSteps} steps of {options.Batch}, cut to {options.MaxLength} tokens"];
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options) => new CostSide(side == SideName.Ours ? sentences : Few, folder, options);

    public override string Compare(string oursCheck, string peerCheck) => "none: the same command on both sides, and only the length of the data differs";

    public override double ValueOf(SideRound round)
    {
        if (round.Parts is [Measurement only])
        {
            return only.Items / only.Seconds;
        }

        Measurement rest = round.Parts.Single(p => string.Equals(p.Part, Rest, StringComparison.Ordinal)), steps = round.Parts.Single(p => string.Equals(p.Part, Steps, StringComparison.Ordinal));
        return rest.Items / (rest.Seconds + (rest.Items * steps.Seconds / steps.Items));
    }

    private static string DataFile(string folder, int count) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{count}.txt"));

    private sealed class CostSide(int count, string folder, BenchmarkOptions options) : Side
    {
        public override void WriteCheck(string path) => File.WriteAllText(path, "");

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            int steps = options.Steps ?? DefaultSteps;
            CommandLineTraining run = CommandLineTraining.Run([], DataFile(folder, count), steps, options);
            return [new Measurement(Rest, run.Seconds - run.StepSeconds, count, run.PeakMemory), new Measurement(Steps, run.StepSeconds, (double)steps * options.Batch)];
        }

        public override void Dispose()
        {
        }
    }
}
