using System.Text.Unicode;

namespace SimCse.Data;

/// <summary>
/// Lines of a strictly UTF-8 stream, one after the other, in bounded memory. A line ends in LF or CR LF; a byte order mark at the
/// start is skipped; bytes that are not UTF-8 end in an error with line and byte column, never in a replacement character.
/// </summary>
/// <remarks>This file is compiled into SimCse.Evaluation too, which must not reference SimCse.Data.</remarks>
internal sealed class Utf8LineReader : IDisposable
{
    /// <summary>A longer line is taken for a file that is not text.</summary>
    private const int LongestLine = 1 << 28;

    private readonly Stream _stream;
    private readonly string _name;
    private byte[] _buffer = new byte[1 << 16];
    private int _start;
    private int _end;
    private bool _streamEnded;

    /// <param name="stream">Read from its place to its end; disposed with the reader.</param>
    /// <param name="name">What errors call the stream: a path, or "standard input".</param>
    public Utf8LineReader(Stream stream, string name)
    {
        _stream = stream;
        _name = name;
    }

    /// <summary>The 1-based number of the line read last.</summary>
    public long LineNumber { get; private set; }

    /// <summary>Whether the line read last ended in CR LF.</summary>
    public bool EndedInCarriageReturn { get; private set; }

    /// <summary>All lines of a file.</summary>
    public static IEnumerable<string> ReadFile(string path)
    {
        using Utf8LineReader reader = new(File.OpenRead(path), path);
        while (reader.ReadLine() is { } line)
        {
            yield return line;
        }
    }

    /// <summary>The next line without its end, or null after the last. A last line without a line end counts; nothing after the last line end does not.</summary>
    /// <exception cref="InvalidDataException">Not UTF-8, a line without end, or a compressed stream that is damaged.</exception>
    public string? ReadLine()
    {
        int searched = 0;
        while (true)
        {
            int at = _buffer.AsSpan(_start + searched, _end - _start - searched).IndexOf((byte)'\n');
            if (at >= 0)
            {
                int length = searched + at;
                string line = Decode(length);
                _start += length + 1;
                return line;
            }

            searched = _end - _start;
            if (_streamEnded)
            {
                if (searched == 0)
                {
                    return null;
                }

                string last = Decode(searched);
                _start = _end;
                return last;
            }

            Fill();
        }
    }

    public void Dispose() => _stream.Dispose();

    private void Fill()
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        if (_end == _buffer.Length)
        {
            if (_buffer.Length >= LongestLine)
            {
                throw new InvalidDataException($"{_name}:{LineNumber + 1}: a line of more than {LongestLine >> 20} MiB; expected text");
            }

            Array.Resize(ref _buffer, _buffer.Length * 2);
        }

        try
        {
            int read = _stream.Read(_buffer, _end, _buffer.Length - _end);
            _end += read;
            _streamEnded = read == 0;
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{_name}: the compressed data is damaged or cut off after line {LineNumber}: {e.Message}", e);
        }
    }

    private string Decode(int length)
    {
        LineNumber++;
        ReadOnlySpan<byte> bytes = _buffer.AsSpan(_start, length);
        EndedInCarriageReturn = bytes.EndsWith("\r"u8) && _start + length < _end;
        if (EndedInCarriageReturn)
        {
            bytes = bytes[..^1];
        }

        int markLength = 0;
        if (LineNumber == 1 && bytes.StartsWith((ReadOnlySpan<byte>)[0xEF, 0xBB, 0xBF]))
        {
            markLength = 3;
            bytes = bytes[3..];
        }

        char[] rented = System.Buffers.ArrayPool<char>.Shared.Rent(bytes.Length);
        try
        {
            if (Utf8.ToUtf16(bytes, rented, out int read, out int written, replaceInvalidSequences: false) != System.Buffers.OperationStatus.Done)
            {
                string hint = LineNumber == 1 && read == 0 && bytes is [0xFF, 0xFE, ..] or [0xFE, 0xFF, ..] ? " (it looks like UTF-16)" : "";
                throw new InvalidDataException($"{_name}:{LineNumber}: byte 0x{bytes[read]:X2} at byte column {markLength + read + 1} is not UTF-8{hint}; expected a UTF-8 file");
            }

            return new string(rented, 0, written);
        }
        finally
        {
            System.Buffers.ArrayPool<char>.Shared.Return(rented);
        }
    }
}
