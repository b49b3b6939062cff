namespace SimCse.Checkpoints;

/// <summary>The number types of safetensors, in the order in which its reference library sorts them.</summary>
public enum TensorType
{
    /// <summary>Truth values, a byte each.</summary>
    Bool,

    /// <summary>Unsigned bytes.</summary>
    U8,

    /// <summary>Signed bytes.</summary>
    I8,

    /// <summary>8-bit floats with 5 bits of exponent.</summary>
    F8E5M2,

    /// <summary>8-bit floats with 4 bits of exponent.</summary>
    F8E4M3,

    /// <summary>Powers of two, a byte each.</summary>
    F8E8M0,

    /// <summary>16-bit integers.</summary>
    I16,

    /// <summary>Unsigned 16-bit integers.</summary>
    U16,

    /// <summary>IEEE 754 binary16.</summary>
    F16,

    /// <summary>The upper half of IEEE 754 binary32.</summary>
    BF16,

    /// <summary>32-bit integers.</summary>
    I32,

    /// <summary>Unsigned 32-bit integers.</summary>
    U32,

    /// <summary>IEEE 754 binary32.</summary>
    F32,

    /// <summary>Pairs of binary32: complex numbers.</summary>
    C64,

    /// <summary>IEEE 754 binary64.</summary>
    F64,

    /// <summary>64-bit integers.</summary>
    I64,

    /// <summary>Unsigned 64-bit integers.</summary>
    U64,
}

/// <summary>A tensor that a file holds: its name there, its number type and its shape (empty for a single number).</summary>
/// <param name="Name">The name in the file, prefix included.</param>
/// <param name="Type">How its numbers are stored.</param>
/// <param name="Shape">Its sizes, outermost first; rows × columns for a linear layer's weight (out, in).</param>
public sealed record TensorEntry(string Name, TensorType Type, long[] Shape)
{
    /// <summary>The number of elements: the product of the sizes.</summary>
    /// <exception cref="OverflowException">The product does not fit in 64 bits (never for an entry that was read from a file).</exception>
    public long Count
    {
        get
        {
            long count = 1;
            foreach (long size in Shape)
            {
                count = checked(count * size);
            }

            return count;
        }
    }
}

/// <summary>What is known of each <see cref="TensorType"/>: its name in safetensors headers, its width, and how it becomes float32 and back.</summary>
internal static class TensorTypes
{
    private static readonly (TensorType Type, string Name, int Size)[] s_known =
    [
        (TensorType.Bool, "BOOL", 1),
        (TensorType.U8, "U8", 1),
        (TensorType.I8, "I8", 1),
        (TensorType.F8E5M2, "F8_E5M2", 1),
        (TensorType.F8E4M3, "F8_E4M3", 1),
        (TensorType.F8E8M0, "F8_E8M0", 1),
        (TensorType.I16, "I16", 2),
        (TensorType.U16, "U16", 2),
        (TensorType.F16, "F16", 2),
        (TensorType.BF16, "BF16", 2),
        (TensorType.I32, "I32", 4),
        (TensorType.U32, "U32", 4),
        (TensorType.F32, "F32", 4),
        (TensorType.C64, "C64", 8),
        (TensorType.F64, "F64", 8),
        (TensorType.I64, "I64", 8),
        (TensorType.U64, "U64", 8),
    ];

    /// <summary>Bytes of one element.</summary>
    public static int Size(this TensorType type) => s_known[(int)type].Size;

    /// <summary>The name that safetensors gives the type.</summary>
    public static string ToName(this TensorType type) => s_known[(int)type].Name;

    /// <summary>Whether <see cref="FloatConversion"/> can make float32 of it.</summary>
    public static bool IsFloat(this TensorType type) => type is TensorType.F32 or TensorType.F16 or TensorType.BF16 or TensorType.F64;

    /// <summary>The type of that name, null where there is none.</summary>
    public static TensorType? Find(string name)
    {
        foreach ((TensorType type, string known, _) in s_known)
        {
            if (string.Equals(known, name, StringComparison.Ordinal))
            {
                return type;
            }
        }

        return null;
    }

    /// <summary>A shape as messages show it: <c>[2000, 32]</c>.</summary>
    public static string Show(IReadOnlyList<long> shape) => $"[{string.Join(", ", shape.Take(8))}{(shape.Count > 8 ? ", …" : "")}]";
}
