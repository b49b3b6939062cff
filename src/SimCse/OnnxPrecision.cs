namespace SimCse;

/// <summary>How the weights of an ONNX model are stored and its products computed.</summary>
public enum OnnxPrecision
{
    /// <summary>32-bit floats throughout.</summary>
    Fp32,

    /// <summary>Weights stored as 16-bit floats, half the size, and widened when the model is opened: computed in 32 bits, as fast as <see cref="Fp32"/>.</summary>
    Fp16,

    /// <summary>
    /// Weights as 8-bit integers with a scale a column (a table of embeddings: a row), a quarter of the size. The products of the layers are of 8-bit integers: activations are
    /// rounded as they come, with a scale a token, so that a text's vector does not depend on its batch. About twice as fast on processors with VNNI.
    /// </summary>
    Int8,
}

/// <summary>The names that files and the command line use for <see cref="OnnxPrecision"/>.</summary>
public static class OnnxPrecisionNames
{
    /// <summary>All names, in the order of the enumeration.</summary>
    public static IReadOnlyList<string> All { get; } = ["fp32", "fp16", "int8"];

    /// <summary><c>fp32</c>, <c>fp16</c> or <c>int8</c>.</summary>
    public static string ToName(this OnnxPrecision precision) =>
        Enum.IsDefined(precision) ? All[(int)precision] : throw new ArgumentOutOfRangeException(nameof(precision), precision, "not a precision");

    /// <summary>The precision of that name, null where none has it.</summary>
    public static OnnxPrecision? Find(string name)
    {
        for (int i = 0; i < All.Count; i++)
        {
            if (string.Equals(All[i], name, StringComparison.Ordinal))
            {
                return (OnnxPrecision)i;
            }
        }

        return null;
    }
}
