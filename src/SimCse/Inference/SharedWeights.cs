using System.Runtime.InteropServices;
using Microsoft.ML.OnnxRuntime;
using Microsoft.ML.OnnxRuntime.Tensors;
using Onnx;

namespace SimCse.Inference;

/// <summary>A model's weights in memory once, and laid out once as products want them, for all sessions that are opened with them.</summary>
internal sealed class SharedWeights : IDisposable
{
    // Less is not worth a name in every session.
    private const int LeastBytes = 1024;

    private readonly (string Name, OrtValue Value)[] _weights;
    private readonly List<byte[]> _copies = []; // ONNX Runtime knows only where they lie
    private readonly PrePackedWeightsContainer _packed = new();

    /// <summary>The weights of a graph built here, where they lie.</summary>
    public SharedWeights(OnnxGraph graph) => _weights = [.. graph.Weights.Select(weight => (weight.Name, weight.ToOrtValue()))];

    /// <summary>A copy of the weights that lie in an ONNX file itself; those beside it (external data) ONNX Runtime maps, so that all sessions share them anyway.</summary>
    /// <param name="path">The file.</param>
    public SharedWeights(string path)
    {
        using FileStream stream = File.OpenRead(path);
        _weights = [.. ModelProto.Parser.ParseFrom(stream).Graph.Initializer.Where(tensor => tensor.RawData.Length >= LeastBytes).Select(tensor => (tensor.Name, Copy(tensor)))];
    }

    /// <summary>A session of a model whose weights are these.</summary>
    /// <param name="model">The ONNX message; its weights may be declared as external data.</param>
    /// <param name="options">Changed: the weights are added.</param>
    public InferenceSession Open(byte[] model, SessionOptions options) => new(model, With(options), _packed);

    /// <summary>A session of the file that these weights are of.</summary>
    /// <param name="path">The file.</param>
    /// <param name="options">Changed: the weights are added.</param>
    public InferenceSession Open(string path, SessionOptions options) => new(path, With(options), _packed);

    /// <summary>Frees them; the sessions have to be disposed before.</summary>
    public void Dispose()
    {
        _packed.Dispose();
        foreach ((_, OrtValue value) in _weights)
        {
            value.Dispose();
        }
    }

    private OrtValue Copy(TensorProto tensor)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(tensor.RawData.Length, pinned: true);
        tensor.RawData.CopyTo(bytes, 0);
        _copies.Add(bytes);
        return OrtValue.CreateTensorValueWithData(
            OrtMemoryInfo.DefaultInstance, (TensorElementType)tensor.DataType, [.. tensor.Dims], Marshal.UnsafeAddrOfPinnedArrayElement(bytes, 0), bytes.Length); // the types have the same numbers
    }

    private SessionOptions With(SessionOptions options)
    {
        foreach ((string name, OrtValue value) in _weights)
        {
            options.AddInitializer(name, value);
        }

        return options;
    }
}
