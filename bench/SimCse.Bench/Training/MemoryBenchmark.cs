namespace SimCse.Bench.Training;

/// <summary>The most memory that a process has resident after several steps of batch 64, ours against <c>plain</c>; new processes in every round.</summary>
internal class MemoryBenchmark() : TrainingBenchmark(ModelShape.Small)
{
    public override string Name => "train-memory";

    public override string Summary => "peak memory of the training step, 6 x 384, float32, against the reference's step in TorchSharp";

    public override Benchmark? Further => Benchmarks.Named("train-memory-512");

    public override string Unit => "GB";

    public override bool NewProcessesEachRound => true;

    public override double ValueOf(SideRound round) => round.PeakMemory / 1e9;

    public override double RatioOf(double ours, double peer) => peer / ours;
}
