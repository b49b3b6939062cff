using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace SimCse.Checkpoints;

/// <summary>Float32 from and to the other float types of checkpoints. Files are little-endian, as is every machine that .NET's inference runs on.</summary>
internal static class FloatConversion
{
    /// <summary>Widens (F16, BF16: exactly; F64: rounds to nearest) the stored elements in <paramref name="source"/>.</summary>
    /// <param name="type">F32, F16, BF16 or F64.</param>
    /// <param name="source">The stored bytes.</param>
    /// <param name="destination">As many values as <paramref name="source"/> holds elements.</param>
    public static void ToSingle(TensorType type, ReadOnlySpan<byte> source, Span<float> destination)
    {
        switch (type)
        {
            case TensorType.F32:
                MemoryMarshal.Cast<byte, float>(source).CopyTo(destination);
                break;
            case TensorType.F16:
                TensorPrimitives.ConvertToSingle(MemoryMarshal.Cast<byte, Half>(source), destination);
                break;
            case TensorType.BF16:
                ReadOnlySpan<ushort> upper = MemoryMarshal.Cast<byte, ushort>(source);
                Span<uint> bits = MemoryMarshal.Cast<float, uint>(destination);
                for (int i = 0; i < upper.Length; i++)
                {
                    bits[i] = (uint)upper[i] << 16;
                }

                break;
            case TensorType.F64:
                ReadOnlySpan<double> doubles = MemoryMarshal.Cast<byte, double>(source);
                for (int i = 0; i < doubles.Length; i++)
                {
                    destination[i] = (float)doubles[i];
                }

                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "not a float type that is read");
        }
    }

    /// <summary>Stores float32 values as <paramref name="type"/>, rounding to nearest, ties to even.</summary>
    /// <param name="type">F32, F16 or BF16.</param>
    /// <param name="source">The values.</param>
    /// <param name="destination">Their stored bytes.</param>
    /// <returns>The index of the first finite value that is too large for the type, −1 where all fit.</returns>
    public static int FromSingle(TensorType type, ReadOnlySpan<float> source, Span<byte> destination)
    {
        switch (type)
        {
            case TensorType.F32:
                MemoryMarshal.AsBytes(source).CopyTo(destination);
                return -1;
            case TensorType.F16:
                Span<Half> halves = MemoryMarshal.Cast<byte, Half>(destination);
                for (int i = 0; i < source.Length; i++)
                {
                    halves[i] = (Half)source[i];
                    if (Half.IsInfinity(halves[i]) && float.IsFinite(source[i]))
                    {
                        return i;
                    }
                }

                return -1;
            case TensorType.BF16:
                Span<ushort> upper = MemoryMarshal.Cast<byte, ushort>(destination);
                for (int i = 0; i < source.Length; i++)
                {
                    upper[i] = ToBFloat16(source[i]);
                    if ((upper[i] & 0x7FFF) == 0x7F80 && float.IsFinite(source[i]))
                    {
                        return i;
                    }
                }

                return -1;
            default:
                throw new ArgumentOutOfRangeException(nameof(type), type, "not a float type that is written; expected F32, F16 or BF16");
        }
    }

    private static ushort ToBFloat16(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        if (float.IsNaN(value))
        {
            return (ushort)((bits >> 16) | 0x40); // rounding could carry a NaN into infinity: keep it quiet instead
        }

        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }
}
