using System.Globalization;
using System.Text.Json;

namespace SimCse.Bench.Training;

/// <summary>
/// How training goes past one process: <c>mpirun -n 2 simcse train --threads 1</c> against <c>simcse train --threads 1</c>, the same data and the same batch of all ranks together. Sentences a second by the command's own
/// metrics, without the first steps, in which its code is compiled, and without the last, in which the model is written. Processor time and memory are those of both ranks and of mpirun.
/// </summary>
internal sealed class RanksBenchmark : Benchmark
{
    private const int Ranks = 2, Sentences = 10_000, WarmUpSteps = 4, DefaultSteps = 12, CheckSteps = 2;
    private const double Tolerance = 1e-3;
    private const string DataFile = "sentences.txt";

    public override string Name => "ranks-2";

    public override string Summary => "mpirun -n 2 simcse train, one thread a rank, against one process of one thread on the same batch, 6 x 384";

    public override string Unit => "sentences/s";

    public override bool OneThread => true;

    public override void RequireMachine()
    {
        if (!(Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, "mpirun"))))
        {
            throw new PlatformNotSupportedException($"{Name}: there is no mpirun; Debian's packages openmpi-bin and libopenmpi3 have it");
        }
    }

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        File.WriteAllLines(Path.Combine(folder, DataFile), SampleTexts.All().Take(Sentences));
        return [$"input: {Sentences} {SampleTexts.Source}, {options.Batch} a step of all ranks together, cut to {options.MaxLength} tokens; {options.Steps ?? DefaultSteps} steps a round behind {WarmUpSteps} that do not count"];
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options) =>
        // A terminal, which Open MPI gives each rank, would be set up ahead of the JSON.
        new RanksSide(side == SideName.Ours ? ["mpirun", "-n", Ranks.ToString(CultureInfo.InvariantCulture), "--oversubscribe", "--bind-to", "none", "-x", "TERM=dumb"] : [], Path.Combine(folder, DataFile), options);

    public override string Compare(string oursCheck, string peerCheck)
    {
        double[] ours = JsonSerializer.Deserialize<double[]>(File.ReadAllText(oursCheck))!, peer = JsonSerializer.Deserialize<double[]>(File.ReadAllText(peerCheck))!;
        string found = $"losses of the first steps: {Join(ours)} on {Ranks} ranks, {Join(peer)} on one";
        return ours.Length == peer.Length && ours.Zip(peer).All(p => Math.Abs(p.First - p.Second) <= Tolerance * Math.Abs(p.Second))
            ? found
            : throw new InvalidDataException($"{found}: the two sides do not compute the same");

        static string Join(double[] losses) => string.Join(' ', losses.Select(l => l.ToString("0.000000", CultureInfo.InvariantCulture)));
    }

    private sealed class RanksSide(IReadOnlyList<string> launcher, string data, BenchmarkOptions options) : Side
    {
        public override void WriteCheck(string path) =>
            File.WriteAllText(path, JsonSerializer.Serialize(CommandLineTraining.Run(launcher, data, CheckSteps, options).Steps.Select(s => s.Loss)));

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            int steps = options.Steps ?? DefaultSteps;
            CommandLineTraining run = CommandLineTraining.Run(launcher, data, WarmUpSteps + steps + 1, options);
            return [new Measurement("", run.Steps[WarmUpSteps + steps - 1].Seconds - run.Steps[WarmUpSteps - 1].Seconds, (double)steps * options.Batch, run.PeakMemory)];
        }

        public override void Dispose()
        {
        }
    }
}
