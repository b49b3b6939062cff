using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;

namespace SimCse.Inference;

/// <summary>An encoder's graph in ONNX Runtime. Any number of threads may run it at once.</summary>
internal sealed class EncoderSession : IDisposable
{
    private static readonly string[] s_inputs = [EncoderGraph.InputIds, EncoderGraph.AttentionMask];
    private static readonly string[] s_outputs = [EncoderGraph.SentenceEmbedding];

    private readonly InferenceSession _session;
    private readonly OrtValue[] _weights;
    private readonly RunOptions _runOptions = new();

    public EncoderSession(OnnxGraph graph, int threads)
    {
        using SessionOptions options = new()
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            EnableMemoryPattern = false, // shapes change from batch to batch
        };
        _weights = [.. graph.Weights.Select(weight => OrtValue.CreateTensorValueFromMemory(weight.Values, weight.Shape))];
        foreach ((GraphWeight weight, OrtValue value) in graph.Weights.Zip(_weights))
        {
            options.AddInitializer(weight.Name, value);
        }

        _session = new InferenceSession(graph.ToModel().ToByteArray(), options);
    }

    /// <summary>Runs one batch.</summary>
    /// <param name="ids">Token ids, B × T, row-major.</param>
    /// <param name="mask">1 for a token, 0 for padding, B × T.</param>
    /// <param name="output">Receives the vectors, B × H.</param>
    /// <param name="rows">B.</param>
    /// <param name="width">T.</param>
    /// <param name="dimensions">H.</param>
    public void Run(Memory<long> ids, Memory<long> mask, Memory<float> output, int rows, int width, int dimensions)
    {
        long[] shape = [rows, width];
        using OrtValue idsValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ids, shape);
        using OrtValue maskValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, mask, shape);
        using OrtValue outputValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output, [rows, dimensions]);
        _session.Run(_runOptions, s_inputs, [idsValue, maskValue], s_outputs, [outputValue]);
    }

    public void Dispose()
    {
        _session.Dispose();
        _runOptions.Dispose();
        foreach (OrtValue weight in _weights)
        {
            weight.Dispose();
        }
    }
}
