using System.Buffers.Binary;
using System.Security.Cryptography;

namespace SimCse.Training.Data;

/// <summary>Writes a token file front to back: a mark, the blocks, the place of each, the footer with the checksum of all that, its length, the mark again.</summary>
internal sealed class TokenFileWriter : IDisposable
{
    /// <summary>The first and the last bytes of a token file.</summary>
    public static ReadOnlySpan<byte> Mark => "SIMCTOK1"u8;

    private readonly Stream _stream;
    private readonly IncrementalHash _hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    private readonly List<long> _places = [];
    private long _length;
    private int _columns;
    private long _truncated;

    /// <param name="stream">Written from its place on; left open.</param>
    public TokenFileWriter(Stream stream)
    {
        _stream = stream;
        Write(Mark);
    }

    /// <summary>The rows written.</summary>
    public int Rows { get; private set; }

    /// <summary>Appends the next rows; every block but the last is full.</summary>
    public void Append(TokenBlock block)
    {
        _places.Add(_length);
        Write(block.Bytes);
        Rows = checked(Rows + block.Count);
        _truncated += block.Truncated;
        _columns = block.Columns;
    }

    /// <summary>Ends the file.</summary>
    public void Finish(TokenFileKey key, int idBytes)
    {
        byte[] number = new byte[sizeof(long)];
        foreach (long place in _places)
        {
            BinaryPrimitives.WriteInt64LittleEndian(number, place);
            Write(number);
        }

        byte[] footer = new TokenFileFooter(key, _columns, Rows, _truncated, idBytes, Convert.ToHexStringLower(_hash.GetHashAndReset())).ToJson();
        _stream.Write(footer);
        BinaryPrimitives.WriteInt32LittleEndian(number, footer.Length);
        _stream.Write(number, 0, sizeof(int));
        _stream.Write(Mark);
    }

    public void Dispose() => _hash.Dispose();

    private void Write(ReadOnlySpan<byte> bytes)
    {
        _stream.Write(bytes);
        _hash.AppendData(bytes);
        _length += bytes.Length;
    }
}
