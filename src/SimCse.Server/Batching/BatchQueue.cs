using System.Diagnostics;
using System.Runtime.InteropServices;
using SimCse.Server.Telemetry;
using SimCse.Tokenization;

namespace SimCse.Server.Batching;

/// <summary>
/// The texts of all requests in one queue. As many threads as the encoder has take batches from it: the text that has waited longest and those of the lengths nearest to its own, a share of what
/// waits, between one efficient batch and <see cref="EmbeddingServerOptions.MaxBatchTokens"/>. So the texts of one large request run side by side, those of many small requests run together, little
/// is padding, and a text that is alone gets all threads.
/// </summary>
internal sealed class BatchQueue : IDisposable
{
    // What the encoder runs in one go (SentenceEncoderOptions.BatchTokens): more texts at once are no faster, fewer are slower.
    private const int EfficientTokens = 512;

    // Of so many texts, the oldest, a batch is chosen.
    private const int Choice = 256;

    private readonly SentenceEncoder _encoder;
    private readonly ServerMetrics _metrics;
    private readonly int _maxBatchTokens;
    private readonly long _window;
    private readonly object _gate = new(); // Monitor.Wait needs an object
    private readonly List<WaitingText> _waiting = []; // the oldest first
    private readonly Thread[] _threads;
    private long _waitingTokens;
    private int _running;
    private bool _closing;

    public BatchQueue(SentenceEncoder encoder, EmbeddingServerOptions options, ServerMetrics metrics)
    {
        _encoder = encoder;
        _metrics = metrics;
        _maxBatchTokens = options.MaxBatchTokens;
        _window = (long)(options.BatchWindow.TotalSeconds * Stopwatch.Frequency);
        metrics.ObserveQueue(() => Volatile.Read(ref _waitingTokens));
        _threads = [.. Enumerable.Range(0, encoder.Threads).Select(i => new Thread(TakeBatches) { IsBackground = true, Name = $"batches {i}" })];
        foreach (Thread thread in _threads)
        {
            thread.Start();
        }
    }

    /// <summary>The vectors of texts, in their order. A request that is cancelled leaves the queue.</summary>
    public Task<EmbeddingMatrix> EncodeAsync(IReadOnlyList<TokenizedText> texts, CancellationToken cancellationToken)
    {
        if (texts.Count == 0)
        {
            return Task.FromResult(new EmbeddingMatrix([], 0, _encoder.Dimensions));
        }

        QueuedRequest request = new(texts, _encoder.Dimensions, cancellationToken);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing, this);
            for (int row = 0; row < texts.Count; row++)
            {
                _waiting.Add(new WaitingText(request, row));
                _waitingTokens += texts[row].Ids.Length;
            }

            Monitor.PulseAll(_gate);
        }

        return request.Vectors;
    }

    /// <summary>Ends the threads; requests that still wait fail.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closing = true;
            Monitor.PulseAll(_gate);
        }

        foreach (Thread thread in _threads)
        {
            thread.Join();
        }

        foreach (WaitingText text in _waiting)
        {
            text.Request.Fail(new ObjectDisposedException(nameof(BatchQueue)));
        }
    }

    private void TakeBatches()
    {
        List<WaitingText> batch = [];
        while (Take(batch) is { } alone)
        {
            Run(batch, alone);
            lock (_gate)
            {
                _running--;
            }

            batch.Clear();
        }
    }

    /// <summary>Waits for texts and takes a share of them.</summary>
    /// <returns>Whether nothing else runs or waits; null when the queue closes.</returns>
    private bool? Take(List<WaitingText> batch)
    {
        lock (_gate)
        {
            while (true)
            {
                if (_closing)
                {
                    return null;
                }

                if (_waiting.Count == 0)
                {
                    Monitor.Wait(_gate);
                }
                else if (TimeToWait() is > 0 and int milliseconds)
                {
                    Monitor.Wait(_gate, milliseconds);
                }
                else
                {
                    break;
                }
            }

            long share = Math.Clamp(_waitingTokens / _threads.Length, Math.Min(EfficientTokens, _maxBatchTokens), _maxBatchTokens);
            TakeChosen(share, batch);
            bool alone = _running == 0 && _waiting.Count == 0;
            _running++;
            return alone;
        }
    }

    /// <summary>Which texts run together: the first, and of the others those of the nearest lengths, up to a number of tokens.</summary>
    /// <param name="lengths">Tokens of each text; at least one text.</param>
    /// <param name="mostTokens">Of all that are chosen; the first is chosen in any case.</param>
    /// <returns>Their places, in order.</returns>
    internal static int[] Choose(ReadOnlySpan<int> lengths, long mostTokens)
    {
        int[] sorted = lengths.ToArray(), places = [.. Enumerable.Range(0, lengths.Length)];
        Array.Sort(sorted, places);
        int first = Array.IndexOf(places, 0), last = first;
        long tokens = lengths[0];
        while (last - first + 1 < sorted.Length)
        {
            bool shorter = last + 1 == sorted.Length || (first > 0 && lengths[0] - sorted[first - 1] <= sorted[last + 1] - lengths[0]);
            tokens += sorted[shorter ? first - 1 : last + 1];
            if (tokens > mostTokens)
            {
                break;
            }

            (first, last) = shorter ? (first - 1, last) : (first, last + 1);
        }

        int[] chosen = places[first..(last + 1)];
        Array.Sort(chosen);
        return chosen;
    }

    /// <summary>Takes a batch out of the queue; texts whose requests were cancelled leave it with them.</summary>
    private void TakeChosen(long mostTokens, List<WaitingText> batch)
    {
        int[] lengths = new int[Math.Min(_waiting.Count, Choice)];
        for (int i = 0; i < lengths.Length; i++)
        {
            lengths[i] = _waiting[i].Tokens;
        }

        int kept = 0, next = 0;
        int[] chosen = Choose(lengths, mostTokens);
        for (int i = 0; i < lengths.Length; i++)
        {
            WaitingText text = _waiting[i];
            if (next == chosen.Length || chosen[next] != i)
            {
                _waiting[kept++] = text;
                continue;
            }

            next++;
            _waitingTokens -= text.Tokens;
            if (!text.Request.IsCancelled)
            {
                batch.Add(text);
            }
        }

        _waiting.RemoveRange(kept, lengths.Length - kept);
    }

    /// <summary>Milliseconds for which less than a full batch waits for more, as long as another thread is busy.</summary>
    private int TimeToWait()
    {
        if (_waitingTokens >= EfficientTokens || _running == 0 || _window == 0)
        {
            return 0;
        }

        long left = _waiting[0].Request.Enqueued + _window - Stopwatch.GetTimestamp();
        return left <= 0 ? 0 : (int)Math.Max(1, left * 1000 / Stopwatch.Frequency);
    }

    private void Run(List<WaitingText> batch, bool alone)
    {
        if (batch.Count == 0)
        {
            return; // all of it was cancelled
        }

        _metrics.BatchTaken(batch.Count, batch.Sum(text => (long)text.Tokens));
        long start = Stopwatch.GetTimestamp();
        try
        {
            EmbeddingMatrix vectors = _encoder.EncodeTokens([.. batch.Select(text => text.Request.Texts[text.Row])], alone ? null : 1, CancellationToken.None);
            _metrics.BatchDone(Stopwatch.GetElapsedTime(start));
            for (int i = 0; i < batch.Count; i++)
            {
                batch[i].Request.Complete(batch[i].Row, vectors[i]);
            }
        }
        catch (Exception e)
        {
            foreach (WaitingText text in batch)
            {
                text.Request.Fail(e);
            }
        }

        foreach (WaitingText text in batch)
        {
            _metrics.Queued(Stopwatch.GetElapsedTime(text.Request.Enqueued, start));
        }
    }

    [StructLayout(LayoutKind.Auto)]
    private readonly record struct WaitingText(QueuedRequest Request, int Row)
    {
        public int Tokens => Request.Texts[Row].Ids.Length;
    }
}
