using SimCse.Search;

namespace SimCse.Tests.Search;

public sealed class Int8ProductsTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(32)]
    [InlineData(33)]
    [InlineData(256)]
    [InlineData(384)]
    [InlineData(1000)]
    public unsafe void Products_equal_a_loop_over_integers(int dimensions)
    {
        int width = Int8Products.Width(dimensions);
        Random random = new(dimensions);
        sbyte[] codes = new sbyte[6 * width]; // two queries, four rows
        for (int i = 0; i < codes.Length; i++)
        {
            codes[i] = (sbyte)(i % width < dimensions ? random.Next(4) switch { 0 => 127, 1 => -127, _ => random.Next(-127, 128) } : 0);
        }

        byte[] queries = new byte[2 * width];
        Int8Products.Shifted(codes.AsSpan(0, 2 * width), queries);
        int[] sums = new int[8], expected = new int[8];
        for (int i = 0; i < 8; i++)
        {
            expected[i] = Enumerable.Range(0, width).Sum(j => codes[(i / 4 * width) + j] * codes[((2 + (i % 4)) * width) + j]);
        }

        fixed (byte* query = queries)
        fixed (sbyte* all = codes)
        {
            sbyte* rows = all + (2 * width);
            int RowSum(int row) => Enumerable.Range(0, width).Sum(j => codes[((2 + row) * width) + j]);
            Int8Products.TwoByFour(query, rows, width, sums);
            Assert.Equal(expected, sums.Select((s, i) => s - Int8Products.Excess(RowSum(i % 4))));
            Int8Products.OneByFour(query, rows, rows + width, rows + (2 * width), rows + (3 * width), width, sums);
            Assert.Equal(expected[..4], sums[..4].Select((s, i) => s - Int8Products.Excess(RowSum(i))));
            for (int row = 0; row < 4; row++)
            {
                Assert.Equal(expected[row], Int8Products.One(query, rows + (row * width), RowSum(row), width));
            }
        }
    }

    [Fact]
    public void A_code_times_its_scale_is_the_component_to_half_a_step()
    {
        float[] vector = [.. Enumerable.Range(0, 50).Select(i => MathF.Sin(i) * 0.3f)];
        sbyte[] codes = new sbyte[Int8Products.Width(50)];
        (float scale, int sum) = Int8Products.Quantize(vector, codes);
        Assert.Equal(vector.Max(MathF.Abs) / 127, scale, 1e-9);
        Assert.Equal(codes.Sum(c => c), sum);
        Assert.All(vector.Zip(codes), pair => Assert.InRange(pair.First - (pair.Second * scale), -0.501f * scale, 0.501f * scale));
        Assert.All(codes[50..], c => Assert.Equal(0, c));
        Assert.Equal((0, 0), Int8Products.Quantize(new float[50], codes));
    }
}
