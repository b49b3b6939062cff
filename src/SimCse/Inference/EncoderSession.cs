using System.Collections.Concurrent;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;

namespace SimCse.Inference;

/// <summary>
/// An encoder's graph in ONNX Runtime. Any number of threads may run it at once. Many batches are fastest each on a thread of its own, which waits for nothing; one batch alone is answered
/// soonest by all threads together. So there is one session of all threads, and as many of one thread as run at once, each made when it is first needed. They share the weights; only the session that opened a file has its own.
/// </summary>
/// <remarks>Threads in one session wait for each other: every node takes its memory from the session's arena, which has one lock. With small models two threads lost a seventh of their time so, and a quarter where batches were single texts.</remarks>
internal sealed class EncoderSession : IDisposable
{
    private readonly Func<int, InferenceSession> _open;
    private readonly IDisposable _source;
    private readonly Lazy<InferenceSession>? _allThreads; // null where that is one
    private readonly ConcurrentBag<InferenceSession> _idle = []; // of one thread
    private readonly SemaphoreSlim _places; // of those that run: more than there are processors would only take memory
    private readonly RunOptions _runOptions = new();
    private readonly string[] _inputs;
    private readonly string[] _outputs;

    /// <param name="open">Opens a session of so many threads.</param>
    /// <param name="source">What the weights belong to; disposed after the sessions.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    /// <param name="inputs">Token ids, mask, and token types where the graph wants them.</param>
    /// <param name="output">The output to read.</param>
    private EncoderSession(Func<int, InferenceSession> open, IDisposable source, int threads, string[] inputs, string output)
    {
        _open = open;
        _source = source;
        _inputs = inputs;
        _outputs = [output];
        _places = new SemaphoreSlim(Math.Max(threads, Environment.ProcessorCount));
        _allThreads = threads == 1 ? null : new Lazy<InferenceSession>(() => open(threads));
    }

    /// <summary>A graph built here; the weights stay where they lie.</summary>
    /// <param name="graph">From <see cref="EncoderGraph"/>.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    public static EncoderSession ForGraph(OnnxGraph graph, int threads)
    {
        byte[] model = graph.ToModel().ToByteArray();
        SharedWeights weights = new(graph);
        return new EncoderSession(
            count =>
            {
                using SessionOptions options = Options(count);
                return weights.Open(model, options);
            },
            weights, threads, [EncoderGraph.InputIds, EncoderGraph.AttentionMask], EncoderGraph.SentenceEmbedding);
    }

    /// <summary>An ONNX file.</summary>
    /// <param name="file">Opened with <paramref name="threads"/>; it is this session's from here on.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    /// <param name="output">The output to read.</param>
    public static EncoderSession ForFile(OnnxModelFile file, int threads, string output) => new(file.TakeSession, file, threads, file.Inputs, output);

    /// <summary>How sessions of this class are set up.</summary>
    public static SessionOptions Options(int threads)
    {
        SessionOptions options = new()
        {
            IntraOpNumThreads = threads,
            InterOpNumThreads = 1,
            EnableMemoryPattern = false, // shapes change from batch to batch
            GraphOptimizationLevel = GraphOptimizationLevel.ORT_ENABLE_EXTENDED, // what is above it lays images out anew: of no use to an encoder, and a tenth of a small model's start
            LogSeverityLevel = OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR,
        };

        // The fused forms of layer normalisation are the slower ones on processors: see EncoderGraph.AddAndNormalize.
        options.AddSessionConfigEntry("optimization.disable_specified_optimizers", "SkipLayerNormFusion;BiasSkipLayerNormFusion;EmbedLayerNormFusion");

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
    /// <exception cref="InvalidDataException">The file is no longer the one that was opened.</exception>
    public void Run(Memory<long> ids, Memory<long> mask, Memory<float> output, long[] shape, bool alone)
    {
        long[] tokens = [shape[0], ids.Length / shape[0]];
        using OrtValue idsValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, ids, tokens);
        using OrtValue maskValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, mask, tokens);
        using OrtValue? typesValue = _inputs.Length > 2 ? OrtValue.CreateTensorValueFromMemory(new long[ids.Length], tokens) : null; // a single text has type 0 throughout
        using OrtValue outputValue = OrtValue.CreateTensorValueFromMemory(OrtMemoryInfo.DefaultInstance, output, shape);
        OrtValue[] values = typesValue is null ? [idsValue, maskValue] : [idsValue, maskValue, typesValue];
        if (alone && _allThreads is not null)
        {
            _allThreads.Value.Run(_runOptions, _inputs, values, _outputs, [outputValue]);
            return;
        }

        _places.Wait();
        try
        {
            if (!_idle.TryTake(out InferenceSession? session))
            {
                session = _open(1);
            }

            try
            {
                session.Run(_runOptions, _inputs, values, _outputs, [outputValue]);
            }
            finally
            {
                _idle.Add(session);
            }
        }
        finally
        {
            _places.Release();
        }
    }

    public void Dispose()
    {
        foreach (InferenceSession session in _idle)
        {
            session.Dispose();
        }

        if (_allThreads is { IsValueCreated: true })
        {
            _allThreads.Value.Dispose();
        }

        _places.Dispose();
        _runOptions.Dispose();
        _source.Dispose();
    }
}
