using System.Buffers.Binary;
using System.Globalization;
using SimCse.Training.Modeling;

namespace SimCse.Bench.Training;

/// <summary>The step against Debian's PyTorch: what a user gets who installs python3-torch instead of PyTorch's own wheels. Not the peer to be measured by: it is several times slower than <c>plain</c>.</summary>
internal sealed class DebianBenchmark() : TrainingBenchmark(ModelShape.Small)
{
    private const string Python = "/usr/bin/python3";

    public override string Name => "train-small-debian";

    public override string Summary => "unsupervised training step, 6 x 384, float32, against the reference's step in Debian's PyTorch with OpenBLAS (eng/debian-pytorch/setup)";

    public override (Precision Ours, Precision Peer)? Products => (Precision.Fp32, Precision.Fp32);

    /// <summary>Whether Debian's PyTorch is installed.</summary>
    public static bool HasPeer => Directory.Exists("/usr/lib/python3/dist-packages/torch");

    public override void RequireMachine()
    {
        if (!HasPeer)
        {
            throw new PlatformNotSupportedException($"{Name}: Debian's python3-torch is not there; eng/debian-pytorch/setup installs it");
        }
    }

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        IReadOnlyList<string> lines = base.Prepare(folder, options);
        int hidden = Checkpoints.EncoderConfig.Load(Path.Combine(TrainingInput.Load(folder).Model, "config.json")).HiddenSize;
        float[] head = TrainingInput.Head(hidden).Weight;
        byte[] bytes = new byte[head.Length * sizeof(float)];
        for (int i = 0; i < head.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(i * sizeof(float)), head[i]);
        }

        File.WriteAllBytes(Path.Combine(folder, "head.f32"), bytes);
        return lines;
    }

    public override IReadOnlyList<string> CommandOf(SideName side, string folder, BenchmarkOptions options) => side == SideName.Peer
        ? [Python, Path.Combine(Repository.Root, "bench", "peers", "debian-pytorch", "side.py"), folder,
            TrainingInput.LearningRate.ToString(CultureInfo.InvariantCulture), TrainingInput.TotalSteps.ToString(CultureInfo.InvariantCulture), options.Threads.ToString(CultureInfo.InvariantCulture)]
        : base.CommandOf(side, folder, options);
}
