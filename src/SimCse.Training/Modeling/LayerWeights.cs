using SimCse.Checkpoints;
using SimCse.Training.Kernels;

namespace SimCse.Training.Modeling;

/// <summary>A linear layer's weight (N, K) and bias (N), and the weight packed for Y = X Wᵀ and for dX = dY W.</summary>
internal sealed unsafe class LinearWeights : IDisposable
{
    private readonly ParameterSet _parameters;
    private readonly string _name;
    private readonly Precision _precision;
    private readonly NativeBuffer _forward = new(), _backward = new();
    private int _forwardVersion = -1;

    public LinearWeights(ParameterSet parameters, string name, int inputs, int outputs, Precision precision)
    {
        _parameters = parameters;
        _name = name;
        _precision = precision;
        Inputs = inputs;
        Outputs = outputs;
    }

    /// <summary>K.</summary>
    public int Inputs { get; }

    /// <summary>N.</summary>
    public int Outputs { get; }

    public float* Weight { get; private set; }

    public float* Bias { get; private set; }

    public float* WeightGradient { get; private set; }

    public float* BiasGradient { get; private set; }

    /// <summary>Looks up where the parameters and their gradients are now.</summary>
    public void Locate()
    {
        Weight = _parameters.Values(_name + ".weight");
        Bias = _parameters.Values(_name + ".bias");
        WeightGradient = _parameters.Gradients(_name + ".weight");
        BiasGradient = _parameters.Gradients(_name + ".bias");
    }

    /// <summary>Wᵀ, (K, N).</summary>
    public Panels Forward => Panels.At(_forward.Floats(0), MatrixProduct.DepthWords(Inputs, _precision), Outputs);

    /// <summary>W, (N, K).</summary>
    public Panels Backward => Panels.At(_backward.Floats(0), MatrixProduct.DepthWords(Outputs, _precision), Inputs);

    /// <summary>Packs Wᵀ, unless it is that of this version of the parameters already.</summary>
    /// <param name="version">The parameters'.</param>
    /// <param name="scratch">Gives memory of so many floats.</param>
    public void PackForward(int version, ScratchMemory scratch)
    {
        if (_forwardVersion == version)
        {
            return;
        }

        int words = MatrixProduct.DepthWords(Inputs, _precision);
        MatrixProduct.PackColumns(_precision, Weight, Inputs, Outputs, Inputs, _forward.Floats(Panels.Words(words, Outputs)), scratch((long)Panels.Width * words));
        _forwardVersion = version;
    }

    /// <summary>Packs W.</summary>
    public void PackBackward()
    {
        int words = MatrixProduct.DepthWords(Outputs, _precision);
        MatrixProduct.PackRows(_precision, Weight, Inputs, Outputs, Inputs, _backward.Floats(Panels.Words(words, Inputs)), words);
    }

    public void Dispose()
    {
        _forward.Dispose();
        _backward.Dispose();
    }

    /// <summary>Memory of a thread's, of so many floats.</summary>
    public delegate float* ScratchMemory(long count);
}

/// <summary>The weights of one encoder layer.</summary>
internal sealed unsafe class LayerWeights : IDisposable
{
    private readonly ParameterSet _parameters;
    private readonly string _prefix;
    private readonly Precision _precision;
    private readonly int _width;
    private readonly NativeBuffer _qkv = new();
    private int _version = -1;

    public LayerWeights(ParameterSet parameters, string prefix, EncoderConfig config, Precision precision)
    {
        _parameters = parameters;
        _prefix = prefix;
        _precision = precision;
        _width = config.HiddenSize;
        int h = config.HiddenSize, inner = config.IntermediateSize;
        Query = Linear("attention.self.query", h, h);
        Key = Linear("attention.self.key", h, h);
        Value = Linear("attention.self.value", h, h);
        Projection = Linear("attention.output.dense", h, h);
        Widen = Linear("intermediate.dense", h, inner);
        Contract = Linear("output.dense", inner, h);

        LinearWeights Linear(string name, int inputs, int outputs) => new(parameters, prefix + name, inputs, outputs, precision);
    }

    public LinearWeights Query { get; }

    public LinearWeights Key { get; }

    public LinearWeights Value { get; }

    /// <summary>attention.output.dense.</summary>
    public LinearWeights Projection { get; }

    /// <summary>intermediate.dense.</summary>
    public LinearWeights Widen { get; }

    /// <summary>output.dense.</summary>
    public LinearWeights Contract { get; }

    public IEnumerable<LinearWeights> All => [Query, Key, Value, Projection, Widen, Contract];

    public float* Gamma1 { get; private set; }

    public float* Beta1 { get; private set; }

    public float* Gamma2 { get; private set; }

    public float* Beta2 { get; private set; }

    /// <summary>Looks up where the parameters and their gradients are now.</summary>
    public void Locate()
    {
        Gamma1 = _parameters.Values(_prefix + "attention.output.LayerNorm.weight");
        Beta1 = _parameters.Values(_prefix + "attention.output.LayerNorm.bias");
        Gamma2 = _parameters.Values(_prefix + "output.LayerNorm.weight");
        Beta2 = _parameters.Values(_prefix + "output.LayerNorm.bias");
        foreach (LinearWeights linear in All)
        {
            linear.Locate();
        }
    }

    /// <summary>Query's, key's and value's W one under the other, (3H, H): their inputs' gradient is one product.</summary>
    public Panels QkvBackward => Panels.At(_qkv.Floats(0), 3 * MatrixProduct.DepthWords(_width, _precision), _width);

    /// <summary>Packs what <c>dX = dY W</c> needs, unless it is of this version of the parameters already.</summary>
    public void PackBackward(int version)
    {
        if (_version == version)
        {
            return;
        }

        int words = MatrixProduct.DepthWords(_width, _precision), at = 0;
        float* target = _qkv.Floats(Panels.Words(3 * words, _width));
        foreach (LinearWeights linear in (ReadOnlySpan<LinearWeights>)[Query, Key, Value])
        {
            MatrixProduct.PackRows(_precision, linear.Weight, _width, _width, _width, target, 3 * words, at);
            at += words;
        }

        Projection.PackBackward();
        Widen.PackBackward();
        Contract.PackBackward();
        _version = version;
    }

    public void Dispose()
    {
        foreach (LinearWeights linear in All)
        {
            linear.Dispose();
        }

        _qkv.Dispose();
    }
}
