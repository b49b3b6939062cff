using System.Buffers.Binary;
using System.IO.Compression;

namespace SimCse.Data;

/// <summary>
/// The unpacked bytes of a gzip file, read forward. Unlike <see cref="GZipStream"/> alone, which takes a file that was cut off for one that ended, this
/// stream ends in an error there. (zlib itself checks the sum of a member that is whole.)
/// </summary>
/// <remarks>This file is compiled into SimCse.Evaluation too, which must not reference SimCse.Data.</remarks>
internal sealed class GzipFile : ForwardStream
{
    private readonly FileStream _packed;
    private readonly GZipStream _unpacked;
    private long _position;
    private bool _checked;

    public GzipFile(FileStream packed)
    {
        _packed = packed;
        _unpacked = new GZipStream(packed, CompressionMode.Decompress, leaveOpen: true);
    }

    /// <exception cref="InvalidDataException">The data is damaged, or the file was cut off.</exception>
    public override int Read(Span<byte> buffer)
    {
        int read = _unpacked.Read(buffer);
        _position += read;
        if (read == 0 && buffer.Length > 0 && !_checked)
        {
            _checked = true;
            if (!EndsWithOwnLength() && !AllMembersAreWhole())
            {
                throw new InvalidDataException("the file was cut off");
            }
        }

        return read;
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _unpacked.Dispose();
            _packed.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>A file of one member ends with the length of its data, modulo 2^32 (RFC 1952, ISIZE).</summary>
    private bool EndsWithOwnLength()
    {
        Span<byte> last = stackalloc byte[4];
        if (_packed.Length < 18)
        {
            return false;
        }

        _packed.Position = _packed.Length - last.Length;
        _packed.ReadExactly(last);
        return BinaryPrimitives.ReadUInt32LittleEndian(last) == unchecked((uint)_position);
    }

    /// <summary>Goes through a file of several members again, byte by byte, to see where each ends.</summary>
    private bool AllMembersAreWhole()
    {
        _packed.Position = 0;
        SingleBytes bytes = new(_packed);
        byte[] unpacked = new byte[1 << 14];
        bool any = false;
        while (SkipHeader(bytes))
        {
            any = true;
            using (DeflateStream member = new(bytes, CompressionMode.Decompress, leaveOpen: true))
            {
                // Not CopyTo: it reads on beyond the member's end.
                while (member.Read(unpacked) > 0)
                {
                }
            }

            for (int i = 0; i < 8; i++)
            {
                if (bytes.ReadByte() < 0)
                {
                    return false;
                }
            }
        }

        return any;
    }

    /// <summary>Passes over a member's header (RFC 1952, section 2.3); false where no other member begins.</summary>
    private static bool SkipHeader(SingleBytes bytes)
    {
        if (bytes.ReadByte() != 0x1F || bytes.ReadByte() != 0x8B || bytes.ReadByte() != 8)
        {
            return false;
        }

        int flags = bytes.ReadByte();
        Skip(6);
        if ((flags & 4) != 0)
        {
            Skip(bytes.ReadByte() + (bytes.ReadByte() << 8));
        }

        for (int text = (flags >> 3 & 1) + (flags >> 4 & 1); text > 0; text--)
        {
            while (bytes.ReadByte() > 0)
            {
                // the member's name, or a comment, up to its zero
            }
        }

        Skip(flags & 2);
        return true;

        void Skip(int count)
        {
            for (int i = 0; i < count; i++)
            {
                bytes.ReadByte();
            }
        }
    }

    /// <summary>Gives one byte at a time, so that a decompressor takes none beyond its end.</summary>
    private sealed class SingleBytes(FileStream stream) : ForwardStream
    {
        public override int ReadByte() => stream.ReadByte();

        public override int Read(Span<byte> buffer)
        {
            int next = buffer.IsEmpty ? -1 : stream.ReadByte();
            if (next < 0)
            {
                return 0;
            }

            buffer[0] = (byte)next;
            return 1;
        }
    }
}
