using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using SimCse.Checkpoints;

namespace SimCse.Search;

/// <summary>
/// The entries of an index on disk: a header, two slots that say how much is committed, and blocks, one a commit, which are only ever appended. docs/formats.md describes it.
/// </summary>
/// <remarks>
/// A commit writes the block, flushes, writes the slot that is not the last one's, and flushes. So at every moment one slot is whole, what it names is on the disk, and what lies beyond was never
/// acknowledged: a whole block there is kept, the rest is cut off.
/// </remarks>
internal sealed unsafe class IndexFile : IDisposable
{
    private const int PageBytes = 4096;
    private const int SlotBytes = 64;
    private const int LongestHeader = 1 << 20;
    private const uint FormatVersion = 1;
    private const uint SlotMagic = 0x544F4C53; // "SLOT"

    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private readonly long _slotsAt;
    private readonly List<IndexBlock> _blocks = [];
    private long _end;
    private uint _chain;

    private IndexFile(string path, bool writable)
    {
        _path = path;
        _handle = File.OpenHandle(path, FileMode.Open, writable ? FileAccess.ReadWrite : FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            (Options, Identity, int headerBytes) = ReadHeader();
            _slotsAt = headerBytes;
            Shape = new IndexShape(Options.Dimensions, Options.KeepFloats);
            Rows = new Int8Rows(Options.Dimensions);
            _end = headerBytes + (2 * PageBytes);
            Bytes = Recover(writable);
        }
        catch
        {
            Bytes?.Dispose();
            _handle.Dispose();
            throw;
        }
    }

    private static ReadOnlySpan<byte> Magic => "SIMCSEIX"u8;

    public SentenceIndexOptions Options { get; }

    /// <summary>Drawn when the file is made: what belongs to it names it.</summary>
    public Guid Identity { get; }

    public IndexShape Shape { get; }

    /// <summary>The records of all rows, deleted ones too.</summary>
    public Int8Rows Rows { get; }

    public RowSet Deleted { get; } = new(0);

    /// <summary>Another after every commit.</summary>
    public MappedBytes Bytes { get; private set; }

    /// <summary>Bytes of the file that are committed.</summary>
    public long Length => _end;

    public IReadOnlyList<IndexBlock> Blocks => _blocks;

    /// <summary>Writes an index file without entries, beside its place, and renames it there.</summary>
    public static void Create(string path, SentenceIndexOptions options) => AtomicFile.Write(path, stream =>
    {
        byte[] about = Json(options);
        int headerBytes = (int)Math.Ceiling((40.0 + about.Length) / PageBytes) * PageBytes;
        byte[] bytes = new byte[headerBytes + (2 * PageBytes)];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8), FormatVersion);
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(12), headerBytes);
        Guid.NewGuid().TryWriteBytes(bytes.AsSpan(16));
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(32), about.Length);
        about.CopyTo(bytes, 36);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(headerBytes - 4), Checksum.Of(bytes.AsSpan(0, headerBytes - 4)));
        WriteSlot(bytes.AsSpan(headerBytes, SlotBytes), 0, bytes.Length, 0);
        WriteSlot(bytes.AsSpan(headerBytes + PageBytes, SlotBytes), 0, bytes.Length, 0);
        stream.Write(bytes);
    });

    public static IndexFile Open(string path, bool writable) => new(path, writable);

    /// <summary>The block of a row.</summary>
    public IndexBlock BlockOf(int row)
    {
        int low = 0, high = _blocks.Count - 1;
        while (low < high)
        {
            int middle = (low + high + 1) / 2;
            if (_blocks[middle].FirstRow <= row)
            {
                low = middle;
            }
            else
            {
                high = middle - 1;
            }
        }

        return _blocks[low];
    }

    /// <summary>Puts a block on the disk and acknowledges it; <see cref="Publish"/> makes it visible here.</summary>
    public IndexBlock Commit(IReadOnlyList<int> deleted, IReadOnlyList<IndexEntry> entries, EmbeddingMatrix? vectors, float[] inverseLengths)
    {
        ulong sequence = (ulong)_blocks.Count + 1;
        byte[] bytes = IndexBlock.Write(_end, Rows.Count, sequence, _chain, Shape, deleted, entries, vectors, inverseLengths);
        RandomAccess.Write(_handle, bytes, _end);
        RandomAccess.FlushToDisk(_handle);
        uint chain = BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(IndexBlock.HeaderBytes - 4));
        CommitSlot(sequence, _end + bytes.Length, chain);
        return new IndexBlock(_end, Rows.Count, entries.Count, deleted.Count, TextBytes(bytes), Shape);
    }

    /// <summary>Makes a committed block visible.</summary>
    public void Publish(IndexBlock block)
    {
        MappedBytes old = Bytes;
        Bytes = new MappedBytes(_handle, block.End);
        _chain = BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>(Bytes.Origin + block.Start + IndexBlock.HeaderBytes - 4, 4));
        Take(block, Bytes);
        Rows.MoveTo(Bytes.Origin);
        old.Dispose();
    }

    public IndexEntry ReadEntry(int row) => BlockOf(row).ReadEntry(Bytes, row);

    public void Dispose()
    {
        Bytes.Dispose();
        _handle.Dispose();
    }

    private static long TextBytes(byte[] block) => BinaryPrimitives.ReadInt64LittleEndian(block.AsSpan(24));

    private static void WriteSlot(Span<byte> slot, ulong sequence, long end, uint chain)
    {
        slot.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(slot, SlotMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[4..], chain);
        BinaryPrimitives.WriteUInt64LittleEndian(slot[8..], sequence);
        BinaryPrimitives.WriteInt64LittleEndian(slot[16..], end);
        BinaryPrimitives.WriteUInt32LittleEndian(slot[(SlotBytes - 4)..], Checksum.Of(slot[..(SlotBytes - 4)]));
    }

    private void CommitSlot(ulong sequence, long end, uint chain)
    {
        Span<byte> slot = stackalloc byte[SlotBytes];
        WriteSlot(slot, sequence, end, chain);
        RandomAccess.Write(_handle, slot, _slotsAt + ((long)(sequence % 2) * PageBytes));
        RandomAccess.FlushToDisk(_handle);
    }

    private (SentenceIndexOptions Options, Guid Identity, int HeaderBytes) ReadHeader()
    {
        byte[] start = new byte[40];
        if (RandomAccess.Read(_handle, start, 0) < start.Length || !start.AsSpan().StartsWith(Magic))
        {
            throw new InvalidDataException($"{_path}: not an index of simcse; expected a file that begins with SIMCSEIX");
        }

        uint version = BinaryPrimitives.ReadUInt32LittleEndian(start.AsSpan(8));
        int headerBytes = BinaryPrimitives.ReadInt32LittleEndian(start.AsSpan(12)), aboutBytes = BinaryPrimitives.ReadInt32LittleEndian(start.AsSpan(32));
        if (version != FormatVersion || headerBytes is < PageBytes or > LongestHeader || headerBytes % PageBytes != 0 || aboutBytes < 0 || aboutBytes > headerBytes - 40)
        {
            throw new InvalidDataException($"{_path}: the header is damaged, or of a later version ({version}; this program reads {FormatVersion})");
        }

        byte[] header = new byte[headerBytes];
        if (RandomAccess.Read(_handle, header, 0) < headerBytes || BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(headerBytes - 4)) != Checksum.Of(header.AsSpan(0, headerBytes - 4)))
        {
            throw new InvalidDataException($"{_path}: the header is damaged: its checksum does not hold");
        }

        return (FromJson(header.AsSpan(36, aboutBytes)), new Guid(header.AsSpan(16, 16)), headerBytes);
    }

    /// <summary>Reads what is committed, keeps what is whole beyond it, and cuts off the rest.</summary>
    private MappedBytes Recover(bool writable)
    {
        (ulong sequence, long committed, bool bothWhole) = LastSlot();
        long length = RandomAccess.GetLength(_handle);
        if (length < committed)
        {
            throw new InvalidDataException($"{_path}: {length} bytes; expected at least {committed}, which were committed: the file was cut off after it was written");
        }

        // A reader leaves alone what another process may be writing, or cutting off, beyond the commit.
        MappedBytes bytes = new(_handle, writable || !bothWhole ? length : committed);
        try
        {
            while (IndexBlock.TryRead(bytes, _end, Rows.Count, (ulong)_blocks.Count + 1, ref _chain, Shape) is { } block)
            {
                Take(block, bytes);
            }

            if (_end < committed || (ulong)_blocks.Count < sequence)
            {
                throw new InvalidDataException($"{_path}: the block at byte {_end} is damaged: its checksum does not hold (what is committed goes to byte {committed})");
            }

            if (!writable)
            {
                Rows.MoveTo(bytes.Origin);
                return bytes;
            }
        }
        catch
        {
            bytes.Dispose();
            throw;
        }

        bytes.Dispose();
        RandomAccess.SetLength(_handle, _end);
        if (_end > committed)
        {
            CommitSlot((ulong)_blocks.Count, _end, _chain);
        }

        MappedBytes all = new(_handle, _end);
        Rows.MoveTo(all.Origin);
        return all;
    }

    private (ulong Sequence, long Committed, bool BothWhole) LastSlot()
    {
        (ulong Sequence, long End)? last = null;
        int whole = 0;
        byte[] slot = new byte[SlotBytes];
        for (int i = 0; i < 2; i++)
        {
            if (RandomAccess.Read(_handle, slot, _slotsAt + ((long)i * PageBytes)) == SlotBytes
                && BinaryPrimitives.ReadUInt32LittleEndian(slot) == SlotMagic
                && BinaryPrimitives.ReadUInt32LittleEndian(slot.AsSpan(SlotBytes - 4)) == Checksum.Of(slot.AsSpan(0, SlotBytes - 4)))
            {
                whole++;
                ulong sequence = BinaryPrimitives.ReadUInt64LittleEndian(slot.AsSpan(8));
                last = last is null || sequence > last.Value.Sequence ? (sequence, BinaryPrimitives.ReadInt64LittleEndian(slot.AsSpan(16))) : last;
            }
        }

        return last is var (sequenceOfLast, end)
            ? (sequenceOfLast, end, whole == 2)
            : throw new InvalidDataException($"{_path}: neither of the two records of what is committed is whole: the file is damaged at byte {_slotsAt}");
    }

    private void Take(IndexBlock block, MappedBytes bytes)
    {
        foreach (int row in block.DeletedRows(bytes))
        {
            Deleted.Add(row);
        }

        Rows.Append(block.RecordsAt, block.Entries);
        _blocks.Add(block);
        _end = block.End;
    }

    private static byte[] Json(SentenceIndexOptions options)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            json.WriteStartObject();
            json.WriteNumber("dimensions", options.Dimensions);
            json.WriteBoolean("floats", options.KeepFloats);
            json.WriteNumber("links", options.Links);
            json.WriteNumber("construction_breadth", options.ConstructionBreadth);
            json.WriteNumber("seed", options.Seed);
            json.WriteStartObject("about");
            foreach ((string name, string value) in options.About)
            {
                json.WriteString(name, value);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        return bytes.Length <= LongestHeader - (2 * PageBytes)
            ? bytes.ToArray()
            : throw new ArgumentException($"what the index is to keep about itself is {bytes.Length} bytes of JSON; expected at most {LongestHeader - (2 * PageBytes)}", nameof(options));
    }

    private SentenceIndexOptions FromJson(ReadOnlySpan<byte> json)
    {
        try
        {
            Utf8JsonReader reader = new(json);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            JsonElement root = document.RootElement;
            SentenceIndexOptions options = new(root.GetProperty("dimensions").GetInt32())
            {
                KeepFloats = root.GetProperty("floats").GetBoolean(),
                Links = root.GetProperty("links").GetInt32(),
                ConstructionBreadth = root.GetProperty("construction_breadth").GetInt32(),
                Seed = root.GetProperty("seed").GetUInt64(),
                About = root.GetProperty("about").EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.Ordinal),
            };
            options.Validate();
            return options;
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException or FormatException or ArgumentException)
        {
            throw new InvalidDataException($"{_path}: the header does not say what the index is made with: {e.Message}", e);
        }
    }
}
