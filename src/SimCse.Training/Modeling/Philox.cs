using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace SimCse.Training.Modeling;

/// <summary>
/// Philox4x32-10, a counter-based random number generator: four 32-bit words that are a pure function of a 128-bit counter and a 64-bit key.
/// Nothing is stored between calls, so any stretch of the stream can be made again at any time, on any thread.
/// </summary>
/// <remarks>J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel Random Numbers: As Easy as 1, 2, 3. SC 2011.</remarks>
internal static class Philox
{
    private const uint Multiplier0 = 0xD2511F53, Multiplier1 = 0xCD9E8D57;
    private const uint Weyl0 = 0x9E3779B9, Weyl1 = 0xBB67AE85;
    private const int Rounds = 10;

    /// <summary>How many consecutive counters <see cref="Block"/> takes, and a quarter of the words it gives.</summary>
    public const int Lanes = 16;

    /// <summary>The number of 32-bit words of one <see cref="Block"/>.</summary>
    public const int BlockWords = 4 * Lanes;

    /// <summary>The four words of one counter.</summary>
    public static (uint X0, uint X1, uint X2, uint X3) Words(uint c0, uint c1, uint c2, uint c3, uint k0, uint k1)
    {
        for (int round = 0; round < Rounds; round++)
        {
            ulong p0 = (ulong)Multiplier0 * c0, p1 = (ulong)Multiplier1 * c2;
            (c0, c1, c2, c3) = ((uint)(p1 >> 32) ^ c1 ^ k0, (uint)p1, (uint)(p0 >> 32) ^ c3 ^ k1, (uint)p0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        return (c0, c1, c2, c3);
    }

    /// <summary>
    /// The words of the 16 counters (16·<paramref name="block"/> + lane, c1, c2, c3): word w of lane l stands at <paramref name="words"/>[16·w + l].
    /// The same numbers on every processor; vectors of 16 lanes where there is AVX-512, of 8 where there is AVX2.
    /// </summary>
    /// <param name="block">Which stretch of 64 words of the stream; below 2²⁸.</param>
    /// <param name="words">Room for <see cref="BlockWords"/> words.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Block(uint block, uint c1, uint c2, uint c3, uint k0, uint k1, Span<uint> words)
    {
        if (Avx512F.IsSupported)
        {
            Block512(block, c1, c2, c3, k0, k1, words);
        }
        else if (Avx2.IsSupported)
        {
            Block256(block, 0, c1, c2, c3, k0, k1, words);
            Block256(block, 8, c1, c2, c3, k0, k1, words);
        }
        else
        {
            BlockScalar(block, c1, c2, c3, k0, k1, words);
        }
    }

    internal static void BlockScalar(uint block, uint c1, uint c2, uint c3, uint k0, uint k1, Span<uint> words)
    {
        for (int lane = 0; lane < Lanes; lane++)
        {
            (words[lane], words[Lanes + lane], words[(2 * Lanes) + lane], words[(3 * Lanes) + lane]) =
                Words((block * Lanes) + (uint)lane, c1, c2, c3, k0, k1);
        }
    }

    internal static void Block256(uint block, int firstLane, uint c1, uint c2, uint c3, uint k0, uint k1, Span<uint> words)
    {
        Vector256<uint> x0 = Vector256.Create((block * Lanes) + (uint)firstLane) + Vector256<uint>.Indices;
        Vector256<uint> x1 = Vector256.Create(c1), x2 = Vector256.Create(c2), x3 = Vector256.Create(c3);
        Vector256<uint> m0 = Vector256.Create(Multiplier0), m1 = Vector256.Create(Multiplier1);
        for (int round = 0; round < Rounds; round++)
        {
            (Vector256<uint> low0, Vector256<uint> high0) = Multiply(x0, m0);
            (Vector256<uint> low1, Vector256<uint> high1) = Multiply(x2, m1);
            x0 = high1 ^ x1 ^ Vector256.Create(k0);
            x1 = low1;
            x2 = high0 ^ x3 ^ Vector256.Create(k1);
            x3 = low0;
            k0 += Weyl0;
            k1 += Weyl1;
        }

        x0.CopyTo(words[firstLane..]);
        x1.CopyTo(words[(Lanes + firstLane)..]);
        x2.CopyTo(words[((2 * Lanes) + firstLane)..]);
        x3.CopyTo(words[((3 * Lanes) + firstLane)..]);

        static (Vector256<uint> Low, Vector256<uint> High) Multiply(Vector256<uint> a, Vector256<uint> b)
        {
            Vector256<uint> even = Avx2.Multiply(a, b).AsUInt32(), odd = Avx2.Multiply(Avx2.Shuffle(a, 0b11_11_01_01), b).AsUInt32();
            return (Avx2.Blend(even, Avx2.Shuffle(odd, 0b10_10_00_00), 0b10101010), Avx2.Blend(Avx2.Shuffle(even, 0b11_11_01_01), odd, 0b10101010));
        }
    }

    private static void Block512(uint block, uint c1, uint c2, uint c3, uint k0, uint k1, Span<uint> words)
    {
        Vector512<uint> x0 = Vector512.Create(block * Lanes) + Vector512<uint>.Indices;
        Vector512<uint> x1 = Vector512.Create(c1), x2 = Vector512.Create(c2), x3 = Vector512.Create(c3);
        Vector512<uint> m0 = Vector512.Create(Multiplier0), m1 = Vector512.Create(Multiplier1);
        Vector512<uint> highs = Vector512.Create(1u, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
        Vector512<uint> lows = Vector512.Create(0u, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30);
        for (int round = 0; round < Rounds; round++)
        {
            Vector512<uint> even0 = Avx512F.Multiply(x0, m0).AsUInt32(), odd0 = Avx512F.Multiply(Avx512F.Shuffle(x0, 0b11_11_01_01), m0).AsUInt32();
            Vector512<uint> even1 = Avx512F.Multiply(x2, m1).AsUInt32(), odd1 = Avx512F.Multiply(Avx512F.Shuffle(x2, 0b11_11_01_01), m1).AsUInt32();
            x0 = Avx512F.PermuteVar16x32x2(even1, highs, odd1) ^ x1 ^ Vector512.Create(k0);
            x1 = Avx512F.PermuteVar16x32x2(even1, lows, odd1);
            x2 = Avx512F.PermuteVar16x32x2(even0, highs, odd0) ^ x3 ^ Vector512.Create(k1);
            x3 = Avx512F.PermuteVar16x32x2(even0, lows, odd0);
            k0 += Weyl0;
            k1 += Weyl1;
        }

        x0.CopyTo(words);
        x1.CopyTo(words[Lanes..]);
        x2.CopyTo(words[(2 * Lanes)..]);
        x3.CopyTo(words[(3 * Lanes)..]);
    }
}
