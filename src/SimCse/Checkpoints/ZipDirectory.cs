using System.Buffers.Binary;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Checkpoints;

/// <summary>
/// The table of contents of a zip file whose entries are stored, not compressed, as PyTorch writes them: each entry's name, and where its bytes are. Entries that are
/// compressed or encrypted, lie outside the file or over one another are refused, so that no more can come out of the file than is in it.
/// </summary>
internal static class ZipDirectory
{
    private const int EndLength = 22;
    private const int End64Length = 56;
    private const int Locator64Length = 20;
    private const int CentralLength = 46;
    private const int LocalLength = 30;

    /// <summary>Name → (offset of the first byte, number of bytes).</summary>
    public static Dictionary<string, (long Offset, long Length)> Read(SafeFileHandle handle, string path)
    {
        long fileLength = RandomAccess.GetLength(handle);
        (long directoryOffset, long directoryLength) = FindDirectory(handle, path, fileLength);
        byte[] directory = new byte[directoryLength];
        TensorBytes.ReadExactly(handle, path, directoryOffset, directory);
        List<(string Name, long Header, long Offset, long Length)> entries = [];
        ReadOnlySpan<byte> rest = directory;
        while (rest.Length > 0)
        {
            rest = rest[ReadEntry(handle, path, rest, directoryOffset, entries)..];
        }

        entries.Sort((a, b) => a.Header.CompareTo(b.Header));
        Dictionary<string, (long Offset, long Length)> byName = new(entries.Count, StringComparer.Ordinal);
        long at = 0;
        foreach ((string name, long header, long offset, long length) in entries)
        {
            if (header < at || !byName.TryAdd(name, (offset, length)))
            {
                throw Damaged(path, $"entry {JsonFields.Quote(name)} {(header < at ? "overlaps the one before it" : "is there twice")}");
            }

            at = offset + length;
        }

        return byName;
    }

    private static (long Offset, long Length) FindDirectory(SafeFileHandle handle, string path, long fileLength)
    {
        // The end record is the last thing in the file but for a comment of up to 65,535 bytes.
        byte[] tail = new byte[Math.Min(fileLength, EndLength + ushort.MaxValue)];
        TensorBytes.ReadExactly(handle, path, fileLength - tail.Length, tail);
        for (int at = tail.Length - EndLength; at >= 0; at--)
        {
            ReadOnlySpan<byte> end = tail.AsSpan(at);
            if (Signature(end) != 0x06054b50 || Short(end, 20) != end.Length - EndLength)
            {
                continue;
            }

            long endOffset = fileLength - tail.Length + at;
            (long length, long offset, long limit) = (Int(end, 12), Int(end, 16), endOffset);
            if (endOffset >= Locator64Length + End64Length)
            {
                // PyTorch writes the 64-bit records always.
                Span<byte> locator = stackalloc byte[Locator64Length];
                TensorBytes.ReadExactly(handle, path, endOffset - Locator64Length, locator);
                if (Signature(locator) == 0x07064b50)
                {
                    long end64 = Long(locator, 8);
                    Span<byte> record = stackalloc byte[End64Length];
                    if (end64 < 0 || end64 > endOffset - Locator64Length - End64Length)
                    {
                        throw Damaged(path, $"its 64-bit end record is said to be at byte {end64}");
                    }

                    TensorBytes.ReadExactly(handle, path, end64, record);
                    if (Signature(record) != 0x06064b50)
                    {
                        throw Damaged(path, $"there is no 64-bit end record at byte {end64}");
                    }

                    (length, offset, limit) = (Long(record, 40), Long(record, 48), end64);
                }
            }

            if (offset < 0 || length < 0 || offset > limit || length > limit - offset || length > Array.MaxLength)
            {
                throw Damaged(path, $"its directory is said to be {length} bytes at byte {offset}");
            }

            return (offset, length);
        }

        throw Damaged(path, "it has no end record");
    }

    /// <summary>Reads one entry of the directory and the header before its data; gives the entry's length in the directory.</summary>
    private static int ReadEntry(SafeFileHandle handle, string path, ReadOnlySpan<byte> entry, long limit, List<(string Name, long Header, long Offset, long Length)> entries)
    {
        if (entry.Length < CentralLength || Signature(entry) != 0x02014b50)
        {
            throw Damaged(path, $"entry {entries.Count} of its directory is none");
        }

        int nameLength = Short(entry, 28);
        int extraLength = Short(entry, 30);
        int total = CentralLength + nameLength + extraLength + Short(entry, 32);
        if (total > entry.Length)
        {
            throw Damaged(path, $"entry {entries.Count} of its directory is cut off");
        }

        ReadOnlySpan<byte> nameBytes = entry.Slice(CentralLength, nameLength);
        string name = Encoding.UTF8.GetString(nameBytes);
        string quoted = JsonFields.Quote(name);
        if ((Short(entry, 8) & 0x41) != 0 || Short(entry, 10) != 0)
        {
            throw new InvalidDataException($"{path}: zip entry {quoted} is compressed or encrypted, expected it stored, as PyTorch writes it");
        }

        long stored = Int(entry, 20);
        long length = Int(entry, 24);
        long header = Int(entry, 42);
        ReadExtra64(entry.Slice(CentralLength + nameLength, extraLength), ref length, ref stored, ref header);
        Span<byte> local = stackalloc byte[LocalLength];
        if (length != stored || length < 0 || header < 0 || header > limit - LocalLength)
        {
            throw Damaged(path, $"entry {quoted} is said to be {length} bytes ({stored} stored) at byte {header}");
        }

        TensorBytes.ReadExactly(handle, path, header, local);
        long offset = header + LocalLength + Short(local, 26) + Short(local, 28);
        if (Signature(local) != 0x04034b50 || Short(local, 8) != 0 || Short(local, 26) != nameLength || offset > limit || length > limit - offset)
        {
            throw Damaged(path, $"entry {quoted} of {length} bytes is not at byte {header}, where the directory says");
        }

        entries.Add((name, header, offset, length));
        return total;
    }

    /// <summary>Values that do not fit in 32 bits stand in extra field 1, in this order, only those.</summary>
    private static void ReadExtra64(ReadOnlySpan<byte> extra, ref long length, ref long stored, ref long header)
    {
        while (extra.Length >= 4)
        {
            int size = Short(extra, 2);
            if (size > extra.Length - 4)
            {
                return;
            }

            if (Short(extra, 0) == 1)
            {
                ReadOnlySpan<byte> values = extra.Slice(4, size);
                Take(ref values, ref length);
                Take(ref values, ref stored);
                Take(ref values, ref header);
                return;
            }

            extra = extra[(4 + size)..];
        }

        static void Take(ref ReadOnlySpan<byte> values, ref long value)
        {
            if (value == uint.MaxValue && values.Length >= 8)
            {
                value = Long(values, 0);
                values = values[8..];
            }
        }
    }

    private static InvalidDataException Damaged(string path, string what) => new($"{path}: not a whole zip file: {what}");

    private static uint Signature(ReadOnlySpan<byte> bytes) => BinaryPrimitives.ReadUInt32LittleEndian(bytes);

    private static int Short(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[at..]);

    private static long Int(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[at..]);

    private static long Long(ReadOnlySpan<byte> bytes, int at) => BinaryPrimitives.ReadInt64LittleEndian(bytes[at..]);
}
