using SimCse.Training.Kernels;
using SimCse.Training.Modeling;
using TorchSharp;

namespace SimCse.Training.Tests;

/// <summary>The pieces of the hand-written encoder against the same in double precision.</summary>
[Collection(nameof(ThreadCount))]
public unsafe class KernelTests
{
    public static TheoryData<int, int, int> Sizes => new()
    {
        { 1, 1, 1 }, { 12, 32, 64 }, { 13, 33, 7 }, { 25, 8, 25 }, { 31, 40, 300 }, { 7, 96, 513 }, { 40, 31, 0 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_product_of_packed_rows_equals_the_sum_in_double(int rows, int columns, int depth)
    {
        float[] a = Random(1, rows * depth), b = Random(2, depth * columns), start = Random(3, rows * columns);
        double[] exact = Exact(a, b, rows, columns, depth);
        float[] panels = new float[Panels.Words(depth, columns)];
        fixed (float* pa = a, pb = b, pp = panels)
        {
            MatrixProduct.PackRows(Precision.Fp32, pb, columns, depth, columns, pp, depth);
            Check(Precision.Fp32, rows, pa, depth, 1, Panels.At(pp, depth, columns), depth, start, exact, 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_product_of_packed_columns_equals_the_sum_in_double(int rows, int columns, int depth)
    {
        float[] a = Random(1, rows * depth), b = Random(2, depth * columns), transposed = new float[depth * columns], start = Random(3, rows * columns);
        for (int k = 0; k < depth; k++)
        {
            for (int j = 0; j < columns; j++)
            {
                transposed[(j * depth) + k] = b[(k * columns) + j];
            }
        }

        double[] exact = Exact(a, b, rows, columns, depth);
        float[] panels = new float[Panels.Words(depth, columns)];
        fixed (float* pa = a, pb = transposed, pp = panels)
        {
            MatrixProduct.PackColumns(Precision.Fp32, pb, depth, columns, depth, pp, null);
            Check(Precision.Fp32, rows, pa, depth, 1, Panels.At(pp, depth, columns), depth, start, exact, 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_transposed_left_side_gives_the_same(int rows, int columns, int depth)
    {
        float[] a = Random(1, rows * depth), b = Random(2, depth * columns), start = Random(3, rows * columns);
        double[] exact = Exact(a, b, rows, columns, depth);
        float[] panels = new float[Panels.Words(depth, columns)], left = new float[(depth + 1) * rows], byDepth = new float[depth * rows];
        for (int i = 0; i < rows * depth; i++)
        {
            byDepth[(i % Math.Max(depth, 1) * rows) + (i / Math.Max(depth, 1))] = a[i];
        }

        fixed (float* pa = byDepth, pb = b, pp = panels, pl = left)
        {
            MatrixProduct.PackRows(Precision.Fp32, pb, columns, depth, columns, pp, depth);
            MatrixProduct.CopyRows(Precision.Fp32, pa, rows, depth, rows, pl, rows);
            Check(Precision.Fp32, rows, pl, 1, rows, Panels.At(pp, depth, columns), depth, start, exact, 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Bfloat16_products_are_those_of_the_rounded_factors_in_every_packing(int rows, int columns, int depth)
    {
        if (!Precisions.HasBf16)
        {
            Assert.Skip("this processor has no AVX512_BF16");
        }

        float[] a = Random(1, rows * depth), b = Random(2, depth * columns), start = Random(3, rows * columns), transposed = new float[depth * columns], byDepth = new float[depth * rows];
        double[] exact = Exact([.. a.Select(Rounded)], [.. b.Select(Rounded)], rows, columns, depth);
        for (int k = 0; k < depth; k++)
        {
            for (int j = 0; j < columns; j++)
            {
                transposed[(j * depth) + k] = b[(k * columns) + j];
            }

            for (int i = 0; i < rows; i++)
            {
                byDepth[(k * rows) + i] = a[(i * depth) + k];
            }
        }

        int words = MatrixProduct.DepthWords(depth, Precision.Bf16);
        float[] panels = new float[Panels.Words(words, columns)], left = new float[Math.Max(1, rows * words)], scratch = new float[Panels.Width * Math.Max(1, words)];
        fixed (float* pa = a, pb = b, pt = transposed, pp = panels, pl = left, ps = scratch, pd = byDepth)
        {
            MatrixProduct.ToBf16(pa, depth, rows, depth, pl, words);
            MatrixProduct.PackRows(Precision.Bf16, pb, columns, depth, columns, pp, words);
            Check(Precision.Bf16, rows, pl, words, 1, Panels.At(pp, words, columns), words, start, exact, 1e-6);
            Array.Clear(panels);
            MatrixProduct.PackColumns(Precision.Bf16, pt, depth, columns, depth, pp, ps);
            Check(Precision.Bf16, rows, pl, words, 1, Panels.At(pp, words, columns), words, start, exact, 1e-6);
            MatrixProduct.CopyRows(Precision.Bf16, pd, rows, depth, rows, pl, rows);
            Check(Precision.Bf16, rows, pl, 1, rows, Panels.At(pp, words, columns), words, start, exact, 1e-6);
        }
    }

    [Theory]
    [InlineData(12)]
    [InlineData(4)]
    [InlineData(1)]
    public void The_tile_in_256_bits_equals_the_sum_in_double(int rows)
    {
        const int Depth = 50;
        float[] a = Random(1, rows * Depth), b = Random(2, Depth * 32), c = Random(3, rows * 32), start = [.. c];
        double[] exact = Exact(a, b, rows, 32, Depth);
        fixed (float* pa = a, pb = b, pc = c)
        {
            Fp32Tile.Narrow(rows, pa, Depth, 1, pb, 32, Depth, pc, 32, accumulate: true);
        }

        Assert.All(Enumerable.Range(0, c.Length), i => Assert.Equal(exact[i] + start[i], c[i], 2e-5));
    }

    [Fact]
    public void Exp_is_within_two_units_of_the_last_place()
    {
        for (double x = -87.2; x < 88; x += 0.0137)
        {
            float actual = VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create((float)x))[0];
            double exact = Math.Exp((float)x);
            Assert.True(Math.Abs(actual - exact) <= 2.4e-7 * exact, $"exp({x}) = {actual}, exactly {exact}");
        }

        Assert.Equal(0, VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create(float.NegativeInfinity))[0]);
        Assert.True(float.IsNaN(VectorMath.Exp(System.Runtime.Intrinsics.Vector512.Create(float.NaN))[0]));
    }

    /// <summary>Φ from its own series, Φ(x) = ½ + φ(x) Σ x^{2k+1} / (1·3·5···(2k+1)), Abramowitz and Stegun 26.2.11; in the tail the continued fraction 26.2.14.</summary>
    [Fact]
    public void The_normal_distribution_and_its_density_are_exact_to_float()
    {
        for (double at = -9; at <= 9; at += 0.00917)
        {
            float x = (float)at;
            double size = Math.Abs((double)x), density = Math.Exp(-(double)x * x / 2) / Math.Sqrt(2 * Math.PI), tail;
            if (size < 3)
            {
                double term = size, sum = size;
                for (int k = 1; k < 200; k++)
                {
                    term *= size * size / ((2 * k) + 1);
                    sum += term;
                }

                tail = 0.5 - (density * sum);
            }
            else
            {
                double fraction = size;
                for (int k = 200; k > 0; k--)
                {
                    fraction = size + (k / fraction);
                }

                tail = density / fraction;
            }

            double exact = x < 0 ? tail : 1 - tail;
            (System.Runtime.Intrinsics.Vector512<float> distribution, System.Runtime.Intrinsics.Vector512<float> actual) = VectorMath.Normal(System.Runtime.Intrinsics.Vector512.Create(x));
            Assert.True(Math.Abs(distribution[0] - exact) <= Math.Max(6e-7 * exact * (1 + (size * size / 8)), 1e-30), $"Φ({x}) = {distribution[0]}, exactly {exact}");
            Assert.True(Math.Abs(actual[0] - density) <= Math.Max(6e-7 * density * (1 + (size * size / 8)), 1e-30), $"φ({x}) = {actual[0]}, exactly {density}");
        }
    }

    [Fact]
    public void Work_is_done_once_on_any_number_of_threads_and_a_failure_reaches_the_caller()
    {
        int before = torch.get_num_threads();
        try
        {
            foreach (int threads in new[] { 1, 2, 3, 2 })
            {
                torch.set_num_threads(threads);
                for (int round = 0; round < 300; round++)
                {
                    int[] done = new int[round % 17];
                    WorkerThreads.Run(done.Length, (item, worker) =>
                    {
                        Assert.InRange(worker, 0, threads - 1);
                        Interlocked.Increment(ref done[item]);
                    });
                    Assert.All(done, d => Assert.Equal(1, d));
                }

                Exception failure = Assert.ThrowsAny<Exception>(() => WorkerThreads.Run(20, (item, _) => throw new InvalidDataException("item")));
                Assert.Equal("item", (failure.InnerException ?? failure).Message);
            }
        }
        finally
        {
            torch.set_num_threads(before);
        }
    }

    private static void Check(Precision precision, int rows, float* a, nint rowStride, nint depthStride, Panels b, int depthWords, float[] start, double[] exact, double tolerance)
    {
        foreach (bool accumulate in new[] { false, true })
        {
            float[] c = [.. start];
            fixed (float* pc = c)
            {
                MatrixProduct.Multiply(precision, rows, a, rowStride, depthStride, b, depthWords, pc, b.Columns, accumulate);
            }

            for (int i = 0; i < c.Length; i++)
            {
                double expected = exact[i] + (accumulate ? start[i] : 0);
                Assert.True(Math.Abs(expected - c[i]) <= tolerance * (4 + Math.Sqrt(2 * depthWords)), $"element {i}: {c[i]}, expected {expected}");
            }
        }
    }

    private static double[] Exact(float[] a, float[] b, int rows, int columns, int depth)
    {
        double[] c = new double[rows * columns];
        for (int i = 0; i < rows; i++)
        {
            for (int k = 0; k < depth; k++)
            {
                for (int j = 0; j < columns; j++)
                {
                    c[(i * columns) + j] += (double)a[(i * depth) + k] * b[(k * columns) + j];
                }
            }
        }

        return c;
    }

    private static float[] Random(int seed, int count) => new CounterRandom(seed, 77).Normal(count, 1);

    /// <summary>To the nearest bfloat16, ties to even.</summary>
    private static float Rounded(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        uint lower = bits & 0xFFFF, upper = bits & 0xFFFF0000;
        bool up = lower > 0x8000 || (lower == 0x8000 && (upper & 0x10000) != 0);
        return BitConverter.UInt32BitsToSingle(upper + (up ? 0x10000u : 0));
    }
}
