using System.Numerics.Tensors;

namespace SimCse.Inference;

/// <summary>
/// A matrix in 8-bit integers, symmetric around 0: value = scale · integer, with the integers from −127 to 127 (−128 is left out, so that a
/// value and its negative are equally exact) and one scale for each column or each row, its largest magnitude / 127.
/// </summary>
/// <param name="Values">Row-major, of the shape of the matrix.</param>
/// <param name="Scales">One a column, or one a row.</param>
internal sealed record Int8Matrix(sbyte[] Values, float[] Scales)
{
    /// <summary>The largest integer.</summary>
    public const int Largest = 127;

    /// <summary>One scale a column: for the right side of a product, whose columns are the outputs.</summary>
    public static Int8Matrix ScaledByColumn(ReadOnlySpan<float> values, int rows, int columns)
    {
        float[] scales = new float[columns];
        float[] row = new float[columns];
        for (int r = 0; r < rows; r++)
        {
            TensorPrimitives.MaxMagnitude(scales, values.Slice(r * columns, columns), scales);
        }

        TensorPrimitives.Abs(scales, scales);
        TensorPrimitives.Divide(scales, Largest, scales);
        sbyte[] rounded = new sbyte[values.Length];
        for (int r = 0; r < rows; r++)
        {
            TensorPrimitives.Divide(values.Slice(r * columns, columns), scales, row);
            Round(row, rounded.AsSpan(r * columns, columns));
        }

        return new Int8Matrix(rounded, scales);
    }

    /// <summary>One scale a row: for a table of which rows are looked up.</summary>
    public static Int8Matrix ScaledByRow(ReadOnlySpan<float> values, int rows, int columns)
    {
        float[] scales = new float[rows];
        float[] row = new float[columns];
        sbyte[] rounded = new sbyte[values.Length];
        for (int r = 0; r < rows; r++)
        {
            ReadOnlySpan<float> source = values.Slice(r * columns, columns);
            scales[r] = Math.Abs(TensorPrimitives.MaxMagnitude(source)) / Largest;
            TensorPrimitives.Divide(source, scales[r], row);
            Round(row, rounded.AsSpan(r * columns, columns));
        }

        return new Int8Matrix(rounded, scales);
    }

    /// <summary>To the nearest integer; what a scale of 0 made of 0 is 0.</summary>
    private static void Round(Span<float> source, Span<sbyte> target)
    {
        TensorPrimitives.Round(source, source);
        for (int i = 0; i < source.Length; i++)
        {
            target[i] = float.IsNaN(source[i]) ? (sbyte)0 : (sbyte)Math.Clamp(source[i], -Largest, Largest);
        }
    }
}
