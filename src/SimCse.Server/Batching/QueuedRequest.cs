using System.Diagnostics;
using SimCse.Tokenization;

namespace SimCse.Server.Batching;

/// <summary>A request in the queue: its texts may run in several batches, and it is done when the last is.</summary>
internal sealed class QueuedRequest
{
    private readonly TaskCompletionSource<EmbeddingMatrix> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationToken _cancellationToken;
    private readonly CancellationTokenRegistration _cancelled;
    private readonly float[] _values;
    private readonly int _dimensions;
    private int _missing;

    public QueuedRequest(IReadOnlyList<TokenizedText> texts, int dimensions, CancellationToken cancellationToken)
    {
        Texts = texts;
        _dimensions = dimensions;
        _values = new float[texts.Count * dimensions];
        _missing = texts.Count;
        _cancellationToken = cancellationToken;
        _cancelled = cancellationToken.UnsafeRegister(static state => ((QueuedRequest)state!).Cancel(), this);
    }

    public IReadOnlyList<TokenizedText> Texts { get; }

    /// <summary>When it came, by <see cref="Stopwatch"/>.</summary>
    public long Enqueued { get; } = Stopwatch.GetTimestamp();

    public bool IsCancelled => _cancellationToken.IsCancellationRequested;

    public Task<EmbeddingMatrix> Vectors => _done.Task;

    /// <summary>The vector of one text is there. Any thread.</summary>
    public void Complete(int row, ReadOnlySpan<float> vector)
    {
        vector.CopyTo(_values.AsSpan(row * _dimensions, _dimensions));
        if (Interlocked.Decrement(ref _missing) == 0)
        {
            _cancelled.Unregister();
            _done.TrySetResult(new EmbeddingMatrix(_values, Texts.Count, _dimensions));
        }
    }

    public void Fail(Exception cause)
    {
        _cancelled.Unregister();
        _done.TrySetException(cause);
    }

    private void Cancel() => _done.TrySetCanceled(_cancellationToken);
}
