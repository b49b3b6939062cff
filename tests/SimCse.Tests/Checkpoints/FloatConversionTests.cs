using System.Runtime.InteropServices;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class FloatConversionTests
{
    [Fact]
    public void Every_F16_pattern_widens_as_System_Half_does()
    {
        ushort[] patterns = Patterns();
        float[] widened = new float[patterns.Length];

        FloatConversion.ToSingle(TensorType.F16, MemoryMarshal.AsBytes<ushort>(patterns), widened);

        for (int i = 0; i < patterns.Length; i++)
        {
            Assert.Equal((float)BitConverter.UInt16BitsToHalf(patterns[i]), widened[i]);
        }
    }

    [Fact]
    public void Every_BF16_pattern_widens_to_sign_times_power_times_mantissa()
    {
        ushort[] patterns = Patterns();
        float[] widened = new float[patterns.Length];

        FloatConversion.ToSingle(TensorType.BF16, MemoryMarshal.AsBytes<ushort>(patterns), widened);

        for (int i = 0; i < patterns.Length; i++)
        {
            int exponent = (patterns[i] >> 7) & 0xFF;
            int mantissa = patterns[i] & 0x7F;
            double sign = (patterns[i] & 0x8000) == 0 ? 1 : -1;
            double expected = sign * (exponent, mantissa) switch
            {
                (0xFF, 0) => double.PositiveInfinity,
                (0xFF, _) => double.NaN,
                (0, _) => Math.Pow(2, -126) * mantissa / 128,
                _ => Math.Pow(2, exponent - 127) * (1 + (mantissa / 128.0)),
            };
            Assert.Equal((float)expected, widened[i]);
        }
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Every_pattern_that_is_a_number_comes_back_from_float32_as_it_was(TensorType type)
    {
        ushort[] patterns = Patterns();
        float[] widened = new float[patterns.Length];
        FloatConversion.ToSingle(type, MemoryMarshal.AsBytes<ushort>(patterns), widened);
        ushort[] back = new ushort[patterns.Length];

        int tooLarge = FloatConversion.FromSingle(type, widened, MemoryMarshal.AsBytes(back.AsSpan()));

        Assert.Equal(-1, tooLarge);
        float[] again = new float[patterns.Length];
        FloatConversion.ToSingle(type, MemoryMarshal.AsBytes(back.AsSpan()), again);
        for (int i = 0; i < patterns.Length; i++)
        {
            Assert.True(float.IsNaN(widened[i]) ? float.IsNaN(again[i]) : patterns[i] == back[i], $"pattern {patterns[i]:x4}");
        }
    }

    [Fact]
    public void Float32_rounds_to_the_nearest_BF16_and_ties_to_even()
    {
        // Neighbours of 1 in BF16 are 1/128 apart.
        float[] values = [1 + (0.49f / 128), 1 + (0.5f / 128), 1 + (0.51f / 128), 1 + (1.5f / 128), -1 - (0.5f / 128)];
        float[] expected = [1, 1, 1 + (1f / 128), 1 + (2f / 128), -1];
        byte[] stored = new byte[values.Length * 2];

        Assert.Equal(-1, FloatConversion.FromSingle(TensorType.BF16, values, stored));

        float[] back = new float[values.Length];
        FloatConversion.ToSingle(TensorType.BF16, stored, back);
        Assert.Equal(expected, back);
    }

    [Theory]
    [InlineData(TensorType.F16, 65519.996f, -1)]
    [InlineData(TensorType.F16, 65520f, 1)]
    [InlineData(TensorType.F16, float.PositiveInfinity, -1)]
    [InlineData(TensorType.BF16, 3.38e38f, -1)]
    [InlineData(TensorType.BF16, float.MaxValue, 1)]
    public void A_finite_value_that_would_become_infinite_is_told(TensorType type, float value, int expected) =>
        Assert.Equal(expected, FloatConversion.FromSingle(type, [0, value], new byte[4]));

    [Fact]
    public void F64_rounds_to_the_nearest_float32()
    {
        double[] values = [Math.PI, 1e300, -1e-300, double.NaN];
        float[] narrowed = new float[4];

        FloatConversion.ToSingle(TensorType.F64, MemoryMarshal.AsBytes<double>(values), narrowed);

        Assert.Equal([MathF.PI, float.PositiveInfinity, -0f, float.NaN], narrowed);
    }

    private static ushort[] Patterns() => [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
}
