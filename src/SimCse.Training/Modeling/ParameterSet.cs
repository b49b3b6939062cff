using SimCse.Training.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// Named float32 tensors that learn: leaves of the autograd graph, in a fixed order. Their gradients lie end to end in one flat tensor, in the same order, so that they are cleared,
/// measured and exchanged between processes in one pass.
/// </summary>
public sealed class ParameterSet : IDisposable
{
    private const int Alignment = 16; // floats: a gradient starts at a cache line

    private readonly Dictionary<string, Tensor> _byName = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _gradientStarts = new(StringComparer.Ordinal);
    private readonly Dictionary<string, bool[]> _touched = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];
    private Tensor? _gradients;

    /// <summary>An empty set.</summary>
    /// <param name="device">Where the tensors live; null for the CPU.</param>
    public ParameterSet(Device? device = null) => Device = device ?? CPU;

    /// <summary>Where the tensors live.</summary>
    public Device Device { get; }

    /// <summary>The names, in the order they were added.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>The number of values of all parameters.</summary>
    public long Count => _byName.Values.Sum(t => t.numel());

    /// <summary>The parameter of that name.</summary>
    public Tensor this[string name] => _byName[name];

    /// <summary>Counts the changes of values, so that what was derived from them knows when it is out of date.</summary>
    internal int Version { get; private set; }

    /// <summary>All gradients, flat, the padding between them zero.</summary>
    internal Tensor FlatGradients => _gradients ?? throw new InvalidOperationException("no gradients yet");

    /// <summary>Whether there is a parameter of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Adds a parameter with these initial values.</summary>
    public void Add(string name, ReadOnlySpan<float> values, params long[] shape)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor parameter = empty(shape, ScalarType.Float32);
        values.CopyTo(parameter.Floats());
        parameter = parameter.to(Device).DetachFromDisposeScope();
        parameter.requires_grad_(true);
        _byName.Add(name, parameter);
        _names.Add(name);
        _gradients?.Dispose();
        _gradients = null; // laid out anew, with room for this one
    }

    /// <summary>A copy of a parameter's values, row-major.</summary>
    public float[] Read(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        return _byName[name].detach().cpu().Floats().ToArray();
    }

    /// <summary>Sets a parameter's values.</summary>
    public void Write(string name, ReadOnlySpan<float> values)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradient = no_grad();
        Tensor source = empty(_byName[name].shape, ScalarType.Float32);
        values.CopyTo(source.Floats());
        _byName[name].copy_(source);
        MarkChanged();
    }

    /// <summary>Says that values were changed in place.</summary>
    internal void MarkChanged() => Version++;

    /// <summary>Sets all gradients to zero.</summary>
    public void ClearGradients()
    {
        PrepareGradients();
        if (Device.type != DeviceType.CPU)
        {
            _gradients!.zero_();
            return;
        }

        const int Chunk = 1 << 20;
        List<(nint Start, int Length)> stretches = [];
        foreach (string name in _names)
        {
            long length = _byName[name].numel();
            if (_touched.TryGetValue(name, out bool[]? rows))
            {
                int width = checked((int)(length / rows.Length));
                for (int row = 0; row < rows.Length; row++)
                {
                    if (rows[row])
                    {
                        Add(name, (long)row * width, width);
                    }
                }

                Array.Clear(rows);
            }
            else
            {
                for (long at = 0; at < length; at += Chunk)
                {
                    Add(name, at, (int)Math.Min(Chunk, length - at));
                }
            }
        }

        WorkerThreads.Run(stretches.Count, (item, _) => Clear(stretches[item].Start, stretches[item].Length));

        void Add(string name, long at, int length) => stretches.Add((_gradients!.Address() + (nint)((_gradientStarts[name] + at) * sizeof(float)), length));

        static unsafe void Clear(nint memory, int length) => new Span<float>((float*)memory, length).Clear();
    }

    /// <summary>
    /// Follows from now on which rows of a matrix get a gradient: whoever adds to it says so by <see cref="Touch"/> or <see cref="TouchAll"/>, and rows that nobody named cost nothing in
    /// clearing and in the optimiser.
    /// </summary>
    internal void FollowRows(string name) => _touched[name] = [.. Enumerable.Repeat(true, checked((int)_byName[name].shape[0]))];

    /// <summary>These rows have a gradient.</summary>
    internal void Touch(string name, ReadOnlySpan<int> rows)
    {
        bool[] touched = _touched[name];
        foreach (int row in rows)
        {
            touched[row] = true;
        }
    }

    /// <summary>Every row may have a gradient.</summary>
    internal void TouchAll(string name)
    {
        if (_touched.TryGetValue(name, out bool[]? touched))
        {
            Array.Fill(touched, true);
        }
    }

    /// <summary>The rows that have a gradient since it was cleared; null where that is not followed.</summary>
    internal bool[]? TouchedRows(string name) => _touched.GetValueOrDefault(name);

    /// <summary>Gives every parameter its place in the flat gradients, where autograd then adds to it.</summary>
    internal void PrepareGradients()
    {
        if (_gradients is not null)
        {
            return;
        }

        long end = 0;
        foreach (string name in _names)
        {
            _gradientStarts[name] = end;
            end += (_byName[name].numel() + Alignment - 1) / Alignment * Alignment;
        }

        using DisposeScope scope = NewDisposeScope();
        _gradients = zeros(end, ScalarType.Float32, Device).DetachFromDisposeScope();
        foreach (string name in _names)
        {
            Tensor parameter = _byName[name];
            parameter.grad = _gradients.narrow(0, _gradientStarts[name], parameter.numel()).view(parameter.shape);
        }
    }

    /// <summary>Where a parameter's gradient starts in <see cref="FlatGradients"/>.</summary>
    internal long GradientStart(string name)
    {
        PrepareGradients();
        return _gradientStarts[name];
    }

    /// <summary>The memory of a parameter's values, on the CPU.</summary>
    internal unsafe float* Values(string name) => (float*)_byName[name].Address();

    /// <summary>The memory of a parameter's gradient, on the CPU.</summary>
    internal unsafe float* Gradients(string name)
    {
        PrepareGradients();
        return (float*)_gradients!.Address() + _gradientStarts[name];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor parameter in _byName.Values)
        {
            parameter.Dispose();
        }

        _gradients?.Dispose();
    }
}
