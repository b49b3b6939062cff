using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SimCse.Search;

/// <summary>
/// Vectors in one byte a component, and their dot products. x ≈ s c with c = round(x / s) and s = max|x| / 127, so that q · x ≈ s_q s_x Σ c_q c_x. The products
/// are of integers: the same on every processor.
/// </summary>
/// <remarks>
/// <para>A record is Width(H) bytes of codes, then s as a float32 and Σ c as an int32, padded to whole steps: what a product needs lies side by side.</para>
/// <para>The instruction (VPDPBUSD) multiplies unsigned by signed bytes. A query's codes are therefore shifted by 128, and 128 Σ c_x, which is in the record, is
/// taken off again.</para>
/// </remarks>
internal static unsafe class Int8Products
{
    private const int Step = 32;
    private const byte Shift = 128;

    /// <summary>The bytes that the codes of a vector take: whole steps, the rest zero.</summary>
    public static int Width(int dimensions) => (dimensions + Step - 1) / Step * Step;

    /// <summary>The bytes of a record.</summary>
    public static int Stride(int dimensions) => Width(dimensions) + Step;

    /// <summary>s of a record.</summary>
    public static float Scale(byte* record, int width) => *(float*)(record + width);

    /// <summary>Σ c of a record.</summary>
    public static int Sum(byte* record, int width) => *(int*)(record + width + sizeof(float));

    /// <summary>Writes the record of a vector.</summary>
    /// <param name="vector">H finite components.</param>
    /// <param name="factor">The scale is multiplied by this: 1/‖x‖ makes it the record of the vector at length one.</param>
    /// <param name="record">Stride(H) bytes.</param>
    public static void WriteRecord(ReadOnlySpan<float> vector, float factor, Span<byte> record)
    {
        record.Clear();
        float largest = Math.Abs(TensorPrimitives.MaxMagnitude(vector));
        float inverse = 127 / largest;
        if (!float.IsFinite(inverse))
        {
            return; // no length to speak of: a record of zeros scores zero
        }

        int sum = 0;
        for (int i = 0; i < vector.Length; i++)
        {
            int code = Math.Clamp((int)MathF.Round(vector[i] * inverse), -127, 127);
            record[i] = (byte)code;
            sum += code;
        }

        int width = Width(vector.Length);
        MemoryMarshal.Write(record[width..], largest / 127 * factor);
        MemoryMarshal.Write(record[(width + sizeof(float))..], sum);
    }

    /// <summary>Shifts a vector's codes by 128, as the left side of a product has them.</summary>
    public static void Shifted(ReadOnlySpan<byte> codes, Span<byte> shifted) => TensorPrimitives.Xor(codes, Shift, shifted);

    /// <summary>s_x Σ c_q c_x of a shifted query and a record.</summary>
    public static float One(byte* query, byte* record, int width)
    {
        sbyte* row = (sbyte*)record;

        // Two sums: the instruction takes four cycles, and two can start in each.
        Vector256<int> even = default, odd = default;
        int i = 0;
        for (; i <= width - (2 * Step); i += 2 * Step)
        {
            even = Add(even, Vector256.Load(query + i), Vector256.Load(row + i));
            odd = Add(odd, Vector256.Load(query + i + Step), Vector256.Load(row + i + Step));
        }

        if (i < width)
        {
            even = Add(even, Vector256.Load(query + i), Vector256.Load(row + i));
        }

        return Scale(record, width) * (Vector256.Sum(even + odd) - (Shift * Sum(record, width)));
    }

    /// <summary>One shifted query with four records, wherever they lie.</summary>
    public static void OneByFour(byte* query, byte* a, byte* b, byte* c, byte* d, int width, Span<float> products)
    {
        Vector256<int> s0 = default, s1 = default, s2 = default, s3 = default;
        for (int i = 0; i < width; i += Step)
        {
            Vector256<byte> q = Vector256.Load(query + i);
            s0 = Add(s0, q, Vector256.Load((sbyte*)a + i));
            s1 = Add(s1, q, Vector256.Load((sbyte*)b + i));
            s2 = Add(s2, q, Vector256.Load((sbyte*)c + i));
            s3 = Add(s3, q, Vector256.Load((sbyte*)d + i));
        }

        Finish(Sums(s0, s1, s2, s3), a, b, c, d, width).CopyTo(products);
    }

    /// <summary>Two consecutive shifted queries with four consecutive records; <paramref name="products"/> has the records of a query side by side.</summary>
    public static void TwoByFour(byte* queries, byte* records, int width, int stride, Span<float> products)
    {
        byte* second = queries + width, b = records + stride, c = b + stride, d = c + stride;
        Vector256<int> s0 = default, s1 = default, s2 = default, s3 = default, t0 = default, t1 = default, t2 = default, t3 = default;
        for (int i = 0; i < width; i += Step)
        {
            Vector256<byte> q = Vector256.Load(queries + i), p = Vector256.Load(second + i);
            Vector256<sbyte> x = Vector256.Load((sbyte*)records + i);
            s0 = Add(s0, q, x);
            t0 = Add(t0, p, x);
            x = Vector256.Load((sbyte*)b + i);
            s1 = Add(s1, q, x);
            t1 = Add(t1, p, x);
            x = Vector256.Load((sbyte*)c + i);
            s2 = Add(s2, q, x);
            t2 = Add(t2, p, x);
            x = Vector256.Load((sbyte*)d + i);
            s3 = Add(s3, q, x);
            t3 = Add(t3, p, x);
        }

        Finish(Sums(s0, s1, s2, s3), records, b, c, d, width).CopyTo(products);
        Finish(Sums(t0, t1, t2, t3), records, b, c, d, width).CopyTo(products[4..]);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Finish(Vector128<int> sums, byte* a, byte* b, byte* c, byte* d, int width)
    {
        Vector128<int> excess = Vector128.Create(Sum(a, width), Sum(b, width), Sum(c, width), Sum(d, width)) * Shift;
        return Vector128.ConvertToSingle(sums - excess) * Vector128.Create(Scale(a, width), Scale(b, width), Scale(c, width), Scale(d, width));
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Sums(Vector256<int> a, Vector256<int> b, Vector256<int> c, Vector256<int> d)
    {
        if (Avx2.IsSupported)
        {
            Vector256<int> halves = Avx2.HorizontalAdd(Avx2.HorizontalAdd(a, b), Avx2.HorizontalAdd(c, d));
            return halves.GetLower() + halves.GetUpper();
        }

        return Vector128.Create(Vector256.Sum(a), Vector256.Sum(b), Vector256.Sum(c), Vector256.Sum(d));
    }

    /// <summary>Adds the products of 32 unsigned with 32 signed bytes to eight sums.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Add(Vector256<int> sums, Vector256<byte> query, Vector256<sbyte> row)
    {
        if (AvxVnni.IsSupported)
        {
            return AvxVnni.MultiplyWideningAndAdd(sums, query, row);
        }

        if (Avx512BW.IsSupported)
        {
            Vector512<int> products = Avx512BW.MultiplyAddAdjacent(Avx512BW.ConvertToVector512Int16(query), Avx512BW.ConvertToVector512Int16(row));
            return sums + products.GetLower() + products.GetUpper();
        }

        if (Avx2.IsSupported)
        {
            return sums
                + Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(query.GetLower()), Avx2.ConvertToVector256Int16(row.GetLower()))
                + Avx2.MultiplyAddAdjacent(Avx2.ConvertToVector256Int16(query.GetUpper()), Avx2.ConvertToVector256Int16(row.GetUpper()));
        }

        // A product of two bytes, 128 · 255 at most, fits into 16 bits.
        Vector256<short> low = Vector256.WidenLower(query).AsInt16() * Vector256.WidenLower(row), high = Vector256.WidenUpper(query).AsInt16() * Vector256.WidenUpper(row);
        return sums + Vector256.WidenLower(low) + Vector256.WidenUpper(low) + Vector256.WidenLower(high) + Vector256.WidenUpper(high);
    }
}
