using System.Buffers;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Checkpoints;

/// <summary>A file of tensors: what <see cref="Checkpoint"/> asks of safetensors and of PyTorch's pickles alike.</summary>
internal interface ITensorFile : IDisposable
{
    /// <summary>The file, as messages name it.</summary>
    string Path { get; }

    /// <summary>All tensors, in the file's order.</summary>
    IReadOnlyList<TensorEntry> Tensors { get; }

    /// <summary>Reads a tensor as float32, row-major.</summary>
    void Read(TensorEntry tensor, Span<float> destination);

    /// <summary>Writes a tensor's stored elements, row-major, unconverted.</summary>
    void CopyTo(TensorEntry tensor, Stream destination);
}

/// <summary>Reads of a region of a file that was checked to lie inside it, in pieces, from any thread.</summary>
internal static class TensorBytes
{
    private const int PieceLength = 1 << 16;

    /// <summary>Reads exactly <paramref name="destination"/>.Length bytes at <paramref name="offset"/>.</summary>
    public static void ReadExactly(SafeFileHandle handle, string path, long offset, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            int count = RandomAccess.Read(handle, destination, offset);
            if (count == 0)
            {
                throw new InvalidDataException($"{path}: ends at byte {offset}, {destination.Length} bytes before it should: it became shorter while it was read");
            }

            destination = destination[count..];
            offset += count;
        }
    }

    /// <summary>Reads as many elements of <paramref name="type"/> as <paramref name="destination"/> holds, as float32.</summary>
    public static void ReadFloats(SafeFileHandle handle, string path, long offset, TensorType type, Span<float> destination)
    {
        if (type == TensorType.F32)
        {
            // The span of bytes of a large tensor is longer than a span can be.
            for (int done = 0; done < destination.Length; done += 1 << 28)
            {
                ReadExactly(handle, path, offset + (4L * done), MemoryMarshal.AsBytes(destination.Slice(done, Math.Min(1 << 28, destination.Length - done))));
            }

            return;
        }

        int size = type.Size();
        byte[] piece = ArrayPool<byte>.Shared.Rent((int)Math.Min(PieceLength, (long)destination.Length * size));
        try
        {
            int perPiece = piece.Length / size;
            for (int done = 0; done < destination.Length; done += perPiece)
            {
                int count = Math.Min(perPiece, destination.Length - done);
                Span<byte> bytes = piece.AsSpan(0, count * size);
                ReadExactly(handle, path, offset + ((long)done * size), bytes);
                FloatConversion.ToSingle(type, bytes, destination.Slice(done, count));
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    /// <summary>Copies <paramref name="length"/> bytes.</summary>
    public static void Copy(SafeFileHandle handle, string path, long offset, long length, Stream destination)
    {
        byte[] piece = ArrayPool<byte>.Shared.Rent((int)Math.Min(PieceLength, length));
        try
        {
            while (length > 0)
            {
                Span<byte> bytes = piece.AsSpan(0, (int)Math.Min(piece.Length, length));
                ReadExactly(handle, path, offset, bytes);
                destination.Write(bytes);
                offset += bytes.Length;
                length -= bytes.Length;
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(piece);
        }
    }

    /// <summary>The number of elements of a shape out of a file, null where a size is negative or the product times <paramref name="elementSize"/> exceeds 64 bits.</summary>
    public static long? Count(ReadOnlySpan<long> shape, int elementSize)
    {
        long count = 1;
        foreach (long size in shape)
        {
            if (size < 0 || (Int128)count * size > long.MaxValue / elementSize)
            {
                return null;
            }

            count *= size;
        }

        return count;
    }

    /// <summary>A new array for a tensor's values.</summary>
    public static float[] NewArray(string path, TensorEntry tensor)
    {
        long count = tensor.Count;
        return count <= Array.MaxLength
            ? GC.AllocateUninitializedArray<float>((int)count)
            : throw new InvalidDataException($"{path}: tensor {JsonFields.Quote(tensor.Name)} has {count} elements, more than an array of .NET holds");
    }

    public static void RequireFloat(string path, TensorEntry tensor)
    {
        if (!tensor.Type.IsFloat())
        {
            throw new InvalidDataException($"{path}: tensor {JsonFields.Quote(tensor.Name)} has type {tensor.Type.ToName()}, expected F32, F16, BF16 or F64");
        }
    }
}
