using System.Buffers.Binary;
using System.Runtime.InteropServices;
using SimCse.Checkpoints;

namespace SimCse.Search;

/// <summary>The graph on disk, whole, beside the entries that it can be made from again. docs/formats.md describes it.</summary>
internal static class HnswFile
{
    private const uint FormatVersion = 1;
    private const int HeaderBytes = 64;

    private static ReadOnlySpan<byte> Magic => "SIMCSEHN"u8;

    /// <summary>Writes the graph beside its place and renames it there.</summary>
    public static void Write(string path, HnswGraph graph, Guid identity) => AtomicFile.Write(path, stream =>
    {
        using MemoryStream lists = new();
        byte[] levels = [.. Enumerable.Range(0, graph.Count).Select(graph.LevelOf)];
        for (int row = 0; row < graph.Count; row++)
        {
            for (int level = 0; levels[row] != HnswGraph.Absent && level <= levels[row]; level++)
            {
                ReadOnlySpan<int> links = graph.LinksOf(row, level);
                int count = links.Length;
                lists.Write(MemoryMarshal.AsBytes(new ReadOnlySpan<int>(in count)));
                lists.Write(MemoryMarshal.AsBytes(links));
            }
        }

        byte[] header = new byte[HeaderBytes];
        Magic.CopyTo(header);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(8), FormatVersion);
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(12), graph.Count);
        identity.TryWriteBytes(header.AsSpan(16));
        BinaryPrimitives.WriteInt64LittleEndian(header.AsSpan(32), lists.Length);
        ReadOnlySpan<byte> all = lists.GetBuffer().AsSpan(0, (int)lists.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(40), Checksum.Of(levels));
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(44), Checksum.Of(all));
        BinaryPrimitives.WriteInt32LittleEndian(header.AsSpan(48), graph.Entry);
        BinaryPrimitives.WriteUInt32LittleEndian(header.AsSpan(HeaderBytes - 4), Checksum.Of(header.AsSpan(0, HeaderBytes - 4)));
        stream.Write(header);
        stream.Write(levels);
        stream.Write(all);
    });

    /// <summary>Reads a graph into an empty one; false, and the graph stays empty, where the file is absent, damaged, or another index's.</summary>
    public static bool TryRead(string path, HnswGraph graph, Guid identity, int rows)
    {
        if (!File.Exists(path))
        {
            return false;
        }

        byte[] bytes;
        try
        {
            bytes = File.ReadAllBytes(path);
        }
        catch (IOException)
        {
            return false; // larger than an array, or gone: the entries have all that is needed to make it again
        }

        if (bytes.Length < HeaderBytes || !bytes.AsSpan().StartsWith(Magic) || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(8)) != FormatVersion
            || BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(HeaderBytes - 4)) != Checksum.Of(bytes.AsSpan(0, HeaderBytes - 4))
            || new Guid(bytes.AsSpan(16, 16)) != identity)
        {
            return false;
        }

        int count = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(12)), entry = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(48));
        long listBytes = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(32));
        if (count < 0 || count > rows || listBytes < 0 || HeaderBytes + count + listBytes != bytes.Length)
        {
            return false;
        }

        ReadOnlySpan<byte> levels = bytes.AsSpan(HeaderBytes, count), lists = bytes.AsSpan(HeaderBytes + count);
        return BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(40)) == Checksum.Of(levels)
            && BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(44)) == Checksum.Of(lists)
            && graph.TryRestore(levels, lists, entry);
    }
}
