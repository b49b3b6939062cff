using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace SimCse.Search;

/// <summary>
/// One commit of an index file: rows that are deleted, and entries that are added, with their vectors. docs/formats.md describes it.
/// </summary>
/// <param name="Start">Where its header lies in the file.</param>
/// <param name="FirstRow">The row of its first entry.</param>
/// <param name="Entries">Entries added.</param>
/// <param name="Deletions">Rows deleted.</param>
/// <param name="TextBytes">Bytes of ids, texts and metadata.</param>
/// <param name="Shape">H, and what of a vector is kept.</param>
internal sealed record IndexBlock(long Start, int FirstRow, int Entries, int Deletions, long TextBytes, IndexShape Shape)
{
    public const int HeaderBytes = 64;
    private const int Alignment = 64;
    private const uint Magic = 0x4B4C4253; // "SBLK"
    private const int ChecksumAt = 60;

    public long DeletionsAt => Start + HeaderBytes;

    public long RecordsAt => DeletionsAt + Align((long)Deletions * sizeof(int));

    public long FloatsAt => RecordsAt + Align((long)Entries * Shape.Stride);

    public long PlacesAt => FloatsAt + (Shape.KeepFloats ? Align((long)Entries * Shape.Dimensions * sizeof(float)) : 0);

    public long TextsAt => PlacesAt + Align((long)(Entries + 1) * sizeof(long));

    public long End => TextsAt + Align(TextBytes);

    /// <summary>A block's bytes.</summary>
    /// <exception cref="ArgumentException">It would be larger than an array can be.</exception>
    public static byte[] Write(long start, int firstRow, ulong sequence, uint chain, IndexShape shape, IReadOnlyList<int> deleted, IReadOnlyList<IndexEntry> entries, EmbeddingMatrix? vectors, float[] inverseLengths)
    {
        using MemoryStream texts = new();
        long[] places = new long[entries.Count + 1];
        for (int i = 0; i < entries.Count; i++)
        {
            WriteEntry(texts, entries[i]);
            places[i + 1] = texts.Length;
        }

        IndexBlock block = new(start, firstRow, entries.Count, deleted.Count, texts.Length, shape);
        if (block.End - start > Array.MaxLength)
        {
            throw new ArgumentException($"{entries.Count} entries are {block.End - start} bytes; expected at most {Array.MaxLength} in one call: add them in several", nameof(entries));
        }

        byte[] bytes = new byte[block.End - start];
        Span<byte> At(long place) => bytes.AsSpan((int)(place - start));
        MemoryMarshal.AsBytes<int>(deleted.ToArray()).CopyTo(At(block.DeletionsAt));
        Parallel.For(0, entries.Count, i => Int8Products.WriteRecord(vectors![i], inverseLengths[i], bytes.AsSpan((int)(block.RecordsAt - start) + (i * shape.Stride), shape.Stride)));
        if (shape.KeepFloats)
        {
            for (int i = 0; i < entries.Count; i++)
            {
                TensorPrimitives.Multiply(vectors![i], inverseLengths[i], MemoryMarshal.Cast<byte, float>(At(block.FloatsAt + ((long)i * shape.Dimensions * sizeof(float))))[..shape.Dimensions]);
            }
        }

        MemoryMarshal.AsBytes<long>(places).CopyTo(At(block.PlacesAt));
        texts.GetBuffer().AsSpan(0, (int)texts.Length).CopyTo(At(block.TextsAt));

        Span<byte> header = bytes.AsSpan(0, HeaderBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(header, Magic);
        BinaryPrimitives.WriteUInt32LittleEndian(header[4..], chain);
        BinaryPrimitives.WriteUInt64LittleEndian(header[8..], sequence);
        BinaryPrimitives.WriteInt32LittleEndian(header[16..], block.Entries);
        BinaryPrimitives.WriteInt32LittleEndian(header[20..], block.Deletions);
        BinaryPrimitives.WriteInt64LittleEndian(header[24..], block.TextBytes);
        BinaryPrimitives.WriteUInt32LittleEndian(header[32..], Checksum.Of(bytes.AsSpan(HeaderBytes)));
        BinaryPrimitives.WriteUInt32LittleEndian(header[ChecksumAt..], Checksum.Of(header[..ChecksumAt]));
        return bytes;
    }

    /// <summary>The block that begins at <paramref name="start"/>; null where there is none that is whole.</summary>
    /// <param name="file">The whole file.</param>
    /// <param name="start">A multiple of 64.</param>
    /// <param name="firstRow">The number of rows before it.</param>
    /// <param name="sequence">Its number.</param>
    /// <param name="chain">The checksum of the header before it, of which its own takes the place.</param>
    /// <param name="shape">H, and what of a vector is kept.</param>
    public static unsafe IndexBlock? TryRead(MappedBytes file, long start, int firstRow, ulong sequence, ref uint chain, IndexShape shape)
    {
        if (start + HeaderBytes > file.Length)
        {
            return null;
        }

        ReadOnlySpan<byte> header = new(file.Origin + start, HeaderBytes);
        uint checksum = BinaryPrimitives.ReadUInt32LittleEndian(header[ChecksumAt..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(header) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(header[4..]) != chain
            || BinaryPrimitives.ReadUInt64LittleEndian(header[8..]) != sequence
            || checksum != Checksum.Of(header[..ChecksumAt]))
        {
            return null;
        }

        int entries = BinaryPrimitives.ReadInt32LittleEndian(header[16..]), deletions = BinaryPrimitives.ReadInt32LittleEndian(header[20..]);
        long texts = BinaryPrimitives.ReadInt64LittleEndian(header[24..]);
        IndexBlock block = new(start, firstRow, entries, deletions, texts, shape);
        if (entries < 0 || deletions < 0 || texts < 0 || texts > file.Length || firstRow > Array.MaxLength - entries || block.End > file.Length || block.End - start > Array.MaxLength
            || BinaryPrimitives.ReadUInt32LittleEndian(header[32..]) != Checksum.Of(new ReadOnlySpan<byte>(file.Origin + start + HeaderBytes, (int)(block.End - start - HeaderBytes)))
            || !block.IsConsistent(file))
        {
            return null;
        }

        chain = checksum;
        return block;
    }

    /// <summary>The rows that it deletes.</summary>
    public unsafe ReadOnlySpan<int> DeletedRows(MappedBytes file) => new(file.Origin + DeletionsAt, Deletions);

    /// <summary>The vector of an entry, at length one.</summary>
    public unsafe float* Floats(MappedBytes file, int row) => (float*)(file.Origin + FloatsAt + ((long)(row - FirstRow) * Shape.Dimensions * sizeof(float)));

    /// <summary>The id of an entry.</summary>
    public string ReadId(MappedBytes file, int row)
    {
        ReadOnlySpan<byte> bytes = TextOf(file, row);
        int id = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        return Encoding.UTF8.GetString(bytes.Slice(12, id));
    }

    /// <summary>An entry.</summary>
    public IndexEntry ReadEntry(MappedBytes file, int row)
    {
        ReadOnlySpan<byte> bytes = TextOf(file, row);
        int id = BinaryPrimitives.ReadInt32LittleEndian(bytes), text = BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]), metadata = BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
        IndexEntry entry = new(Encoding.UTF8.GetString(bytes.Slice(12, id)), Encoding.UTF8.GetString(bytes.Slice(12 + id, text)));
        return metadata == 0 ? entry : entry with { Metadata = MetadataJson.Read(bytes.Slice(12 + id + text, metadata)) };
    }

    /// <summary>An entry's metadata as JSON; empty where it has none.</summary>
    public ReadOnlySpan<byte> ReadMetadata(MappedBytes file, int row)
    {
        ReadOnlySpan<byte> bytes = TextOf(file, row);
        int id = BinaryPrimitives.ReadInt32LittleEndian(bytes), text = BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]);
        return bytes[(12 + id + text)..];
    }

    private static long Align(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    private static void WriteEntry(MemoryStream texts, IndexEntry entry)
    {
        byte[] id = Encoding.UTF8.GetBytes(entry.Id), text = Encoding.UTF8.GetBytes(entry.Text);
        byte[] metadata = entry.Metadata.Count == 0 ? [] : MetadataJson.Write(entry.Metadata);
        Span<byte> lengths = stackalloc byte[12];
        BinaryPrimitives.WriteInt32LittleEndian(lengths, id.Length);
        BinaryPrimitives.WriteInt32LittleEndian(lengths[4..], text.Length);
        BinaryPrimitives.WriteInt32LittleEndian(lengths[8..], metadata.Length);
        texts.Write(lengths);
        texts.Write(id);
        texts.Write(text);
        texts.Write(metadata);
    }

    private unsafe ReadOnlySpan<byte> TextOf(MappedBytes file, int row)
    {
        long* places = (long*)(file.Origin + PlacesAt) + (row - FirstRow);
        return new ReadOnlySpan<byte>(file.Origin + TextsAt + places[0], (int)(places[1] - places[0]));
    }

    /// <summary>Whether what it says of places and lengths lies inside it: afterwards it is read without a check.</summary>
    private unsafe bool IsConsistent(MappedBytes file)
    {
        foreach (int row in DeletedRows(file))
        {
            if (row < 0 || row >= FirstRow)
            {
                return false;
            }
        }

        long* places = (long*)(file.Origin + PlacesAt);
        if (places[0] != 0 || places[Entries] != TextBytes)
        {
            return false;
        }

        for (int i = 0; i < Entries; i++)
        {
            long length = places[i + 1] - places[i];
            if (length < 12 || places[i] > TextBytes - length)
            {
                return false;
            }

            ReadOnlySpan<byte> text = new(file.Origin + TextsAt + places[i], 12);
            int id = BinaryPrimitives.ReadInt32LittleEndian(text), words = BinaryPrimitives.ReadInt32LittleEndian(text[4..]), metadata = BinaryPrimitives.ReadInt32LittleEndian(text[8..]);
            if (id < 0 || words < 0 || metadata < 0 || 12L + id + words + metadata != length)
            {
                return false;
            }
        }

        return true;
    }
}

/// <summary>What an index keeps of a vector.</summary>
/// <param name="Dimensions">H.</param>
/// <param name="KeepFloats">Whether float32 values stand beside the codes.</param>
internal sealed record IndexShape(int Dimensions, bool KeepFloats)
{
    /// <summary>Bytes of an int8 record.</summary>
    public int Stride { get; } = Int8Products.Stride(Dimensions);
}

/// <summary>Metadata as a JSON object of strings, numbers and booleans.</summary>
internal static class MetadataJson
{
    public static byte[] Write(IReadOnlyDictionary<string, MetadataValue> metadata)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes))
        {
            Write(json, metadata);
        }

        return bytes.ToArray();
    }

    public static void Write(Utf8JsonWriter json, IReadOnlyDictionary<string, MetadataValue> metadata)
    {
        json.WriteStartObject();
        foreach ((string field, MetadataValue value) in metadata)
        {
            if (value.Number is { } number)
            {
                json.WriteNumber(field, number);
            }
            else if (value.Truth is { } truth)
            {
                json.WriteBoolean(field, truth);
            }
            else
            {
                json.WriteString(field, value.Text);
            }
        }

        json.WriteEndObject();
    }

    /// <exception cref="InvalidDataException">It is no such object.</exception>
    public static IReadOnlyDictionary<string, MetadataValue> Read(ReadOnlySpan<byte> bytes)
    {
        try
        {
            Utf8JsonReader reader = new(bytes);
            using JsonDocument document = JsonDocument.ParseValue(ref reader);
            return Read(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException("the metadata is not JSON; expected an object of strings, numbers and booleans", e);
        }
    }

    /// <exception cref="InvalidDataException">It is no such object.</exception>
    public static IReadOnlyDictionary<string, MetadataValue> Read(JsonElement json)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            throw new InvalidDataException($"the metadata is a JSON {json.ValueKind.ToString().ToLowerInvariant()}; expected an object of strings, numbers and booleans");
        }

        Dictionary<string, MetadataValue> metadata = new(StringComparer.Ordinal);
        foreach (JsonProperty property in json.EnumerateObject())
        {
            metadata[property.Name] = property.Value.ValueKind switch
            {
                JsonValueKind.String => property.Value.GetString()!,
                JsonValueKind.Number => property.Value.GetDouble(),
                JsonValueKind.True => true,
                JsonValueKind.False => false,
                _ => throw new InvalidDataException($"the metadata's '{property.Name}' is a JSON {property.Value.ValueKind.ToString().ToLowerInvariant()}; expected a string, a number, true or false"),
            };
        }

        return metadata;
    }
}
