using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;

namespace SimCse.Inference;

/// <summary>
/// An encoder's graph in ONNX Runtime. Any number of threads may run it at once. Many batches are fastest each on a thread of its own, which wait
/// for nothing; one batch alone is answered soonest by all threads together: so there are two sessions over the same weights, packed
/// once, of which the second is made when it is first needed.
/// </summary>
internal sealed class EncoderSession : IDisposable
{
    private static readonly string[] s_inputs = [EncoderGraph.InputIds, EncoderGraph.AttentionMask];
    private static readonly string[] s_outputs = [EncoderGraph.SentenceEmbedding];

    private readonly (string Name, OrtValue Value)[] _weights;
    private readonly PrePackedWeightsContainer _packedWeights = new();
    private readonly InferenceSession _oneThread;
    private readonly Lazy<InferenceSession> _allThreads;
    private readonly RunOptions _runOptions = new();

    /// <summary>Makes the graph ready to run; the weights stay where they lie.</summary>
    /// <param name="graph">From <see cref="EncoderGraph"/>.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    public EncoderSession(OnnxGraph graph, int threads)
    {
        _weights = [.. graph.Weights.Select(weight => (weight.Name, OrtValue.CreateTensorValueFromMemory(weight.Values, weight.Shape)))];
        byte[] model = graph.ToModel().ToByteArray();
        _oneThread = Open(model, 1);
        _allThreads = threads == 1 ? new Lazy<InferenceSession>(_oneThread) : new Lazy<InferenceSession>(() => Open(model, threads));
    }

    /// <summary>Runs one batch.</summary>
    /// <param name="ids">Token ids, B × T, row-major.</param>
    /// <param name="mask">1 for a token, 0 for padding, B × T.</param>
    /// <param name="output">Receives the vectors, B × H.</param>
    /// <param name="rows">B.</param>
    /// <param name="alone">Whether no other batch of the call is running: then all threads work on this one.</param>
    public void Run(Memory<long> ids, Memory<long> mask, Memory<float> output, int rows, bool alone)
    {
        long[] tokens = [rows, ids.Length / rows];
        long[] vectors = [rows, output.Length / rows];
        using OrtValue idsValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ids, tokens);
        using OrtValue maskValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, mask, tokens);
        using OrtValue outputValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output, vectors);
        (alone ? _allThreads.Value : _oneThread).Run(_runOptions, s_inputs, [idsValue, maskValue], s_outputs, [outputValue]);
    }

    public void Dispose()
    {
        if (_allThreads.IsValueCreated)
        {
            _allThreads.Value.Dispose();
        }

        _oneThread.Dispose();
        _runOptions.Dispose();
        _packedWeights.Dispose();
        foreach ((_, OrtValue value) in _weights)
        {
            value.Dispose();
        }
    }

    private InferenceSession Open(byte[] model, int threads)
    {
        using SessionOptions options = new()
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            EnableMemoryPattern = false, // shapes change from batch to batch
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };

        // Threads spin while a batch runs, since the next piece of work is microseconds away, and sleep once it is done.
        options.AddSessionConfigEntry("session.force_spinning_stop", "1");
        foreach ((string name, OrtValue value) in _weights)
        {
            options.AddInitializer(name, value);
        }

        return new InferenceSession(model, options, _packedWeights);
    }
}
