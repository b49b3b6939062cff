using System.Buffers;
using System.Buffers.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace SimCse.Server.Api;

/// <summary>
/// Vectors in JSON. Nearly all of a large answer is numbers, and the shortest form of one, which the framework looks for, takes it nearly four times as long as eight significant digits, which tell most
/// float32 numbers from their neighbours, or nine, which tell all. So what is written here reads back as the same number, and is 3% longer on average.
/// </summary>
internal sealed class VectorConverter : JsonConverter<float[]>
{
    public override float[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) => throw new NotSupportedException("vectors are only written");

    public override void Write(Utf8JsonWriter writer, float[] value, JsonSerializerOptions options) => VectorJson.Write(writer, value);
}

/// <summary>Writes vectors as JSON arrays.</summary>
internal static class VectorJson
{
    // A sign, "0.", four zeros and nine digits; or what the framework writes, at most "-1.1754944E-38"; and a comma.
    private const int MostBytes = 20;

    private const double Least = 1e-5, Bound = 1e7; // between which numbers are written here

    private static readonly double[] s_powers = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

    /// <summary>The vector as an array of numbers, each of which reads back as the same float32.</summary>
    /// <exception cref="ArgumentException">A component is not a finite number, which JSON cannot say.</exception>
    public static void Write(Utf8JsonWriter writer, ReadOnlySpan<float> vector)
    {
        byte[] text = ArrayPool<byte>.Shared.Rent((vector.Length * MostBytes) + 2);
        try
        {
            int at = 0;
            text[at++] = (byte)'[';
            for (int i = 0; i < vector.Length; i++)
            {
                if (i > 0)
                {
                    text[at++] = (byte)',';
                }

                at += Format(vector[i], text.AsSpan(at));
            }

            text[at++] = (byte)']';
            writer.WriteRawValue(text.AsSpan(0, at), skipInputValidation: true);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(text);
        }
    }

    /// <summary>A number in ASCII.</summary>
    /// <returns>How many bytes it took.</returns>
    public static int Format(float value, Span<byte> text)
    {
        if (!float.IsFinite(value))
        {
            throw new ArgumentException($"a component is {value}; JSON has finite numbers only", nameof(value));
        }

        double magnitude = Math.Abs(value);
        if (magnitude is < Least or >= Bound)
        {
            Utf8Formatter.TryFormat(value, text, out int written);
            return written;
        }

        int exponent = 6; // of the first digit
        while (magnitude < s_powers[exponent + 5])
        {
            exponent--;
        }

        // Within half a unit in the last place lie all numbers that read back as this one. A power of two has a nearer neighbour below it.
        int bits = BitConverter.SingleToInt32Bits((float)magnitude);
        double unit = BitConverter.Int64BitsToDouble(((bits >> 23) - 127 - 23 + 1023L) << 52);
        double near = 0.49 * ((bits & 0x7FFFFF) == 0 ? unit / 2 : unit);
        int decimals = 7 - exponent;
        double power = s_powers[decimals + 5];
        uint digits = (uint)((magnitude * power) + 0.5);
        if (Math.Abs((digits / power) - magnitude) > near)
        {
            decimals++;
            digits = (uint)((magnitude * s_powers[decimals + 5]) + 0.5);
        }

        while (decimals > 0 && digits % 10 == 0)
        {
            digits /= 10;
            decimals--;
        }

        int at = 0;
        if (value < 0)
        {
            text[at++] = (byte)'-';
        }

        if (exponent < 0)
        {
            text[at++] = (byte)'0';
            text[at++] = (byte)'.';
            text.Slice(at, -1 - exponent).Fill((byte)'0');
            at += -1 - exponent;
            Utf8Formatter.TryFormat(digits, text[at..], out int fraction);
            return at + fraction;
        }

        Utf8Formatter.TryFormat(digits, text[at..], out int count);
        if (decimals > 0)
        {
            text.Slice(at + count - decimals, decimals).CopyTo(text[(at + count - decimals + 1)..]);
            text[at + count - decimals] = (byte)'.';
            count++;
        }

        return at + count;
    }
}
