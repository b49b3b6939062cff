using System.Globalization;
using System.Text;
using System.Text.Json;
using SimCse.Server.Api;

namespace SimCse.Server.Tests;

public sealed class VectorJsonTests
{
    [Theory]
    [InlineData(0f, "0")]
    [InlineData(0.1f, "0.1")]
    [InlineData(-0.5f, "-0.5")]
    [InlineData(1f, "1")]
    [InlineData(-12.5f, "-12.5")]
    [InlineData(1234567f, "1234567")]
    [InlineData(2e-5f, "0.000019999999")]
    [InlineData(0.03125f, "0.03125")]
    [InlineData(0.123456789f, "0.12345679")]
    public void Numbers_have_eight_digits_without_the_zeros_at_their_end(float value, string expected) => Assert.Equal(expected, Text(value));

    [Fact]
    public void Every_number_reads_back_as_itself()
    {
        Random random = new(11);
        byte[] text = new byte[20];
        for (int i = 0; i < 2_000_000; i++)
        {
            // Of any size, then of the sizes that vectors have, then with few digits, then neighbours of powers of two and ten.
            float value = (i % 4) switch
            {
                0 => BitConverter.Int32BitsToSingle(random.Next() | (random.Next(2) << 31)),
                1 => (float)((random.NextDouble() - 0.5) * Math.Pow(10, random.Next(-6, 8))),
                2 => random.Next(-99_999, 100_000) / 10_000f,
                _ => Near(random.Next(2) == 0 ? MathF.ScaleB(1, random.Next(-18, 25)) : MathF.Pow(10, random.Next(-6, 8)), random.Next(-3, 4)),
            };
            if (!float.IsFinite(value))
            {
                continue;
            }

            ReadOnlySpan<byte> written = text.AsSpan(0, VectorJson.Format(value, text));
            if (BitConverter.SingleToInt32Bits(float.Parse(written, NumberStyles.Float, CultureInfo.InvariantCulture)) != BitConverter.SingleToInt32Bits(value))
            {
                Assert.Fail($"{value:R} was written as {Encoding.ASCII.GetString(written)}");
            }
        }

        static float Near(float value, int steps) => BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(value) + steps);
    }

    [Fact]
    public void A_vector_is_a_json_array_and_needs_finite_numbers()
    {
        float[] vector = [0.25f, -3e-9f, 1e20f, float.MinValue, float.Epsilon, -0.99999994f];
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            VectorJson.Write(writer, vector);
        }

        Assert.Equal(vector, JsonSerializer.Deserialize<float[]>(stream.ToArray()));
        Assert.Throws<ArgumentException>(() => VectorJson.Format(float.NaN, new byte[20]));
    }

    private static string Text(float value)
    {
        byte[] text = new byte[20];
        return Encoding.ASCII.GetString(text.AsSpan(0, VectorJson.Format(value, text)));
    }
}
