using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SimCse.Training.Kernels;

/// <summary>
/// The innermost piece of a float32 matrix product, C[r, 0…31] (+)= Σ_k A[r, k] · B[k, 0…31] for 12, 4 or 1 rows r: all sums stay in registers, each step of k loads 32 values
/// of B and multiplies them with one value of A a row. In registers of 512 bits where there is AVX-512, of 256 elsewhere.
/// </summary>
/// <remarks>After K. Goto, R. van de Geijn: Anatomy of High-Performance Matrix Multiplication, ACM TOMS 2008, which names the loops around it (<see cref="MatrixProduct"/>).</remarks>
internal static unsafe class Fp32Tile
{
    /// <summary>One tile.</summary>
    /// <param name="rows">12, 4 or 1.</param>
    /// <param name="a">A[r, k] is at a[r · rowStride + k · depthStride].</param>
    /// <param name="b">B[k, j] is at b[k · bStride + j].</param>
    /// <param name="depth">How many k.</param>
    /// <param name="c">C[r, j] is at c[r · cStride + j].</param>
    /// <param name="accumulate">Whether C is added to, or overwritten.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Multiply(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        if (!Avx512F.IsSupported)
        {
            Narrow(rows, a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
        }
        else if (rows == 12)
        {
            Rows12(a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
        }
        else if (rows == 4)
        {
            Rows4(a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
        }
        else
        {
            Rows1(a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
        }
    }

    /// <summary>The same in pieces of at most 6 rows × 16 columns, which fit 16 registers of 256 bits.</summary>
    internal static void Narrow(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        for (int column = 0; column < 32; column += 16)
        {
            int row = 0;
            for (; row + 6 <= rows; row += 6)
            {
                Narrow6(a + (row * rowStride), rowStride, depthStride, b + column, bStride, depth, c + (row * cStride) + column, cStride, accumulate);
            }

            for (; row < rows; row++)
            {
                Narrow1(a + (row * rowStride), depthStride, b + column, bStride, depth, c + (row * cStride) + column, accumulate);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows12(float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        Vector512<float> x0 = default, y0 = default, x1 = default, y1 = default, x2 = default, y2 = default, x3 = default, y3 = default, x4 = default, y4 = default, x5 = default, y5 = default, x6 = default, y6 = default, x7 = default, y7 = default, x8 = default, y8 = default, x9 = default, y9 = default, x10 = default, y10 = default, x11 = default, y11 = default;
        float* a1 = a + (3 * rowStride);
        float* a2 = a + (6 * rowStride);
        float* a3 = a + (9 * rowStride);
        nint twoRows = 2 * rowStride;
        for (; depth > 0; depth--)
        {
            Vector512<float> left = Vector512.Load(b), right = Vector512.Load(b + 16);
            Vector512<float> v0 = Vector512.Create(a[0]);
            (x0, y0) = (Vector512.FusedMultiplyAdd(left, v0, x0), Vector512.FusedMultiplyAdd(right, v0, y0));
            Vector512<float> v1 = Vector512.Create(a[rowStride]);
            (x1, y1) = (Vector512.FusedMultiplyAdd(left, v1, x1), Vector512.FusedMultiplyAdd(right, v1, y1));
            Vector512<float> v2 = Vector512.Create(a[twoRows]);
            (x2, y2) = (Vector512.FusedMultiplyAdd(left, v2, x2), Vector512.FusedMultiplyAdd(right, v2, y2));
            Vector512<float> v3 = Vector512.Create(a1[0]);
            (x3, y3) = (Vector512.FusedMultiplyAdd(left, v3, x3), Vector512.FusedMultiplyAdd(right, v3, y3));
            Vector512<float> v4 = Vector512.Create(a1[rowStride]);
            (x4, y4) = (Vector512.FusedMultiplyAdd(left, v4, x4), Vector512.FusedMultiplyAdd(right, v4, y4));
            Vector512<float> v5 = Vector512.Create(a1[twoRows]);
            (x5, y5) = (Vector512.FusedMultiplyAdd(left, v5, x5), Vector512.FusedMultiplyAdd(right, v5, y5));
            Vector512<float> v6 = Vector512.Create(a2[0]);
            (x6, y6) = (Vector512.FusedMultiplyAdd(left, v6, x6), Vector512.FusedMultiplyAdd(right, v6, y6));
            Vector512<float> v7 = Vector512.Create(a2[rowStride]);
            (x7, y7) = (Vector512.FusedMultiplyAdd(left, v7, x7), Vector512.FusedMultiplyAdd(right, v7, y7));
            Vector512<float> v8 = Vector512.Create(a2[twoRows]);
            (x8, y8) = (Vector512.FusedMultiplyAdd(left, v8, x8), Vector512.FusedMultiplyAdd(right, v8, y8));
            Vector512<float> v9 = Vector512.Create(a3[0]);
            (x9, y9) = (Vector512.FusedMultiplyAdd(left, v9, x9), Vector512.FusedMultiplyAdd(right, v9, y9));
            Vector512<float> v10 = Vector512.Create(a3[rowStride]);
            (x10, y10) = (Vector512.FusedMultiplyAdd(left, v10, x10), Vector512.FusedMultiplyAdd(right, v10, y10));
            Vector512<float> v11 = Vector512.Create(a3[twoRows]);
            (x11, y11) = (Vector512.FusedMultiplyAdd(left, v11, x11), Vector512.FusedMultiplyAdd(right, v11, y11));
            a += depthStride;
            a1 += depthStride;
            a2 += depthStride;
            a3 += depthStride;
            b += bStride;
        }

        Store(c, x0, y0, accumulate);
        Store(c + cStride, x1, y1, accumulate);
        Store(c + (2 * cStride), x2, y2, accumulate);
        Store(c + (3 * cStride), x3, y3, accumulate);
        Store(c + (4 * cStride), x4, y4, accumulate);
        Store(c + (5 * cStride), x5, y5, accumulate);
        Store(c + (6 * cStride), x6, y6, accumulate);
        Store(c + (7 * cStride), x7, y7, accumulate);
        Store(c + (8 * cStride), x8, y8, accumulate);
        Store(c + (9 * cStride), x9, y9, accumulate);
        Store(c + (10 * cStride), x10, y10, accumulate);
        Store(c + (11 * cStride), x11, y11, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows4(float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        Vector512<float> x0 = default, y0 = default, x1 = default, y1 = default, x2 = default, y2 = default, x3 = default, y3 = default;
        float* a1 = a + (3 * rowStride);
        nint twoRows = 2 * rowStride;
        for (; depth > 0; depth--)
        {
            Vector512<float> left = Vector512.Load(b), right = Vector512.Load(b + 16);
            Vector512<float> v0 = Vector512.Create(a[0]);
            (x0, y0) = (Vector512.FusedMultiplyAdd(left, v0, x0), Vector512.FusedMultiplyAdd(right, v0, y0));
            Vector512<float> v1 = Vector512.Create(a[rowStride]);
            (x1, y1) = (Vector512.FusedMultiplyAdd(left, v1, x1), Vector512.FusedMultiplyAdd(right, v1, y1));
            Vector512<float> v2 = Vector512.Create(a[twoRows]);
            (x2, y2) = (Vector512.FusedMultiplyAdd(left, v2, x2), Vector512.FusedMultiplyAdd(right, v2, y2));
            Vector512<float> v3 = Vector512.Create(a1[0]);
            (x3, y3) = (Vector512.FusedMultiplyAdd(left, v3, x3), Vector512.FusedMultiplyAdd(right, v3, y3));
            a += depthStride;
            a1 += depthStride;
            b += bStride;
        }

        Store(c, x0, y0, accumulate);
        Store(c + cStride, x1, y1, accumulate);
        Store(c + (2 * cStride), x2, y2, accumulate);
        Store(c + (3 * cStride), x3, y3, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Rows1(float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        Vector512<float> x0 = default, y0 = default;
        for (; depth > 0; depth--)
        {
            Vector512<float> left = Vector512.Load(b), right = Vector512.Load(b + 16);
            Vector512<float> v0 = Vector512.Create(a[0]);
            (x0, y0) = (Vector512.FusedMultiplyAdd(left, v0, x0), Vector512.FusedMultiplyAdd(right, v0, y0));
            a += depthStride;
            b += bStride;
        }

        Store(c, x0, y0, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, Vector512<float> left, Vector512<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector512.Load(c);
            right += Vector512.Load(c + 16);
        }

        left.Store(c);
        right.Store(c + 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow6(float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        Vector256<float> x0 = default, y0 = default, x1 = default, y1 = default, x2 = default, y2 = default, x3 = default, y3 = default, x4 = default, y4 = default, x5 = default, y5 = default;
        float* low = a + (3 * rowStride);
        nint twoRows = 2 * rowStride;
        for (; depth > 0; depth--)
        {
            Vector256<float> left = Vector256.Load(b), right = Vector256.Load(b + 8), v = Vector256.Create(a[0]);
            (x0, y0) = (Vector256.FusedMultiplyAdd(left, v, x0), Vector256.FusedMultiplyAdd(right, v, y0));
            v = Vector256.Create(a[rowStride]);
            (x1, y1) = (Vector256.FusedMultiplyAdd(left, v, x1), Vector256.FusedMultiplyAdd(right, v, y1));
            v = Vector256.Create(a[twoRows]);
            (x2, y2) = (Vector256.FusedMultiplyAdd(left, v, x2), Vector256.FusedMultiplyAdd(right, v, y2));
            v = Vector256.Create(low[0]);
            (x3, y3) = (Vector256.FusedMultiplyAdd(left, v, x3), Vector256.FusedMultiplyAdd(right, v, y3));
            v = Vector256.Create(low[rowStride]);
            (x4, y4) = (Vector256.FusedMultiplyAdd(left, v, x4), Vector256.FusedMultiplyAdd(right, v, y4));
            v = Vector256.Create(low[twoRows]);
            (x5, y5) = (Vector256.FusedMultiplyAdd(left, v, x5), Vector256.FusedMultiplyAdd(right, v, y5));
            a += depthStride;
            low += depthStride;
            b += bStride;
        }

        Store(c, x0, y0, accumulate);
        Store(c + cStride, x1, y1, accumulate);
        Store(c + (2 * cStride), x2, y2, accumulate);
        Store(c + (3 * cStride), x3, y3, accumulate);
        Store(c + (4 * cStride), x4, y4, accumulate);
        Store(c + (5 * cStride), x5, y5, accumulate);
    }

    private static void Narrow1(float* a, nint depthStride, float* b, nint bStride, nint depth, float* c, bool accumulate)
    {
        Vector256<float> x = default, y = default;
        for (; depth > 0; depth--)
        {
            Vector256<float> v = Vector256.Create(a[0]);
            (x, y) = (Vector256.FusedMultiplyAdd(Vector256.Load(b), v, x), Vector256.FusedMultiplyAdd(Vector256.Load(b + 8), v, y));
            a += depthStride;
            b += bStride;
        }

        Store(c, x, y, accumulate);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* c, Vector256<float> left, Vector256<float> right, bool accumulate)
    {
        if (accumulate)
        {
            left += Vector256.Load(c);
            right += Vector256.Load(c + 8);
        }

        left.Store(c);
        right.Store(c + 8);
    }
}
