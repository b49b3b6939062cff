using System.Diagnostics;
using SimCse.Training.Kernels;
using SimCse.Training.Modeling;
using TorchSharp;

namespace SimCse.Bench;

/// <summary>The matrix products that this machine can give, square and of size 1920 (no power of two, whose rows would contend for the same cache lines), the best of several in each round: libtorch's and ours, in each precision of the benchmark. A machine's peak is the best of them.</summary>
internal sealed class MatrixProductPeak : Side
{
    private const int Size = 1920, Products = 6;
    private readonly Precision[] _precisions;
    private readonly NativeBuffer _left = new(), _panels = new(), _product = new();
    private readonly torch.Tensor _a = torch.rand(Size, Size), _b = torch.rand(Size, Size);

    public MatrixProductPeak(int threads, IEnumerable<Precision> precisions)
    {
        torch.set_num_threads(threads);
        _precisions = [.. precisions.Distinct()];
    }

    /// <summary>Whether a part of a round was measured in that precision.</summary>
    public static bool IsOf(string part, Precision precision) => part.StartsWith(Name(precision), StringComparison.Ordinal);

    public override void WriteCheck(string path) => File.WriteAllText(path, "");

    public override IReadOnlyList<Measurement> RunRound(int round) => [.. _precisions.SelectMany(p => new[] { Libtorch(p), Ours(p) })];

    private static string Name(Precision precision) => precision == Precision.Bf16 ? "bf16" : "fp32";

    private Measurement Libtorch(Precision precision)
    {
        torch.ScalarType type = precision == Precision.Bf16 ? torch.ScalarType.BFloat16 : torch.ScalarType.Float32;
        using torch.Tensor a = _a.to(type, copy: true), b = _b.to(type, copy: true);
        return Best($"{Name(precision)} libtorch", () => torch.mm(a, b).Dispose());
    }

    // As the encoder multiplies: the right-hand side in panels, which the weights are in once a step, and the rows of the left-hand side shared out among the threads.
    private unsafe Measurement Ours(Precision precision)
    {
        const int Block = 240; // whole tiles of 12 rows
        int words = MatrixProduct.DepthWords(Size, precision);
        float* left = _left.Floats((long)Size * words), panels = _panels.Floats(Panels.Words(words, Size)), product = _product.Floats((long)Size * Size);
        float* a = (float*)_a.Address(), b = (float*)_b.Address();
        MatrixProduct.PackRows(precision, b, Size, Size, Size, panels, words);
        if (precision == Precision.Bf16)
        {
            MatrixProduct.ToBf16(a, Size, Size, Size, left, words);
        }
        else
        {
            left = a;
        }

        nint from = (nint)left, to = (nint)product, right = (nint)panels;
        return Best($"{Name(precision)} simcse", () => WorkerThreads.Run(Size / Block, (item, _) => MatrixProduct.Multiply(
            precision, Block, (float*)from + ((long)item * Block * words), words, 1, Panels.At((float*)right, words, Size), words, (float*)to + ((long)item * Block * Size), Size, accumulate: false)));
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
        _left.Dispose();
        _panels.Dispose();
        _product.Dispose();
    }
}
