using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace SimCse.Evaluation;

/// <summary>n vectors of unit length (a zero vector stays zero), and fast dot products of one row against many.</summary>
internal sealed class UnitVectors
{
    private readonly float[] _values;

    /// <exception cref="InvalidDataException">A vector holds a component that is not a finite number.</exception>
    public UnitVectors(EmbeddingMatrix vectors)
    {
        Count = vectors.Count;
        Dimensions = vectors.Dimensions;
        _values = new float[vectors.Values.Length];
        for (int row = 0; row < Count; row++)
        {
            ReadOnlySpan<float> from = vectors[row];
            double squares = 0;
            foreach (float value in from)
            {
                squares += (double)value * value;
            }

            if (!double.IsFinite(squares))
            {
                throw new InvalidDataException($"vector {row} (of {Count}, counted from 0) holds a component that is not a finite number");
            }

            double scale = squares > 0 ? 1 / Math.Sqrt(squares) : 0;
            Span<float> to = _values.AsSpan(row * Dimensions, Dimensions);
            for (int i = 0; i < to.Length; i++)
            {
                to[i] = (float)(from[i] * scale);
            }
        }
    }

    public int Count { get; }

    public int Dimensions { get; }

    public ReadOnlySpan<float> this[int row] => _values.AsSpan(row * Dimensions, Dimensions);

    /// <summary>result[k] = row · this[first + k]. Every product is summed in the same order, so equal rows give equal products.</summary>
    /// <param name="row">H components.</param>
    /// <param name="first">The first of the rows to multiply with.</param>
    /// <param name="result">As many products as it holds.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Dot(ReadOnlySpan<float> row, int first, Span<float> result)
    {
        int width = Vector<float>.Count;
        int whole = Dimensions / width;
        ReadOnlySpan<Vector<float>> x = MemoryMarshal.Cast<float, Vector<float>>(row)[..whole];
        int k = 0;
        for (; k + 4 <= result.Length; k += 4)
        {
            ReadOnlySpan<float> row0 = this[first + k], row1 = this[first + k + 1], row2 = this[first + k + 2], row3 = this[first + k + 3];
            ReadOnlySpan<Vector<float>> a = MemoryMarshal.Cast<float, Vector<float>>(row0)[..x.Length];
            ReadOnlySpan<Vector<float>> b = MemoryMarshal.Cast<float, Vector<float>>(row1)[..x.Length];
            ReadOnlySpan<Vector<float>> c = MemoryMarshal.Cast<float, Vector<float>>(row2)[..x.Length];
            ReadOnlySpan<Vector<float>> d = MemoryMarshal.Cast<float, Vector<float>>(row3)[..x.Length];
            Vector<float> sumA = default, sumB = default, sumC = default, sumD = default;
            for (int i = 0; i < x.Length; i++)
            {
                Vector<float> at = x[i];
                sumA = Vector.FusedMultiplyAdd(at, a[i], sumA);
                sumB = Vector.FusedMultiplyAdd(at, b[i], sumB);
                sumC = Vector.FusedMultiplyAdd(at, c[i], sumC);
                sumD = Vector.FusedMultiplyAdd(at, d[i], sumD);
            }

            result[k] = Finish(sumA, row, row0, whole * width);
            result[k + 1] = Finish(sumB, row, row1, whole * width);
            result[k + 2] = Finish(sumC, row, row2, whole * width);
            result[k + 3] = Finish(sumD, row, row3, whole * width);
        }

        for (; k < result.Length; k++)
        {
            ReadOnlySpan<float> other = this[first + k];
            ReadOnlySpan<Vector<float>> a = MemoryMarshal.Cast<float, Vector<float>>(other)[..x.Length];
            Vector<float> sum = default;
            for (int i = 0; i < x.Length; i++)
            {
                sum = Vector.FusedMultiplyAdd(x[i], a[i], sum);
            }

            result[k] = Finish(sum, row, other, whole * width);
        }
    }

    private static float Finish(Vector<float> lanes, ReadOnlySpan<float> x, ReadOnlySpan<float> y, int from)
    {
        float sum = Vector.Sum(lanes);
        for (int i = from; i < x.Length; i++)
        {
            sum += x[i] * y[i];
        }

        return sum;
    }
}
