using System.Diagnostics;
using TorchSharp;

namespace SimCse.Bench;

/// <summary>The float32 matrix product of the machine as libtorch gives it: 2048 × 2048 × 2048, the best of several in each round.</summary>
internal sealed class MatrixProductPeak : Side
{
    private const int Size = 2048, Products = 6;
    private readonly torch.Tensor _a = torch.rand(Size, Size), _b = torch.rand(Size, Size);

    public override void WriteCheck(string path) => File.WriteAllText(path, "");

    public override IReadOnlyList<Measurement> RunRound(int round)
    {
        double best = double.PositiveInfinity;
        for (int i = 0; i < Products; i++)
        {
            long start = Stopwatch.GetTimestamp();
            using torch.Tensor product = torch.mm(_a, _b);
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
        }

        double flops = 2.0 * Size * Size * Size;
        return [new Measurement("", best, 1, flops, flops)];
    }

    public override void Dispose()
    {
        _a.Dispose();
        _b.Dispose();
    }
}
