using System.Diagnostics;
using System.Runtime.InteropServices;
using SimCse.Server.Telemetry;
using SimCse.Tokenization;

namespace SimCse.Server.Batching;

/// <summary>
/// The texts of all requests in one queue, first come, first served. As many threads as the encoder has take batches from it, each its share of what waits: between one efficient batch and
/// <see cref="EmbeddingServerOptions.MaxBatchTokens"/>. So the texts of one large request run side by side, those of many small requests run together, and a text that is alone gets all threads.
/// </summary>
internal sealed class BatchQueue : IDisposable
{
    // What the encoder runs in one go (SentenceEncoderOptions.BatchTokens): more texts at once are no faster, fewer are slower.
    private const int EfficientTokens = 512;

    private readonly SentenceEncoder _encoder;
    private readonly ServerMetrics _metrics;
    private readonly int _maxBatchTokens;
    private readonly long _window;
    private readonly object _gate = new(); // Monitor.Wait needs an object
    private readonly Queue<WaitingText> _waiting = new();
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
                _waiting.Enqueue(new WaitingText(request, row));
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
            long tokens = 0;
            while (_waiting.TryPeek(out WaitingText next) && (batch.Count == 0 || tokens + next.Tokens <= share))
            {
                _waiting.Dequeue();
                _waitingTokens -= next.Tokens;
                if (!next.Request.IsCancelled)
                {
                    batch.Add(next);
                    tokens += next.Tokens;
                }
            }

            bool alone = _running == 0 && _waiting.Count == 0;
            _running++;
            return alone;
        }
    }

    /// <summary>Milliseconds for which less than a full batch waits for more, as long as another thread is busy.</summary>
    private int TimeToWait()
    {
        if (_waitingTokens >= EfficientTokens || _running == 0 || _window == 0)
        {
            return 0;
        }

        long left = _waiting.Peek().Request.Enqueued + _window - Stopwatch.GetTimestamp();
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
