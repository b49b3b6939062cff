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
        int width = Int8Products.Width(dimensions), stride = Int8Products.Stride(dimensions);
        Random random = new(dimensions);
        float[][] vectors = [.. Enumerable.Range(0, 6).Select(_ => Enumerable.Range(0, dimensions).Select(i => i == 0 ? 127f : random.Next(-127, 128)).ToArray())]; // two queries, four rows, of scale 1
        byte[] records = new byte[6 * stride], queries = new byte[2 * width];
        for (int i = 0; i < 6; i++)
        {
            Int8Products.WriteRecord(vectors[i], 1, records.AsSpan(i * stride, stride));
        }

        for (int q = 0; q < 2; q++)
        {
            Int8Products.Shifted(records.AsSpan(q * stride, width), queries.AsSpan(q * width, width));
        }

        float[] expected = [.. Enumerable.Range(0, 8).Select(i => vectors[i / 4].Zip(vectors[2 + (i % 4)], (a, b) => a * b).Sum())];
        float[] products = new float[8];
        fixed (byte* query = queries, all = records)
        {
            byte* rows = all + (2 * stride);
            Int8Products.TwoByFour(query, rows, width, stride, products);
            Assert.Equal(expected, products);
            Int8Products.OneByFour(query, rows, rows + stride, rows + (2 * stride), rows + (3 * stride), width, products);
            Assert.Equal(expected[..4], products[..4]);
            for (int row = 0; row < 4; row++)
            {
                Assert.Equal(expected[row], Int8Products.One(query, rows + (row * stride), width));
            }
        }
    }

    [Fact]
    public unsafe void A_code_times_its_scale_is_the_component_to_half_a_step()
    {
        float[] vector = [.. Enumerable.Range(0, 50).Select(i => MathF.Sin(i) * 0.3f)];
        byte[] record = new byte[Int8Products.Stride(50)];
        Int8Products.WriteRecord(vector, 2, record);
        int width = Int8Products.Width(50);
        fixed (byte* r = record)
        {
            float scale = Int8Products.Scale(r, width);
            Assert.Equal(2 * vector.Max(MathF.Abs) / 127, scale, 1e-9);
            Assert.Equal(record[..width].Sum(c => (sbyte)c), Int8Products.Sum(r, width));
            Assert.All(vector.Zip(record), pair => Assert.InRange((2 * pair.First) - ((sbyte)pair.Second * scale), -0.501f * scale, 0.501f * scale));
        }

        Assert.All(record[50..width], c => Assert.Equal(0, c));
        Int8Products.WriteRecord(new float[50], 1, record);
        Assert.All(record, c => Assert.Equal(0, c));
    }
}
