using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;

namespace SimCse.Inference;

/// <summary>
/// An encoder's graph in ONNX Runtime. Any number of threads may run it at once. Many batches are fastest each on a thread of its own, which wait
/// for nothing; one batch alone is answered soonest by all threads together: so there are two sessions, each made when it is first needed;
/// for a graph built here they share the weights, packed once.
/// </summary>
internal sealed class EncoderSession : IDisposable
{
    private readonly (string Name, OrtValue Value)[] _weights;
    private readonly PrePackedWeightsContainer _packedWeights = new();
    private readonly Lazy<InferenceSession> _oneThread;
    private readonly Lazy<InferenceSession> _allThreads;
    private readonly RunOptions _runOptions = new();
    private readonly string[] _inputs;
    private readonly string[] _outputs;

    private EncoderSession(Func<int, EncoderSession, InferenceSession> open, (string Name, OrtValue Value)[] weights, int threads, string[] inputs, string output, InferenceSession? opened = null)
    {
        _weights = weights;
        _inputs = inputs;
        _outputs = [output];
        _allThreads = opened is not null ? new Lazy<InferenceSession>(opened) : new Lazy<InferenceSession>(() => open(threads, this));
        _oneThread = threads == 1 ? _allThreads : new Lazy<InferenceSession>(() => open(1, this));
    }

    /// <summary>A graph built here; the weights stay where they lie.</summary>
    /// <param name="graph">From <see cref="EncoderGraph"/>.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    public static EncoderSession ForGraph(OnnxGraph graph, int threads)
    {
        // What is widened when the session opens has to lie in the message: ONNX Runtime computes constants before it takes what it was handed.
        bool inside = graph.Weights.Any(weight => weight.Values is Float16[]);
        byte[] model = inside ? graph.ToBytes() : graph.ToModel().ToByteArray();
        return new EncoderSession(
            (count, session) =>
            {
                using SessionOptions options = Options(count);
                foreach ((string name, OrtValue value) in session._weights)
                {
                    options.AddInitializer(name, value);
                }

                return new InferenceSession(model, options, session._packedWeights);
            },
            inside ? [] : [.. graph.Weights.Select(weight => (weight.Name, weight.ToOrtValue()))],
            threads,
            [EncoderGraph.InputIds, EncoderGraph.AttentionMask],
            EncoderGraph.SentenceEmbedding);
    }

    /// <summary>An ONNX file.</summary>
    /// <param name="file">Opened with <paramref name="threads"/>; its session is this one's from here on.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    /// <param name="output">The output to read.</param>
    public static EncoderSession ForFile(OnnxModelFile file, int threads, string output) =>
        new((count, _) => Open(file.Path, count), [], threads, file.Inputs, output, file.Session);

    /// <summary>A session of a file.</summary>
    /// <exception cref="OnnxRuntimeException">ONNX Runtime cannot open it.</exception>
    public static InferenceSession Open(string path, int threads)
    {
        using SessionOptions options = Options(threads);
        return new InferenceSession(path, options);
    }

    /// <summary>How sessions of this class are set up.</summary>
    private static SessionOptions Options(int threads)
    {
        SessionOptions options = new()
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            EnableMemoryPattern = false, // shapes change from batch to batch
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_EXTENDED, // what is above it lays images out anew: of no use to an encoder, and a tenth of a small model's start
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };

        // Threads spin while a batch runs, since the next piece of work is microseconds away, and sleep once it is done.
        options.AddSessionConfigEntry("session.force_spinning_stop", "1");
        return options;
    }

    /// <summary>Runs one batch.</summary>
    /// <param name="ids">Token ids, B × T, row-major.</param>
    /// <param name="mask">1 for a token, 0 for padding, B × T.</param>
    /// <param name="output">Receives the output, of shape <paramref name="shape"/>.</param>
    /// <param name="shape">(B, H), or (B, T, H) where the output holds token vectors.</param>
    /// <param name="alone">Whether no other batch of the call is running: then all threads work on this one.</param>
    public void Run(Memory<long> ids, Memory<long> mask, Memory<float> output, long[] shape, bool alone)
    {
        long[] tokens = [shape[0], ids.Length / shape[0]];
        using OrtValue idsValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ids, tokens);
        using OrtValue maskValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, mask, tokens);
        using OrtValue? typesValue = _inputs.Length > 2 ? OrtValue.CreateTensorValueFromMemory(new long[ids.Length], tokens) : null; // a single text has type 0 throughout
        using OrtValue outputValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output, shape);
        OrtValue[] values = typesValue is null ? [idsValue, maskValue] : [idsValue, maskValue, typesValue];
        (alone ? _allThreads : _oneThread).Value.Run(_runOptions, _inputs, values, _outputs, [outputValue]);
    }

    public void Dispose()
    {
        foreach (Lazy<InferenceSession> session in (ReadOnlySpan<Lazy<InferenceSession>>)[_oneThread, _allThreads])
        {
            if (session.IsValueCreated)
            {
                session.Value.Dispose();
            }
        }

        _runOptions.Dispose();
        _packedWeights.Dispose();
        foreach ((_, OrtValue value) in _weights)
        {
            value.Dispose();
        }
    }
}
