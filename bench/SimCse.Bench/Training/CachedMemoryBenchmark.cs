using SimCse.Training.Modeling;

namespace SimCse.Bench.Training;

/// <summary>Peak memory of ours with gradient caching, batch 512 in micro-batches of 64, against ours at batch 64. The check compares a batch of 128 in micro-batches with the same at once.</summary>
internal sealed class CachedMemoryBenchmark : MemoryBenchmark
{
    private const int Batch = 512, MicroBatch = 64, CheckBatch = 128;

    public override string Name => "train-memory-512";

    public override string Summary => "peak memory of the training step, 6 x 384, float32, ours at batch 512 in micro-batches of 64, against ours at batch 64";

    public override Benchmark? Further => null;

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        IReadOnlyList<string> lines = base.Prepare(folder, options with { Batch = Batch });
        TrainingInput input = TrainingInput.Load(folder);
        (input with { CheckBatch = input.Batches[0][..CheckBatch] }).Save(folder);
        return lines;
    }

    protected override Side Open(SideName side, TrainingInput input) => side == SideName.Ours
        ? Ours(input, Precision.Fp32, MicroBatch)
        : Ours(input with { Batches = [.. input.Batches.Select(batch => batch[..MicroBatch])] }, Precision.Fp32);
}
