using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>Named float32 tensors that learn: leaves of the autograd graph, in a fixed order.</summary>
public sealed class ParameterSet : IDisposable
{
    private readonly Dictionary<string, Tensor> _byName = new(StringComparer.Ordinal);
    private readonly List<string> _names = [];

    /// <summary>The names, in the order they were added.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>The number of values of all parameters.</summary>
    public long Count => _byName.Values.Sum(t => t.numel());

    /// <summary>The parameter of that name.</summary>
    public Tensor this[string name] => _byName[name];

    /// <summary>Whether there is a parameter of that name.</summary>
    public bool Contains(string name) => _byName.ContainsKey(name);

    /// <summary>Adds a parameter with these initial values.</summary>
    public void Add(string name, ReadOnlySpan<float> values, params long[] shape)
    {
        Tensor parameter = empty(shape, ScalarType.Float32).DetachFromDisposeScope();
        values.CopyTo(parameter.Floats());
        parameter.requires_grad_(true);
        _byName.Add(name, parameter);
        _names.Add(name);
    }

    /// <summary>A copy of a parameter's values, row-major.</summary>
    public float[] Read(string name) => _byName[name].Floats().ToArray();

    /// <summary>Sets a parameter's values.</summary>
    public void Write(string name, ReadOnlySpan<float> values) => values.CopyTo(_byName[name].Floats());

    /// <summary>Forgets all gradients.</summary>
    public void ClearGradients()
    {
        foreach (Tensor parameter in _byName.Values)
        {
            using Tensor? gradient = parameter.grad;
            parameter.grad = null;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor parameter in _byName.Values)
        {
            parameter.Dispose();
        }
    }
}
