using System.Buffers;
using System.Collections.Concurrent;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
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
    // A stream is read in windows of so many texts, or so many characters where texts are long: enough to sort by length, and no more memory than that.
    private const int WindowTexts = 2048;
    private const int WindowCharacters = 4 << 20;

    private readonly EncoderSession _session;
    private readonly HostPooling? _hostPooling;
    private readonly int _padTokenId;
    private readonly bool _lowerCase;
    private readonly bool _refuseTruncation;
    private readonly int _batchTokens;
    private readonly int _padding;
    private readonly int _threads;
    private long _truncatedTexts;

    /// <summary>The default model, which the package SimCse.Model.Small puts beside the application; with unit vectors where the options say nothing else.</summary>
    /// <param name="options">Null for all defaults.</param>
    /// <exception cref="DirectoryNotFoundException">The package is not installed.</exception>
    public SentenceEncoder(SentenceEncoderOptions? options = null)
        : this(Open(DefaultModel.Find(), options ?? new SentenceEncoderOptions { Normalize = true }))
    {
    }

    private SentenceEncoder(OpenModel model)
    {
        (EncoderSetup setup, SentenceEncoderOptions options) = (model.Setup, model.Options);
        _session = model.Session;
        _hostPooling = model.HostPooling;
        _padTokenId = setup.Config.PadTokenId;
        _lowerCase = setup.Modules?.LowerCase ?? false;
        _refuseTruncation = options.RefuseTruncation;
        (_batchTokens, _padding) = model.Batch;
        _threads = model.Threads;
        Tokenizer = setup.Tokenizer;
        Pooling = setup.Pooling;
        Dimensions = setup.Dimensions;
        MaxLength = setup.MaxLength;
    }

    /// <summary>The model's tokenizer.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>How token vectors become a sentence vector here.</summary>
    public Pooling Pooling { get; }

    /// <inheritdoc/>
    public int Dimensions { get; }

    /// <summary>The number of tokens, special ones included, after which a text is cut.</summary>
    public int MaxLength { get; }

    /// <summary>The number of threads that a call may keep busy.</summary>
    public int Threads => _threads;

    /// <summary>How many of the texts encoded so far were longer than <see cref="MaxLength"/> and lost their end.</summary>
    public long TruncatedTexts => Interlocked.Read(ref _truncatedTexts);

    /// <summary>
    /// Loads a model directory: <c>config.json</c>, tokenizer files, the sentence-transformers files where there are any, and weights, which become an ONNX graph in memory; or an ONNX
    /// file in their place, by <see cref="OnnxExport"/> or as sentence-transformers and transformers.js have them.
    /// </summary>
    /// <param name="directory">The model directory.</param>
    /// <param name="options">Null for all defaults.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such directory.</exception>
    /// <exception cref="FileNotFoundException">There are neither weights nor an ONNX file.</exception>
    /// <exception cref="InvalidDataException">A file is missing, broken or does not fit the others; no pooling is stored and none given; or the one
    /// given is not the one stored (<see cref="SentenceEncoderOptions.AllowOtherPooling"/>), or not one that the ONNX file can give.</exception>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    public static SentenceEncoder Load(string directory, SentenceEncoderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        return new SentenceEncoder(Open(directory, options ?? new SentenceEncoderOptions()));
    }

    /// <inheritdoc/>
    /// <remarks>The vectors are of length one instead where <see cref="SentenceEncoderOptions.Normalize"/> asked for that.</remarks>
    /// <exception cref="ArgumentException">A sentence is null; the message says which.</exception>
    /// <exception cref="TextTooLongException">A sentence is too long and <see cref="SentenceEncoderOptions.RefuseTruncation"/> is set.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sentences);
        cancellationToken.ThrowIfCancellationRequested();
        return Run(TokenizeAll(sentences, 0, cancellationToken), _threads, cancellationToken);
    }

    /// <summary>The vector of one sentence, <see cref="Dimensions"/> components.</summary>
    /// <exception cref="TextTooLongException">It is too long and <see cref="SentenceEncoderOptions.RefuseTruncation"/> is set.</exception>
    public float[] Encode(string sentence)
    {
        ArgumentNullException.ThrowIfNull(sentence);
        return Encode([sentence])[0].ToArray();
    }

    /// <summary>
    /// Vectors of a stream of sentences, in its order, as they come: for corpora larger than memory. Memory does not grow with their number: sentences are taken in windows
    /// of 2,048 (fewer where they are long), and while one window runs the next is read and tokenised.
    /// </summary>
    /// <param name="sentences">Any texts; an empty one gives a vector too.</param>
    /// <param name="cancellationToken">Checked between batches, and while waiting for the stream.</param>
    /// <exception cref="ArgumentException">A sentence is null; the message says which.</exception>
    /// <exception cref="TextTooLongException">A sentence is too long and <see cref="SentenceEncoderOptions.RefuseTruncation"/> is set.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public IAsyncEnumerable<EncodedSentence> EncodeAsync(IAsyncEnumerable<string> sentences, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sentences);
        return EncodeWindows(sentences, cancellationToken);
    }

    /// <summary>The tokens of a text as this model reads it, cut to <see cref="MaxLength"/>: for callers that count or collect tokens before <see cref="EncodeTokens"/>. It does not count as truncated.</summary>
    public TokenizedText Tokenize(string sentence)
    {
        ArgumentNullException.ThrowIfNull(sentence);
        return Tokenizer.Encode(_lowerCase ? sentence.ToLowerInvariant() : sentence, MaxLength);
    }

    /// <summary>The vectors of tokenised texts: row i is that of <paramref name="texts"/>[i], as <see cref="Encode(IReadOnlyList{string}, CancellationToken)"/> gives it for the text.</summary>
    /// <param name="texts">As <see cref="Tokenize(string)"/> or <see cref="Tokenizer.Frame"/> gives them.</param>
    /// <param name="threads">The most threads of this call, for a caller that runs several side by side; null for <see cref="Threads"/>.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <returns>n × <see cref="Dimensions"/>.</returns>
    /// <exception cref="ArgumentException">A text has no tokens, more than <see cref="MaxLength"/>, or one that the vocabulary does not have.</exception>
    /// <exception cref="OperationCanceledException"><paramref name="cancellationToken"/> was cancelled.</exception>
    public EmbeddingMatrix EncodeTokens(IReadOnlyList<TokenizedText> texts, int? threads = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads ?? 1, 1, nameof(threads));
        cancellationToken.ThrowIfCancellationRequested();
        for (int i = 0; i < texts.Count; i++)
        {
            int[] ids = texts[i]?.Ids ?? throw new ArgumentException($"text {i} is null", nameof(texts));
            if (ids.Length == 0 || ids.Length > MaxLength || ids.AsSpan().ContainsAnyExceptInRange(0, Tokenizer.VocabularySize - 1))
            {
                throw new ArgumentException($"text {i} has {ids.Length} tokens, from {ids.DefaultIfEmpty().Min()} to {ids.DefaultIfEmpty().Max()}; expected 1 to {MaxLength}, from 0 to {Tokenizer.VocabularySize - 1}", nameof(texts));
            }
        }

        return Run(texts, Math.Min(threads ?? _threads, _threads), cancellationToken);
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

    /// <summary>The ONNX file to run, null where the weights are to be.</summary>
    private static string? OnnxFileOf(string directory, SentenceEncoderOptions options)
    {
        if (options.OnnxFile is { } given)
        {
            return Path.Combine(directory, given);
        }

        if (!Directory.Exists(directory) || WeightFiles.Exist(directory))
        {
            return null;
        }

        string? other = OnnxModelFile.Find(directory, precision: null);
        return OnnxModelFile.Find(directory, options.Precision) ?? (other is null
            ? null
            : throw new FileNotFoundException($"{directory}: holds no weights, and no ONNX file of precision {options.Precision?.ToName()}, only {Path.GetRelativePath(directory, other)}"));
    }

    private static OpenModel Open(string directory, SentenceEncoderOptions options)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BatchTokens, 1);
        int threads = options.Threads ?? Environment.ProcessorCount;
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1, nameof(options.Threads));
        return OnnxFileOf(directory, options) is { } file ? FromFile(directory, file, options, threads) : FromWeights(directory, options, threads);
    }

    private static OpenModel FromWeights(string directory, SentenceEncoderOptions options, int threads)
    {
        Task<Tokenizer> tokenizer = Task.Run(() => Tokenizer.Load(directory));
        using Checkpoint checkpoint = Checkpoint.Open(directory);
        EncoderSetup setup = EncoderSetup.Read(directory, tokenizer, checkpoint, options);
        OnnxPrecision precision = options.Precision ?? OnnxPrecision.Fp32;
        EncoderSession session = EncoderSession.ForGraph(EncoderGraph.Build(checkpoint, setup.Pooling, setup.Head, setup.Normalize, precision, setup.Dimensions), threads);
        return new OpenModel(setup, session, HostPooling: null, Batch(options, precision, byBatch: false), options, threads);
    }

    private static OpenModel FromFile(string directory, string path, SentenceEncoderOptions options, int threads)
    {
        Task<Tokenizer> tokenizer = Task.Run(() => Tokenizer.Load(directory)); // beside ONNX Runtime, which takes longer
        OnnxModelFile file = OnnxModelFile.Open(path, threads);
        try
        {
            EncoderSetup setup = EncoderSetup.Read(directory, tokenizer, checkpoint: null, file.Pooling is { } stored && options.Pooling is null ? options with { Pooling = stored } : options);
            (NamedShape output, HostPooling pooling) = file.OutputFor(setup);
            return new OpenModel(setup, EncoderSession.ForFile(file, threads, output.Name), pooling, Batch(options, file.Precision, byBatch: OnnxModelFile.QuantizesByBatch(path)), options, threads);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>
    /// How many tokens a batch may have, and how much padding. Rounding to 8 bits would carry the last digit by which padding moves a sum into the third one: texts of one length
    /// run together then, without padding. Where a file rounds by the batch, each text is a batch of its own.
    /// </summary>
    private static (int Tokens, int Padding) Batch(SentenceEncoderOptions options, OnnxPrecision? precision, bool byBatch) =>
        byBatch ? (1, 0) : (options.BatchTokens, precision == OnnxPrecision.Int8 ? 0 : TokenBatch.PaddingWorthABatch);

    private async IAsyncEnumerable<EncodedSentence> EncodeWindows(IAsyncEnumerable<string> sentences, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        await using ConfiguredCancelableAsyncEnumerable<string>.Enumerator source = sentences.WithCancellation(cancellationToken).GetAsyncEnumerator();
        long read = 0;
        List<string> window = await ReadWindow(source);
        TokenizedText[] tokens = TokenizeAll(window, read, cancellationToken);
        while (window.Count > 0)
        {
            read += window.Count;
            TokenizedText[] now = tokens;
            Task<EmbeddingMatrix> running = Task.Run(() => Run(now, _threads, cancellationToken), cancellationToken);
            List<string> next;
            try
            {
                next = await ReadWindow(source);
                tokens = TokenizeAll(next, read, cancellationToken);
            }
            catch
            {
                // What is wrong is said when the batches that use the model have come to their end.
                await ((Task)running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                throw;
            }

            EmbeddingMatrix vectors = await running;
            for (int row = 0; row < window.Count; row++)
            {
                yield return new EncodedSentence(window[row], vectors.RowMemory(row));
            }

            window = next;
        }
    }

    private static async Task<List<string>> ReadWindow(ConfiguredCancelableAsyncEnumerable<string>.Enumerator source)
    {
        List<string> window = [];
        for (long characters = 0; window.Count < WindowTexts && characters < WindowCharacters && await source.MoveNextAsync();)
        {
            window.Add(source.Current!); // a null is named when the window is tokenised
            characters += source.Current?.Length ?? 0;
        }

        return window;
    }

    /// <param name="sentences">Texts.</param>
    /// <param name="before">How many came before them, for messages.</param>
    /// <param name="cancellationToken">Ends it.</param>
    private TokenizedText[] TokenizeAll(IReadOnlyList<string> sentences, long before, CancellationToken cancellationToken)
    {
        for (int i = 0; i < sentences.Count; i++)
        {
            if (sentences[i] is null)
            {
                throw new ArgumentException($"sentence {before + i} is null", nameof(sentences));
            }
        }

        TokenizedText[] texts = new TokenizedText[sentences.Count];
        if (texts.Length < 64)
        {
            for (int i = 0; i < texts.Length; i++)
            {
                texts[i] = Tokenize(sentences[i]);
            }
        }
        else
        {
            Parallel.For(0, texts.Length, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = _threads }, i => texts[i] = Tokenize(sentences[i]));
        }

        int truncated = texts.Count(text => text.Truncated);
        if (truncated > 0)
        {
            if (_refuseTruncation)
            {
                throw new TextTooLongException(before + Array.FindIndex(texts, text => text.Truncated), MaxLength);
            }

            Interlocked.Add(ref _truncatedTexts, truncated);
        }

        return texts;
    }

    private EmbeddingMatrix Run(IReadOnlyList<TokenizedText> texts, int threads, CancellationToken cancellationToken)
    {
        float[] vectors = new float[(long)texts.Count * Dimensions];
        List<TokenBatch> batches = TokenBatch.Plan(texts, _batchTokens, _padding);
        if (threads == 1)
        {
            foreach (TokenBatch batch in batches)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Run(texts, batch, vectors, alone: false);
            }
        }
        else if (batches.Count == 1)
        {
            Run(texts, batches[0], vectors, alone: true);
        }
        else
        {
            ParallelOptions parallel = new() { CancellationToken = cancellationToken, MaxDegreeOfParallelism = threads };
            Parallel.ForEach(Partitioner.Create(batches, EnumerablePartitionerOptions.NoBuffering), parallel, batch => Run(texts, batch, vectors, alone: false));
        }

        return new EmbeddingMatrix(vectors, texts.Count, Dimensions);
    }

    private void Run(IReadOnlyList<TokenizedText> texts, TokenBatch batch, float[] vectors, bool alone)
    {
        ReadOnlySpan<int> rows = batch.Rows.Span;
        int cells = rows.Length * batch.Width;
        int width = _hostPooling is not { } host ? Dimensions : host.Tokens ? batch.Width * host.Components : host.Components; // of a text in the output
        long[] shape = _hostPooling is { Tokens: true } ? [rows.Length, batch.Width, _hostPooling.Components] : [rows.Length, width];
        long[] ids = ArrayPool<long>.Shared.Rent(cells); // (B, T)
        long[] mask = ArrayPool<long>.Shared.Rent(cells); // (B, T)
        float[] output = ArrayPool<float>.Shared.Rent(rows.Length * width); // (B, H) or (B, T, H)
        for (int i = 0; i < rows.Length; i++)
        {
            int[] tokens = texts[rows[i]].Ids;
            Span<long> idRow = ids.AsSpan(i * batch.Width, batch.Width);
            Span<long> maskRow = mask.AsSpan(i * batch.Width, batch.Width);
            for (int t = 0; t < tokens.Length; t++) // a loop: to compile the vectorised conversion costs a first text more than it ever saves
            {
                idRow[t] = tokens[t];
            }

            idRow[tokens.Length..].Fill(_padTokenId);
            maskRow[..tokens.Length].Fill(1);
            maskRow[tokens.Length..].Clear();
        }

        _session.Run(ids.AsMemory(0, cells), mask.AsMemory(0, cells), output.AsMemory(0, rows.Length * width), shape, alone);
        for (int i = 0; i < rows.Length; i++)
        {
            ReadOnlySpan<float> found = output.AsSpan(i * width, width);
            Span<float> vector = vectors.AsSpan(rows[i] * Dimensions, Dimensions);
            if (_hostPooling is null)
            {
                found.CopyTo(vector);
            }
            else
            {
                _hostPooling.Pool(found, texts[rows[i]].Ids.Length, vector);
            }
        }

        ArrayPool<long>.Shared.Return(ids);
        ArrayPool<long>.Shared.Return(mask);
        ArrayPool<float>.Shared.Return(output);
    }

    /// <summary>What an encoder is made of.</summary>
    private sealed record OpenModel(EncoderSetup Setup, EncoderSession Session, HostPooling? HostPooling, (int Tokens, int Padding) Batch, SentenceEncoderOptions Options, int Threads);
}
