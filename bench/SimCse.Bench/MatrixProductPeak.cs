using System.Diagnostics;
using SimCse.Training.Modeling;
using TorchSharp;

namespace SimCse.Bench;

/// <summary>The matrix products that this machine can give, square and of size 2048, the best of several in each round: libtorch's and ours, in each precision of the benchmark. A machine's peak is the best of them.</summary>
internal sealed class MatrixProductPeak : Side
{
    private const int Size = 2048, Products = 6;
    private readonly Precision[] _precisions;
    private readonly torch.Tensor _a = torch.rand(Size, Size), _b = torch.rand(Size, Size);

    public MatrixProductPeak(int threads, IEnumerable<Precision> precisions)
    {
        torch.set_num_threads(threads);
        _precisions = [.. precisions.Distinct()];
    }

    /// <summary>Whether a part of a round was measured in that precision.</summary>
    public static bool IsOf(string part, Precision precision) => part.StartsWith(Name(precision), StringComparison.Ordinal);

    public override void WriteCheck(string path) => File.WriteAllText(path, "");

    public override IReadOnlyList<Measurement> RunRound(int round) => [.. _precisions.Select(Libtorch)];

    private static string Name(Precision precision) => precision == Precision.Bf16 ? "bf16" : "fp32";

    private Measurement Libtorch(Precision precision)
    {
        torch.ScalarType type = precision == Precision.Bf16 ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32;
        using torch.Tensor a = _a.to(type, copy: true), b = _b.to(type, copy: true);
        return Best($"{Name(precision)} libtorch", () => torch.mm(a, b).Dispose());
    }

    private static Measurement Best(string part, Action product)
    {
        double best = double.PositiveInfinity;
        for (int i = 0; i < Products; i++)
        {
            long start = Stopwatch.GetTimestamp();
            product();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        return new Measurement(part, best, 2.0 * Size * Size * Size);
    }

    public override void Dispose()
    {
        _a.Dispose();
        _b.Dispose();
    }
}
