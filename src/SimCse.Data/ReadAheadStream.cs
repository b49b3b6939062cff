namespace SimCse.Data;

/// <summary>
/// Reads another stream on a thread of its own, one buffer ahead of whoever reads this one, so that unpacking goes on while the bytes before are worked on.
/// </summary>
internal sealed class ReadAheadStream : ForwardStream
{
    private const int BufferSize = 1 << 18;

    private readonly Stream _source;
    private byte[] _buffer = new byte[BufferSize];
    private byte[] _ahead = new byte[BufferSize];
    private int _at;
    private int _length;
    private bool _ended;
    private InvalidDataException? _failure;
    private Task<(int Length, InvalidDataException? Failure)> _filling;

    /// <param name="source">Read from its place to its end; disposed with this stream.</param>
    public ReadAheadStream(Stream source)
    {
        _source = source;
        _filling = FillAhead();
    }

    /// <exception cref="InvalidDataException">The source's, in its place: after all bytes before it.</exception>
    public override int Read(Span<byte> buffer)
    {
        if (_at == _length && !buffer.IsEmpty)
        {
            Turn();
        }

        int count = Math.Min(buffer.Length, _length - _at);
        _buffer.AsSpan(_at, count).CopyTo(buffer);
        _at += count;
        return count;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            ((IAsyncResult)_filling).AsyncWaitHandle.WaitOne(); // the source is not to be closed under its reader; how that ended matters no more
            _source.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>The buffer that was filled ahead becomes the one that is read, and the other is filled.</summary>
    private void Turn()
    {
        (_at, _length) = (0, 0);
        if (!_ended)
        {
            (_length, _failure) = _filling.GetAwaiter().GetResult();
            (_buffer, _ahead) = (_ahead, _buffer);
            _ended = _length < BufferSize;
            if (!_ended)
            {
                _filling = FillAhead();
            }
        }

        if (_length == 0 && _failure is not null)
        {
            throw new InvalidDataException(_failure.Message, _failure);
        }
    }

    private Task<(int Length, InvalidDataException? Failure)> FillAhead() =>
        Task.Factory.StartNew(Fill, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private (int Length, InvalidDataException? Failure) Fill()
    {
        int length = 0;
        try
        {
            int read;
            do
            {
                read = _source.Read(_ahead, length, BufferSize - length);
                length += read;
            }
            while (read > 0 && length < BufferSize);
            return (length, null);
        }
        catch (InvalidDataException e)
        {
            return (length, e);
        }
    }
}
