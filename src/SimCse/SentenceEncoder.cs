using System.Buffers;
using System.Collections.Concurrent;
using System.Numerics.Tensors;
using SimCse.Checkpoints;
using SimCse.Inference;
using SimCse.Tokenization;

namespace SimCse;

/// <summary>
/// A sentence embedding model in ONNX Runtime: sentences in, vectors out. Loads any BERT or RoBERTa checkpoint directory, with or without the
/// files of sentence-transformers. All members may be called from several threads at once.
/// </summary>
public sealed class SentenceEncoder : ISentenceEncoder, IDisposable
{
    private readonly EncoderSession _session;
    private readonly int _padTokenId;
    private readonly bool _lowerCase;
    private readonly int _batchTokens;
    private readonly int _threads;
    private long _truncatedTexts;

    private SentenceEncoder(EncoderSession session, Tokenizer tokenizer, Pooling pooling, int dimensions, int maxLength, int padTokenId, bool lowerCase, int batchTokens, int threads)
    {
        _session = session;
        _padTokenId = padTokenId;
        Tokenizer = tokenizer;
        Pooling = pooling;
        Dimensions = dimensions;
        MaxLength = maxLength;
        _lowerCase = lowerCase;
        _batchTokens = batchTokens;
        _threads = threads;
    }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>How token vectors become a sentence vector here.</summary>
    public Pooling Pooling { get; }

    /// <inheritdoc/>
    public int Dimensions { get; }

    /// <summary>The number of tokens, special ones included, after which a text is cut.</summary>
    public int MaxLength { get; }

    /// <summary>How many of the texts encoded so far were longer than <see cref="MaxLength"/> and lost their end.</summary>
    public long TruncatedTexts => Interlocked.Read(ref _truncatedTexts);

    /// <summary>Loads a model directory: <c>config.json</c>, weights, tokenizer files, and the sentence-transformers files where there are any.</summary>
    /// <param name="directory">The model directory.</param>
    /// <param name="options">Null for all defaults.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="InvalidDataException">A file is missing, broken or does not fit the others; no pooling is stored and none given; or the one
    /// given is not the one stored (<see cref="SentenceEncoderOptions.AllowOtherPooling"/>).</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static SentenceEncoder Load(string directory, SentenceEncoderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        options ??= new SentenceEncoderOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1);
        int threads = options.Threads ?? Environment.ProcessorCount;
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1, nameof(options.Threads));

        using Checkpoint checkpoint = Checkpoint.Open(directory);
        SentenceModules? modules = checkpoint.Modules;
        Pooling pooling = ChoosePooling(directory, modules, options);
        DenseHead? head = ChooseHead(checkpoint, pooling);
        bool normalize = options.Normalize ?? modules?.Normalize ?? false;
        Tokenizer tokenizer = Tokenizer.Load(directory);
        if (tokenizer.VocabularySize > checkpoint.Config.VocabularySize)
        {
            throw new InvalidDataException($"{directory}: the tokenizer has ids up to {tokenizer.VocabularySize - 1}, but config.json gives the model a vocabulary of {checkpoint.Config.VocabularySize}");
        }

        int maxLength = ChooseMaxLength(checkpoint, tokenizer, options);
        EncoderSession session = new(EncoderGraph.Build(checkpoint, pooling, head, normalize), threads);
        return new SentenceEncoder(session, tokenizer, pooling, head?.OutFeatures ?? checkpoint.Config.HiddenSize, maxLength, checkpoint.Config.PadTokenId, modules?.LowerCase ?? false, options.BatchTokens, threads);
    }

    /// <inheritdoc/>
    /// <remarks>The vectors are of length one instead where <see cref="SentenceEncoderOptions.Normalize"/> asked for that.</remarks>
    /// <exception cref="ArgumentException">A sentence is null; the message says which.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sentences);
        cancellationToken.ThrowIfCancellationRequested();
        TokenizedText[] texts = Tokenize(sentences, cancellationToken);
        float[] vectors = new float[texts.LongLength * Dimensions];
        List<TokenBatch> batches = TokenBatch.Plan(texts, _batchTokens);
        if (batches.Count == 1)
        {
            Run(texts, batches[0], vectors, alone: true);
        }
        else
        {
            ParallelOptions parallel = new() { CancellationToken = cancellationToken, MaxDegreeOfParallelism = _threads };
            Parallel.ForEach(Partitioner.Create(batches, EnumerablePartitionerOptions.NoBuffering), parallel, batch => Run(texts, batch, vectors, alone: false));
        }

        return new EmbeddingMatrix(vectors, texts.Length, Dimensions);
    }

    /// <summary>The vector of one sentence, <see cref="Dimensions"/> components.</summary>
    public float[] Encode(string sentence)
    {
        ArgumentNullException.ThrowIfNull(sentence);
        return Encode([sentence])[0].ToArray();
    }

    /// <summary>The cosine of the vectors of two texts, from -1 to 1; 0 where one of them has no length.</summary>
    public float Similarity(string a, string b)
    {
        EmbeddingMatrix pair = Encode([a, b]);
        float cosine = TensorPrimitives.CosineSimilarity(pair[0], pair[1]);
        return float.IsNaN(cosine) ? 0 : Math.Clamp(cosine, -1, 1);
    }

    /// <summary>Frees the weights. No other member may be running or be called after.</summary>
    public void Dispose() => _session.Dispose();

    private static Pooling ChoosePooling(string directory, SentenceModules? modules, SentenceEncoderOptions options)
    {
        if (modules is null)
        {
            return options.Pooling ?? throw new InvalidDataException(
                $"{directory}: no pooling is stored with this model; give one with --pooling (SentenceEncoderOptions.Pooling in code): {string.Join(", ", PoolingNames.All)}");
        }

        if (options.Pooling is not { } pooling || pooling == modules.Pooling)
        {
            return modules.Pooling;
        }

        // Without a head the two names of [CLS] mean the same vector.
        bool same = modules.Head is null && IsFirstToken(pooling) && IsFirstToken(modules.Pooling);
        if (!same && !options.AllowOtherPooling)
        {
            throw new InvalidDataException(
                $"{directory}: this model is stored with the pooling '{modules.Pooling.ToName()}', not '{pooling.ToName()}'; set SentenceEncoderOptions.AllowOtherPooling to measure it with another");
        }

        return pooling;
    }

    private static bool IsFirstToken(Pooling pooling) => pooling is Pooling.Cls or Pooling.ClsBeforePooler;

    private static DenseHead? ChooseHead(Checkpoint checkpoint, Pooling pooling)
    {
        if (pooling == Pooling.ClsBeforePooler)
        {
            return null;
        }

        if (checkpoint.Modules is { } modules)
        {
            return pooling == modules.Pooling ? modules.Head : null;
        }

        // A plain Hugging Face directory keeps its head as the model's pooler: so do the reference repository's published checkpoints.
        int h = checkpoint.Config.HiddenSize;
        return pooling == Pooling.Cls && checkpoint.Find($"{checkpoint.Prefix}pooler.dense.weight") is not null
            ? new DenseHead(h, h, ReadPooler(checkpoint, "weight", h, h), ReadPooler(checkpoint, "bias", h), Tanh: true)
            : null;
    }

    private static float[] ReadPooler(Checkpoint checkpoint, string part, params long[] shape)
    {
        string name = $"{checkpoint.Prefix}pooler.dense.{part}";
        return checkpoint.Find(name) is { } tensor && !tensor.Shape.SequenceEqual(shape)
            ? throw new InvalidDataException($"{checkpoint.Directory}: tensor '{name}' has shape [{string.Join(", ", tensor.Shape)}], expected [{string.Join(", ", shape)}]")
            : checkpoint.ReadTensor(name);
    }

    private static int ChooseMaxLength(Checkpoint checkpoint, Tokenizer tokenizer, SentenceEncoderOptions options)
    {
        int special = tokenizer.Encode("").Ids.Length;
        if (special == 0)
        {
            throw new InvalidDataException($"{checkpoint.Directory}: the tokenizer puts no special token around a text, so an empty text would have no vector; expected [CLS] or <s>");
        }

        int positions = checkpoint.Config.MaxTokens;
        if (options.MaxLength is { } asked)
        {
            return asked > special && asked <= positions ? asked : throw new ArgumentOutOfRangeException(
                nameof(options), asked, $"MaxLength must be at least {special + 1}, the special tokens and one more, and at most {positions}, the positions that the model has");
        }

        int stored = Math.Min(positions, checkpoint.Modules?.MaxSequenceLength ?? tokenizer.ModelMaxLength ?? positions);
        return stored > special ? stored : throw new InvalidDataException(
            $"{checkpoint.Directory}: the model's files limit a text to {stored} tokens; expected at least {special + 1}, the special tokens and one more");
    }

    private TokenizedText[] Tokenize(IReadOnlyList<string> sentences, CancellationToken cancellationToken)
    {
        for (int i = 0; i < sentences.Count; i++)
        {
            if (sentences[i] is null)
            {
                throw new ArgumentException($"sentence {i} is null", nameof(sentences));
            }
        }

        TokenizedText[] texts = new TokenizedText[sentences.Count];
        ParallelOptions parallel = new() { CancellationToken = cancellationToken, MaxDegreeOfParallelism = texts.Length < 64 ? 1 : _threads };
        Parallel.For(0, texts.Length, parallel, i =>
        {
            texts[i] = Tokenizer.Encode(_lowerCase ? sentences[i].ToLowerInvariant() : sentences[i], MaxLength);
        });
        Interlocked.Add(ref _truncatedTexts, texts.Count(text => text.Truncated));
        return texts;
    }

    private void Run(TokenizedText[] texts, TokenBatch batch, float[] vectors, bool alone)
    {
        ReadOnlySpan<int> rows = batch.Rows.Span;
        int cells = rows.Length * batch.Width;
        int components = rows.Length * Dimensions;
        long[] ids = ArrayPool<long>.Shared.Rent(cells); // (B, T)
        long[] mask = ArrayPool<long>.Shared.Rent(cells); // (B, T)
        float[] output = ArrayPool<float>.Shared.Rent(components); // (B, H)
        for (int i = 0; i < rows.Length; i++)
        {
            int[] tokens = texts[rows[i]].Ids;
            Span<long> idRow = ids.AsSpan(i * batch.Width, batch.Width);
            Span<long> maskRow = mask.AsSpan(i * batch.Width, batch.Width);
            TensorPrimitives.ConvertChecked<int, long>(tokens, idRow);
            idRow[tokens.Length..].Fill(_padTokenId);
            maskRow[..tokens.Length].Fill(1);
            maskRow[tokens.Length..].Clear();
        }

        _session.Run(ids.AsMemory(0, cells), mask.AsMemory(0, cells), output.AsMemory(0, components), rows.Length, alone);
        for (int i = 0; i < rows.Length; i++)
        {
            output.AsSpan(i * Dimensions, Dimensions).CopyTo(vectors.AsSpan(rows[i] * Dimensions));
        }

        ArrayPool<long>.Shared.Return(ids);
        ArrayPool<long>.Shared.Return(mask);
        ArrayPool<float>.Shared.Return(output);
    }
}
