using System.Buffers;

namespace SimCse.Checkpoints;

/// <summary>A tensor on its way into a file: what it is called, its shape, how it is stored, and where its values come from when their turn is come.</summary>
public sealed class TensorToWrite
{
    private readonly Action<Stream> _write;

    private TensorToWrite(TensorEntry entry, Action<Stream> write)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(entry.Shape.Aggregate(0L, Math.Min), nameof(entry));
        Entry = entry;
        _write = write;
    }

    /// <summary>Name, stored type and shape.</summary>
    public TensorEntry Entry { get; }

    /// <summary>Float32 values, row-major, that are in memory already.</summary>
    /// <param name="name">The name in the file.</param>
    /// <param name="shape">The sizes; their product is the number of values.</param>
    /// <param name="values">Not copied: they must not change before the file is written.</param>
    /// <param name="type">How to store them: F32, F16 or BF16 (rounded to nearest).</param>
    /// <exception cref="ArgumentException">Shape and number of values differ, or the type is another.</exception>
    public static TensorToWrite FromFloats(string name, long[] shape, ReadOnlyMemory<float> values, TensorType type = TensorType.F32)
    {
        TensorEntry entry = new(name, type, shape);
        RequireCount(entry, values.Length);
        return FromFloats(name, shape, () => values, type);
    }

    /// <summary>Float32 values, row-major, that are fetched when they are written and let go after.</summary>
    /// <param name="name">The name in the file.</param>
    /// <param name="shape">The sizes; their product is the number of values.</param>
    /// <param name="values">Gives the values; called once per write.</param>
    /// <param name="type">How to store them: F32, F16 or BF16 (rounded to nearest).</param>
    /// <exception cref="ArgumentException">The type is another.</exception>
    public static TensorToWrite FromFloats(string name, long[] shape, Func<ReadOnlyMemory<float>> values, TensorType type = TensorType.F32)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(values);
        if (type is not (TensorType.F32 or TensorType.F16 or TensorType.BF16))
        {
            throw new ArgumentException($"tensor '{name}': float32 values are stored as F32, F16 or BF16, not {type.ToName()}", nameof(type));
        }

        TensorEntry entry = new(name, type, shape);
        return new TensorToWrite(entry, stream => WriteFloats(stream, entry, values()));
    }

    /// <summary>Integers, stored as I64.</summary>
    public static TensorToWrite FromIntegers(string name, long[] shape, ReadOnlyMemory<long> values)
    {
        TensorEntry entry = new(name, TensorType.I64, shape);
        RequireCount(entry, values.Length);
        return new TensorToWrite(entry, stream => stream.Write(System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.Span)));
    }

    /// <summary>Bytes as they shall be in the file.</summary>
    /// <param name="entry">Name, type and shape that the bytes have.</param>
    /// <param name="bytes">Little-endian elements, row-major; not copied.</param>
    public static TensorToWrite FromBytes(TensorEntry entry, ReadOnlyMemory<byte> bytes)
    {
        ArgumentNullException.ThrowIfNull(entry);
        RequireCount(entry, bytes.Length / (double)entry.Type.Size());
        return new TensorToWrite(entry, stream => stream.Write(bytes.Span));
    }

    /// <summary>A tensor of an open file, bit for bit.</summary>
    internal static TensorToWrite From(ITensorFile file, TensorEntry entry) => new(entry, stream => file.CopyTo(entry, stream));

    internal void WriteTo(Stream stream) => _write(stream);

    private static void RequireCount(TensorEntry entry, double count)
    {
        if (entry.Count != count)
        {
            throw new ArgumentException($"tensor '{entry.Name}' of shape {TensorTypes.Show(entry.Shape)} needs {entry.Count} values, not {count}", nameof(count));
        }
    }

    private static void WriteFloats(Stream stream, TensorEntry entry, ReadOnlyMemory<float> values)
    {
        const int PerPiece = 1 << 14;
        int size = entry.Type.Size();
        byte[] piece = ArrayPool<byte>.Shared.Rent(PerPiece * size);
        try
        {
            for (int done = 0; done < values.Length; done += PerPiece)
            {
                ReadOnlySpan<float> part = values.Span.Slice(done, Math.Min(PerPiece, values.Length - done));
                int tooLarge = FloatConversion.FromSingle(entry.Type, part, piece.AsSpan(0, part.Length * size));
                if (tooLarge >= 0)
                {
                    throw new InvalidDataException($"tensor {JsonFields.Quote(entry.Name)}: element {done + tooLarge} is {part[tooLarge]}, too large for {entry.Type.ToName()}");
                }

                stream.Write(piece.AsSpan(0, part.Length * size));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }
}
