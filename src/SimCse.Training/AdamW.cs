using System.Runtime.Intrinsics;
using SimCse.Training.Kernels;
using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>
/// AdamW with the gradient clipped by its global norm, in one pass over the memory:
/// m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; θ ← θ − η·λ·θ − η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε).
/// </summary>
/// <remarks>
/// Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019; the order of operations is PyTorch's. Without weight decay, rows of the word embeddings that no token has touched
/// yet have moments of zero and do not move: they are passed over, which changes no bit. Rows touched earlier move on their moments, as in PyTorch.
/// </remarks>
public sealed class AdamW : IDisposable
{
    private const float Beta1 = 0.9f, Beta2 = 0.999f, Epsilon = 1e-8f;
    private const int Chunk = 1 << 16;

    private readonly ParameterSet _parameters;
    private readonly Tensor _first, _second; // as the flat gradients
    private readonly Dictionary<string, bool[]> _moving = new(StringComparer.Ordinal);
    private readonly double _weightDecay, _maximumNorm;

    /// <summary>An optimiser over all of <paramref name="parameters"/>, moments zero; none may be added afterwards.</summary>
    /// <param name="parameters">What it updates.</param>
    /// <param name="weightDecay">λ; the paper uses none.</param>
    /// <param name="maximumNorm">The global gradient norm above which gradients are scaled down to it.</param>
    public AdamW(ParameterSet parameters, double weightDecay = 0, double maximumNorm = 1)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        _parameters = parameters;
        _weightDecay = weightDecay;
        _maximumNorm = maximumNorm;
        parameters.PrepareGradients();
        _first = zeros_like(parameters.FlatGradients).DetachFromDisposeScope();
        _second = zeros_like(parameters.FlatGradients).DetachFromDisposeScope();
    }

    /// <summary>t, the number of steps taken.</summary>
    public int Steps { get; private set; }

    /// <summary>Copies of the moments m and v of a parameter, for a checkpoint to keep.</summary>
    public (float[] First, float[] Second) Moments(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        return (Of(_first, name).cpu().Floats().ToArray(), Of(_second, name).cpu().Floats().ToArray());
    }

    /// <summary>Sets the moments of a parameter to those that a checkpoint has kept.</summary>
    public void SetMoments(string name, float[] first, float[] second)
    {
        using DisposeScope scope = NewDisposeScope();
        Of(_first, name).copy_(tensor(first));
        Of(_second, name).copy_(tensor(second));
        _moving.Remove(name);
    }

    /// <summary>Goes on from a checkpoint whose moments have been set: t.</summary>
    public void Resume(int steps) => Steps = steps;

    /// <summary>Updates every parameter from its gradient.</summary>
    /// <param name="learningRate">η of this step.</param>
    /// <returns>The global norm of the gradient before clipping.</returns>
    public double Step(double learningRate) => Step(learningRate, _parameters.Device.type == DeviceType.CPU);

    /// <summary>The same, told whether to walk over the memory, as on the CPU, or to use the device's tensor operations.</summary>
    internal double Step(double learningRate, bool inMemory)
    {
        Steps++;
        float bias2 = (float)Math.Sqrt(1 - Math.Pow(Beta2, Steps)), rate = (float)(learningRate / (1 - Math.Pow(Beta1, Steps)));
        float decay = (float)(1 - (learningRate * _weightDecay));
        double norm = inMemory ? StepInMemory(rate, bias2, decay) : StepOnDevice(rate, bias2, decay);
        _parameters.MarkChanged();
        return norm;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _first.Dispose();
        _second.Dispose();
    }

    private Tensor Of(Tensor moments, string name) => moments.narrow(0, _parameters.GradientStart(name), _parameters[name].numel());

    private unsafe double StepInMemory(float rate, float bias2, float decay)
    {
        List<Work> work = [];
        float* gradients = (float*)_parameters.FlatGradients.Address(), first = (float*)_first.Address(), second = (float*)_second.Address();
        foreach (string name in _parameters.Names)
        {
            long start = _parameters.GradientStart(name);
            int length = checked((int)_parameters[name].numel());
            nint value = _parameters[name].Address(), slope = (nint)(gradients + start), m = (nint)(first + start), v = (nint)(second + start);
            bool[]? touched = _parameters.TouchedRows(name), moving = touched is null || _weightDecay != 0 ? null : MovingRows(name, touched);
            int width = touched is null ? 0 : length / touched.Length;
            int chunk = touched is null ? Chunk : Math.Max(1, Chunk / width) * width; // whole rows
            for (int at = 0; at < length; at += chunk)
            {
                work.Add(new Work(value, slope, m, v, at, Math.Min(chunk, length - at), width, touched, moving));
            }
        }

        double[] squares = new double[work.Count];
        WorkerThreads.Run(work.Count, (w, _) =>
        {
            if (work[w].Touched is { } touched)
            {
                for (int row = work[w].FirstRow; row < work[w].EndRow; row++)
                {
                    squares[w] += touched[row] ? SumOfSquares(work[w].Row(row).Gradient) : 0;
                }
            }
            else
            {
                squares[w] = SumOfSquares(work[w].Gradient);
            }
        });
        double norm = Math.Sqrt(squares.Sum());
        float clip = (float)Math.Min(1, _maximumNorm / (norm + 1e-6));
        WorkerThreads.Run(work.Count, (w, _) =>
        {
            if (work[w].Moving is { } moving)
            {
                for (int row = work[w].FirstRow; row < work[w].EndRow; row++)
                {
                    if (moving[row])
                    {
                        Update(work[w].Row(row), clip, rate, bias2, decay);
                    }
                }
            }
            else
            {
                Update(work[w], clip, rate, bias2, decay);
            }
        });
        return norm;
    }

    private double StepOnDevice(float rate, float bias2, float decay)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradient = no_grad();
        Tensor gradients = _parameters.FlatGradients;
        double norm = gradients.norm().item<float>();
        using Scalar clip = Math.Min(1, _maximumNorm / (norm + 1e-6)), beta1 = Beta1, beta2 = Beta2, rest1 = 1 - Beta1, rest2 = 1 - Beta2, kept = decay, back = -rate;
        gradients.mul_(clip);
        _first.mul_(beta1).add_(gradients, rest1);
        _second.mul_(beta2).addcmul_(gradients, gradients, rest2);
        Tensor step = _first / _second.sqrt().Over(bias2).Plus(Epsilon);
        foreach (string name in _parameters.Names)
        {
            _parameters[name].mul_(kept).add_(Of(step, name).view(_parameters[name].shape), back);
        }

        return norm;
    }

    /// <summary>Which rows have moments: those touched in this step or before.</summary>
    private unsafe bool[] MovingRows(string name, bool[] touched)
    {
        if (!_moving.TryGetValue(name, out bool[]? moving))
        {
            moving = new bool[touched.Length];
            if (Steps > 1)
            {
                // after a resume: a row that was ever touched has moments
                int width = checked((int)_parameters[name].numel()) / touched.Length;
                float* first = (float*)_first.Address() + _parameters.GradientStart(name), second = (float*)_second.Address() + _parameters.GradientStart(name);
                for (int row = 0; row < moving.Length; row++)
                {
                    moving[row] = new ReadOnlySpan<float>(first + ((long)row * width), width).ContainsAnyExcept(0f) || new ReadOnlySpan<float>(second + ((long)row * width), width).ContainsAnyExcept(0f);
                }
            }

            _moving.Add(name, moving);
        }

        for (int row = 0; row < moving.Length; row++)
        {
            moving[row] |= touched[row];
        }

        return moving;
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

    private static void Update(Work work, float clip, float rate, float bias2, float decay)
    {
        Span<float> values = work.Values, first = work.First, second = work.Second;
        ReadOnlySpan<float> gradient = work.Gradient;
        int width = Vector512<float>.Count, at = 0;
        for (; at <= values.Length - width; at += width)
        {
            Vector512<float> g = Vector512.Create(gradient[at..]) * clip;
            Vector512<float> m = (Vector512.Create<float>(first[at..]) * Beta1) + (g * (1 - Beta1));
            Vector512<float> v = (Vector512.Create<float>(second[at..]) * Beta2) + (g * g * (1 - Beta2));
            Vector512<float> step = m / ((Vector512.Sqrt(v) / bias2) + Vector512.Create(Epsilon)) * rate;
            ((Vector512.Create<float>(values[at..]) * decay) - step).CopyTo(values[at..]);
            m.CopyTo(first[at..]);
            v.CopyTo(second[at..]);
        }

        for (; at < values.Length; at++)
        {
            float g = gradient[at] * clip;
            first[at] = (first[at] * Beta1) + (g * (1 - Beta1));
            second[at] = (second[at] * Beta2) + (g * g * (1 - Beta2));
            values[at] = (values[at] * decay) - (first[at] / ((MathF.Sqrt(second[at]) / bias2) + Epsilon) * rate);
        }
    }

    /// <summary>A stretch of one parameter, the unit of parallel work; where the parameter's rows are followed, whole rows of <paramref name="Width"/> values.</summary>
    private readonly record struct Work(nint ValueStart, nint GradientStart, nint FirstStart, nint SecondStart, int At, int Length, int Width, bool[]? Touched, bool[]? Moving)
    {
        public int FirstRow => At / Width;

        public int EndRow => (At + Length) / Width;

        public unsafe Span<float> Values => new((float*)ValueStart + At, Length);

        public unsafe ReadOnlySpan<float> Gradient => new((float*)GradientStart + At, Length);

        public unsafe Span<float> First => new((float*)FirstStart + At, Length);

        public unsafe Span<float> Second => new((float*)SecondStart + At, Length);

        public Work Row(int row) => this with { At = row * Width, Length = Width };
    }
}
