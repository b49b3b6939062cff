using System.Numerics.Tensors;
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

    /// <summary>
    /// A copy of the weights that lie in an ONNX file itself; those beside it (external data) ONNX Runtime maps, so that all sessions share them anyway. Weights that are stored in float16
    /// and widened when the file is opened are widened here: else each session would keep what it computed.
    /// </summary>
    /// <param name="path">The file.</param>
    public SharedWeights(string path)
    {
        using FileStream stream = File.OpenRead(path);
        GraphProto graph = ModelProto.Parser.ParseFrom(stream).Graph;
        Dictionary<string, string> widened = graph.Node.Where(node => node.OpType is "Cast" && node.Attribute.Any(to => to is { Name: "to", I: (int)TensorProto.Types.DataType.Float }))
            .DistinctBy(node => node.Input[0], StringComparer.Ordinal).ToDictionary(node => node.Input[0], node => node.Output[0], StringComparer.Ordinal);
        _weights = [.. graph.Initializer.Where(tensor => tensor.RawData.Length >= LeastBytes).Select(tensor =>
            tensor.DataType == (int)TensorProto.Types.DataType.Float16 && widened.TryGetValue(tensor.Name, out string? name) ? (name, Widened(tensor)) : (tensor.Name, Copy(tensor)))];
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
        byte[] bytes = Allocate(tensor.RawData.Length);
        tensor.RawData.CopyTo(bytes, 0);
        return Value(tensor, (TensorElementType)tensor.DataType, bytes); // the types have the same numbers
    }

    private OrtValue Widened(TensorProto tensor)
    {
        byte[] bytes = Allocate(2 * tensor.RawData.Length);
        TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(tensor.RawData.Span), MemoryMarshal.Cast<byte, float>(bytes.AsSpan()));
        return Value(tensor, TensorElementType.Float, bytes);
    }

    private byte[] Allocate(int length)
    {
        byte[] bytes = GC.AllocateUninitializedArray<byte>(length, pinned: true);
        _copies.Add(bytes);
        return bytes;
    }

    private static OrtValue Value(TensorProto tensor, TensorElementType type, byte[] bytes) =>
        OrtValue.CreateTensorValueWithData(OrtMemoryInfo.DefaultInstance, type, [.. tensor.Dims], Marshal.UnsafeAddrOfPinnedArrayElement(bytes, 0), bytes.Length);

    private SessionOptions With(SessionOptions options)
    {
        foreach ((string name, OrtValue value) in _weights)
        {
            options.AddInitializer(name, value);
        }

        return options;
    }
}
