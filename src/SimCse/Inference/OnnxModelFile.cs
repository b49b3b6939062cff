using Microsoft.ML.OnnxRuntime;

namespace SimCse.Inference;

/// <summary>
/// An ONNX file of an encoder, by <see cref="OnnxExport"/> or from elsewhere (sentence-transformers, transformers.js): opened, what it takes and what it gives.
/// </summary>
internal sealed class OnnxModelFile : IDisposable
{
    /// <summary>In the file's metadata, where it is ours: how <c>sentence_embedding</c> came about.</summary>
    public const string PoolingKey = "simcse_pooling";
    public const string NormalizedKey = "simcse_normalized";
    public const string PrecisionKey = "simcse_precision";

    private const string TokenTypes = "token_type_ids";

    /// <summary>What a file is called where nothing else is said: the names that transformers.js gives its precisions, best first.</summary>
    private static readonly (OnnxPrecision Precision, string Name)[] s_names =
    [
        (OnnxPrecision.Fp32, "model.onnx"),
        (OnnxPrecision.Fp16, "model_fp16.onnx"),
        (OnnxPrecision.Int8, "model_int8.onnx"),
        (OnnxPrecision.Int8, "model_quantized.onnx"),
    ];

    private readonly Lazy<SharedWeights> _weights;
    private readonly (long Length, DateTime Written) _state;
    private readonly int _threads;
    private InferenceSession? _first;

    private OnnxModelFile(string path, (long Length, DateTime Written) state, InferenceSession session, int threads, string[] inputs, NamedShape? tokens, NamedShape? sentences, IReadOnlyDictionary<string, string> metadata)
    {
        Path = path;
        _first = session;
        _threads = threads;
        _state = state;
        _weights = new Lazy<SharedWeights>(() => new SharedWeights(path));
        Inputs = inputs;
        Tokens = tokens;
        Sentences = sentences;
        Pooling = metadata.TryGetValue(PoolingKey, out string? pooling) && PoolingNames.All.Contains(pooling, StringComparer.Ordinal) ? PoolingNames.Parse(pooling) : null;
        Normalized = metadata.TryGetValue(NormalizedKey, out string? normalized) && normalized is "true";
        Precision = metadata.TryGetValue(PrecisionKey, out string? precision) && OnnxPrecisionNames.Find(precision) is { } known ? known : null;
    }

    public string Path { get; }

    /// <summary>Token ids, mask, and token types where the file wants them.</summary>
    public string[] Inputs { get; }

    /// <summary>The output of token vectors, (B, T, H); null where there is none.</summary>
    public NamedShape? Tokens { get; }

    /// <summary>The output of sentence vectors, (B, H); null where there is none.</summary>
    public NamedShape? Sentences { get; }

    /// <summary>How the sentence vectors were pooled; null where the file does not say.</summary>
    public Pooling? Pooling { get; }

    /// <summary>Whether the file says that its sentence vectors have length one.</summary>
    public bool Normalized { get; }

    /// <summary>Of a file of ours.</summary>
    public OnnxPrecision? Precision { get; }

    /// <summary>Where the file of that precision belongs in a model's directory: <c>onnx/model.onnx</c>, <c>onnx/model_int8.onnx</c>, …</summary>
    public static string PlaceOf(string directory, OnnxPrecision precision) => System.IO.Path.Combine(directory, "onnx", Array.Find(s_names, n => n.Precision == precision).Name);

    /// <summary>The ONNX file of a directory, the best precision first where none is asked for; null where there is none.</summary>
    public static string? Find(string directory, OnnxPrecision? precision)
    {
        foreach ((OnnxPrecision own, string name) in s_names)
        {
            foreach (string place in (ReadOnlySpan<string>)[System.IO.Path.Combine(directory, "onnx", name), System.IO.Path.Combine(directory, name)])
            {
                if ((precision is null || precision == own) && File.Exists(place))
                {
                    return place;
                }
            }
        }

        return null;
    }

    /// <summary>Opens the file and looks at its inputs and outputs.</summary>
    /// <param name="path">The file.</param>
    /// <param name="threads">How many threads a batch may have to itself.</param>
    /// <exception cref="InvalidDataException">It is not an ONNX file, or not one of an encoder.</exception>
    public static OnnxModelFile Open(string path, int threads)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"{path}: missing; expected an ONNX file");
        }

        InferenceSession? session = null;
        try
        {
            (long Length, DateTime Written) state = StateOf(path);
            using SessionOptions options = EncoderSession.Options(threads);
            session = new InferenceSession(path, options);
            OnnxModelFile file = new(path, state, session, threads, InputsOf(path, session), OutputOf(session, 3), OutputOf(session, 2), session.ModelMetadata.CustomMetadataMap);
            if (file.Tokens is null && file.Sentences is null)
            {
                throw new InvalidDataException($"{path}: gives {string.Join(", ", session.OutputNames)}; expected float32 token vectors (batch, sequence, H) or sentence vectors (batch, H)");
            }

            session = null; // the file's now
            return file;
        }
        catch (OnnxRuntimeException e)
        {
            throw new InvalidDataException($"{path}: ONNX Runtime cannot open it: {e.Message}", e);
        }
        finally
        {
            session?.Dispose();
        }
    }

    /// <summary>A session of the file for the caller to keep: the one that was opened to look at it, and others after that, which share their weights.</summary>
    /// <param name="threads">How many threads it has.</param>
    /// <exception cref="InvalidDataException">The file is no longer the one that was opened.</exception>
    public InferenceSession TakeSession(int threads)
    {
        if (threads == _threads && Interlocked.Exchange(ref _first, null) is { } first)
        {
            return first;
        }

        // A model that was replaced in the meantime must not answer some of the batches.
        SharedWeights weights = _weights.Value;
        using SessionOptions options = EncoderSession.Options(threads);
        InferenceSession session = weights.Open(Path, options);
        if (StateOf(Path) == _state)
        {
            return session;
        }

        session.Dispose();
        throw new InvalidDataException($"{Path}: was changed since it was opened; load the model again");
    }

    /// <summary>Frees the weights, and the first session where nobody took it.</summary>
    public void Dispose()
    {
        _first?.Dispose();
        if (_weights.IsValueCreated)
        {
            _weights.Value.Dispose();
        }
    }

    /// <summary>
    /// Whether the file rounds activations with a scale for all of a batch, as the dynamic quantisation of ONNX Runtime's own tools does: then what a text gives depends on what runs
    /// with it. Looks for the operators' names in the file's bytes.
    /// </summary>
    public static bool QuantizesByBatch(string path)
    {
        using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        byte[] piece = new byte[1 << 20];
        int kept = 0;
        ReadOnlySpan<byte> name = "DynamicQuantize"u8;
        while (stream.Read(piece, kept, piece.Length - kept) is > 0 and int count)
        {
            Span<byte> read = piece.AsSpan(0, kept + count);
            if (read.IndexOf(name) >= 0)
            {
                return true;
            }

            kept = Math.Min(name.Length, read.Length);
            read[^kept..].CopyTo(piece);
        }

        return false;
    }

    /// <summary>Which output to read, and what is left to do to it, for the vectors that were asked for.</summary>
    /// <exception cref="InvalidDataException">They cannot be had of what the file gives.</exception>
    public (NamedShape Output, HostPooling Pooling) OutputFor(EncoderSetup setup)
    {
        int components = setup.Head?.OutFeatures ?? setup.Config.HiddenSize;

        // The file's own sentence vectors where it says that they are the ones asked for; else its token vectors, pooled here; else its sentence vectors in good faith.
        bool same = Pooling == setup.Pooling && Sentences is not null && (Sentences.Components == components || Sentences.Components == setup.Dimensions) && (!Normalized || setup.Normalize);
        if (!same && Tokens is not null && HostPooling.Supports(setup.Pooling))
        {
            return Tokens.Components is -1 || Tokens.Components == setup.Config.HiddenSize
                ? (Tokens, new HostPooling(Tokens: true, setup.Pooling, setup.Head, setup.Config.HiddenSize, setup.Dimensions, setup.Normalize))
                : throw new InvalidDataException($"{Path}: {Tokens.Name} has {Tokens.Components} components; expected {setup.Config.HiddenSize}, hidden_size of config.json");
        }

        if (Sentences is null || (Pooling ?? setup.Modules?.Pooling ?? setup.Pooling) != setup.Pooling)
        {
            throw new InvalidDataException($"{Path}: gives {string.Join(" and ", new[] { Tokens?.Name, Sentences?.Name }.OfType<string>())}, from which the pooling '{setup.Pooling.ToName()}' cannot be computed");
        }

        return Sentences.Components is -1 || Sentences.Components >= setup.Dimensions
            ? (Sentences, new HostPooling(Tokens: false, setup.Pooling, Head: null, Sentences.Components is -1 ? components : Sentences.Components, setup.Dimensions, setup.Normalize))
            : throw new InvalidDataException($"{Path}: {Sentences.Name} has {Sentences.Components} components; expected {setup.Dimensions}");
    }

    private static (long Length, DateTime Written) StateOf(string path)
    {
        FileInfo file = new(path);
        return (file.Exists ? file.Length : -1, file.LastWriteTimeUtc);
    }

    private static string[] InputsOf(string path, InferenceSession session)
    {
        string[] known = [EncoderGraph.InputIds, EncoderGraph.AttentionMask, TokenTypes];
        foreach ((string name, NodeMetadata input) in session.InputMetadata)
        {
            if (!known.Contains(name, StringComparer.Ordinal) || input.ElementType != typeof(long))
            {
                throw new InvalidDataException($"{path}: has the input '{name}' of {input.ElementType.Name}; expected {string.Join(", ", known)}, of Int64");
            }
        }

        foreach (string name in known[..2])
        {
            if (!session.InputMetadata.ContainsKey(name))
            {
                throw new InvalidDataException($"{path}: has no input '{name}'");
            }
        }

        return [.. known.Where(session.InputMetadata.ContainsKey)];
    }

    private static NamedShape? OutputOf(InferenceSession session, int axes) => session.OutputMetadata
        .Where(output => output.Value.ElementType == typeof(float) && output.Value.Dimensions.Length == axes && !output.Key.Contains("pooler", StringComparison.Ordinal))
        .Select(output => new NamedShape(output.Key, output.Value.Dimensions[^1])).FirstOrDefault();
}

/// <summary>An output's name, and the size of its last axis: -1 where the file leaves it open.</summary>
internal sealed record NamedShape(string Name, int Components);
