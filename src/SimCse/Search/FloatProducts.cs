using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SimCse.Search;

/// <summary>
/// Dot products of queries with consecutive rows, float32. Every product has one accumulator of 16 lanes and one order of summing, so it has the same bits
/// whatever it is computed together with.
/// </summary>
internal static unsafe class FloatProducts
{
    /// <summary>Rows of one call to <see cref="FourByFour"/>, and queries.</summary>
    public const int Tile = 4;

    /// <summary>q · x.</summary>
    public static float One(float* query, float* row, int dimensions)
    {
        Vector512<float> sum = default;
        int i = 0;
        for (; i <= dimensions - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            sum = Vector512.MultiplyAddEstimate(Vector512.Load(query + i), Vector512.Load(row + i), sum);
        }

        return Finish(sum, query, row, i, dimensions);
    }

    /// <summary>One query with four consecutive rows.</summary>
    public static void OneByFour(float* query, float* rows, int dimensions, Span<float> products)
    {
        float* b = rows + dimensions, c = b + dimensions, d = c + dimensions;
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        int i = 0;
        for (; i <= dimensions - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            Vector512<float> q = Vector512.Load(query + i);
            s0 = Vector512.MultiplyAddEstimate(q, Vector512.Load(rows + i), s0);
            s1 = Vector512.MultiplyAddEstimate(q, Vector512.Load(b + i), s1);
            s2 = Vector512.MultiplyAddEstimate(q, Vector512.Load(c + i), s2);
            s3 = Vector512.MultiplyAddEstimate(q, Vector512.Load(d + i), s3);
        }

        products[0] = Finish(s0, query, rows, i, dimensions);
        products[1] = Finish(s1, query, b, i, dimensions);
        products[2] = Finish(s2, query, c, i, dimensions);
        products[3] = Finish(s3, query, d, i, dimensions);
    }

    /// <summary>Four consecutive queries with four consecutive rows; <paramref name="products"/> has the rows of a query side by side.</summary>
    public static void FourByFour(float* queries, float* rows, int dimensions, Span<float> products)
    {
        float* q1 = queries + dimensions, q2 = q1 + dimensions, q3 = q2 + dimensions;
        float* b = rows + dimensions, c = b + dimensions, d = c + dimensions;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default;
        int i = 0;
        for (; i <= dimensions - Vector512<float>.Count; i += Vector512<float>.Count)
        {
            Vector512<float> x0 = Vector512.Load(rows + i), x1 = Vector512.Load(b + i), x2 = Vector512.Load(c + i), x3 = Vector512.Load(d + i);
            Vector512<float> q = Vector512.Load(queries + i);
            s00 = Vector512.MultiplyAddEstimate(q, x0, s00);
            s01 = Vector512.MultiplyAddEstimate(q, x1, s01);
            s02 = Vector512.MultiplyAddEstimate(q, x2, s02);
            s03 = Vector512.MultiplyAddEstimate(q, x3, s03);
            q = Vector512.Load(q1 + i);
            s10 = Vector512.MultiplyAddEstimate(q, x0, s10);
            s11 = Vector512.MultiplyAddEstimate(q, x1, s11);
            s12 = Vector512.MultiplyAddEstimate(q, x2, s12);
            s13 = Vector512.MultiplyAddEstimate(q, x3, s13);
            q = Vector512.Load(q2 + i);
            s20 = Vector512.MultiplyAddEstimate(q, x0, s20);
            s21 = Vector512.MultiplyAddEstimate(q, x1, s21);
            s22 = Vector512.MultiplyAddEstimate(q, x2, s22);
            s23 = Vector512.MultiplyAddEstimate(q, x3, s23);
            q = Vector512.Load(q3 + i);
            s30 = Vector512.MultiplyAddEstimate(q, x0, s30);
            s31 = Vector512.MultiplyAddEstimate(q, x1, s31);
            s32 = Vector512.MultiplyAddEstimate(q, x2, s32);
            s33 = Vector512.MultiplyAddEstimate(q, x3, s33);
        }

        products[0] = Finish(s00, queries, rows, i, dimensions);
        products[1] = Finish(s01, queries, b, i, dimensions);
        products[2] = Finish(s02, queries, c, i, dimensions);
        products[3] = Finish(s03, queries, d, i, dimensions);
        products[4] = Finish(s10, q1, rows, i, dimensions);
        products[5] = Finish(s11, q1, b, i, dimensions);
        products[6] = Finish(s12, q1, c, i, dimensions);
        products[7] = Finish(s13, q1, d, i, dimensions);
        products[8] = Finish(s20, q2, rows, i, dimensions);
        products[9] = Finish(s21, q2, b, i, dimensions);
        products[10] = Finish(s22, q2, c, i, dimensions);
        products[11] = Finish(s23, q2, d, i, dimensions);
        products[12] = Finish(s30, q3, rows, i, dimensions);
        products[13] = Finish(s31, q3, b, i, dimensions);
        products[14] = Finish(s32, q3, c, i, dimensions);
        products[15] = Finish(s33, q3, d, i, dimensions);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Finish(Vector512<float> sum, float* query, float* row, int from, int dimensions)
    {
        float total = Vector512.Sum(sum);
        for (int i = from; i < dimensions; i++)
        {
            total += query[i] * row[i];
        }

        return total;
    }
}
