using System.Runtime.Intrinsics;
using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>
/// AdamW with the gradient clipped by its global norm, in one pass over each parameter:
/// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; θ ← θ − η·λ·θ − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
/// </summary>
/// <remarks>Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019; the order of operations is PyTorch's.</remarks>
public sealed class AdamW
{
    private const float Beta1 = 0.9f, Beta2 = 0.999f, Epsilon = 1e-8f;
    private const int Chunk = 1 << 16;

    private readonly ParameterSet _parameters;
    private readonly Dictionary<string, (float[] First, float[] Second)> _moments;
    private readonly double _weightDecay, _maximumNorm;

    /// <summary>An optimiser over all of <paramref name="parameters"/>, moments zero.</summary>
    /// <param name="parameters">What it updates.</param>
    /// <param name="weightDecay">λ; the paper uses none.</param>
    /// <param name="maximumNorm">The global gradient norm above which gradients are scaled down to it.</param>
    public AdamW(ParameterSet parameters, double weightDecay = 0, double maximumNorm = 1)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        _parameters = parameters;
        _weightDecay = weightDecay;
        _maximumNorm = maximumNorm;
        _moments = parameters.Names.ToDictionary(
            n => n, n => (new float[parameters[n].numel()], new float[parameters[n].numel()]), StringComparer.Ordinal);
    }

    /// <summary>t, the number of steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>The moments m and v of a parameter, for a checkpoint to keep.</summary>
    public (float[] First, float[] Second) Moments(string name) => _moments[name];

    /// <summary>Goes on from a checkpoint: moments are written through <see cref="Moments"/>, and t is set here.</summary>
    public void Resume(int steps) => Steps = steps;

    /// <summary>Updates every parameter from its gradient; one that has none counts as a gradient of zero.</summary>
    /// <param name="learningRate">η of this step.</param>
    /// <returns>The global norm of the gradient before clipping.</returns>
    public double Step(double learningRate)
    {
        List<Work> work = [];
        foreach (string name in _parameters.Names)
        {
            Tensor parameter = _parameters[name];
            Tensor? gradient = parameter.grad;
            if (gradient is not null && !gradient.is_contiguous())
            {
                gradient = gradient.contiguous();
            }

            int length = checked((int)parameter.numel());
            nint value = parameter.Address(), slope = gradient?.Address() ?? 0;
            for (int at = 0; at < length; at += Chunk)
            {
                work.Add(new Work(name, value, slope, at, Math.Min(Chunk, length - at)));
            }
        }

        double[] squares = new double[work.Count];
        Parallel.For(0, work.Count, w => squares[w] = SumOfSquares(work[w].Gradient));
        double norm = Math.Sqrt(squares.Sum());
        float clip = (float)Math.Min(1, _maximumNorm / (norm + 1e-6));

        Steps++;
        float bias2 = (float)Math.Sqrt(1 - Math.Pow(Beta2, Steps)), rate = (float)(learningRate / (1 - Math.Pow(Beta1, Steps)));
        float decay = (float)(1 - (learningRate * _weightDecay));
        Parallel.For(0, work.Count, w =>
        {
            (float[] first, float[] second) = _moments[work[w].Name];
            Update(work[w].Values, work[w].Gradient, first.AsSpan(work[w].At, work[w].Length), second.AsSpan(work[w].At, work[w].Length), clip, rate, bias2, decay);
        });
        return norm;
    }

    private static double SumOfSquares(ReadOnlySpan<float> gradient)
    {
        double sum = 0;
        for (int at = 0; at < gradient.Length; at += 4096)
        {
            sum += System.Numerics.Tensors.TensorPrimitives.SumOfSquares<float>(gradient.Slice(at, Math.Min(4096, gradient.Length - at)));
        }

        return sum;
    }

    private static void Update(Span<float> values, ReadOnlySpan<float> gradient, Span<float> first, Span<float> second, float clip, float rate, float bias2, float decay)
    {
        int width = Vector512<float>.Count, at = 0;
        for (; at <= values.Length - width; at += width)
        {
            Vector512<float> g = gradient.IsEmpty ? Vector512<float>.Zero : Vector512.Create(gradient[at..]) * clip;
            Vector512<float> m = (Vector512.Create<float>(first[at..]) * Beta1) + (g * (1 - Beta1));
            Vector512<float> v = (Vector512.Create<float>(second[at..]) * Beta2) + (g * g * (1 - Beta2));
            Vector512<float> step = m / ((Vector512.Sqrt(v) / bias2) + Vector512.Create(Epsilon)) * rate;
            ((Vector512.Create<float>(values[at..]) * decay) - step).CopyTo(values[at..]);
            m.CopyTo(first[at..]);
            v.CopyTo(second[at..]);
        }

        for (; at < values.Length; at++)
        {
            float g = gradient.IsEmpty ? 0 : gradient[at] * clip;
            first[at] = (first[at] * Beta1) + (g * (1 - Beta1));
            second[at] = (second[at] * Beta2) + (g * g * (1 - Beta2));
            values[at] = (values[at] * decay) - (first[at] / ((MathF.Sqrt(second[at]) / bias2) + Epsilon) * rate);
        }
    }

    /// <summary>A stretch of one parameter: the unit of parallel work.</summary>
    private readonly record struct Work(string Name, nint ValueStart, nint GradientStart, int At, int Length)
    {
        public unsafe Span<float> Values => new((float*)ValueStart + At, Length);

        public unsafe ReadOnlySpan<float> Gradient => GradientStart == 0 ? [] : new((float*)GradientStart + At, Length);
    }
}
