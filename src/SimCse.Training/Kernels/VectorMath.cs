using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace SimCse.Training.Kernels;

/// <summary>The functions that an encoder needs, 16 float32 values at a time, each to within two units of the last place (tests compare with double precision).</summary>
internal static class VectorMath
{
    /// <summary>eˣ; 0 below −87.3, where float32 leaves its normal numbers.</summary>
    /// <remarks>x = n·ln 2 + r with |r| ≤ ln 2 / 2, ln 2 in two parts (Cody and Waite); eʳ by its Taylor polynomial of degree 7, whose remainder is 2⁻²⁸.</remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> Exp(Vector512<float> x)
    {
        Vector512<float> low = Vector512.Create(-87.3f);
        Vector512<float> clamped = Vector512.MinNative(Vector512.Create(88.7f), Vector512.MaxNative(low, x)); // in this order a NaN stays one
        Vector512<float> n = Vector512.Round(clamped * 1.44269504f);
        Vector512<float> r = Vector512.FusedMultiplyAdd(n, Vector512.Create(-0.693359375f), clamped);
        r = Vector512.FusedMultiplyAdd(n, Vector512.Create(2.12194440e-4f), r);
        Vector512<float> p = Vector512.FusedMultiplyAdd(r, Vector512.Create(1f / 5040), Vector512.Create(1f / 720));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1f / 120));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1f / 24));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(1f / 6));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512.Create(0.5f));
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        p = Vector512.FusedMultiplyAdd(p, r, Vector512<float>.One);
        Vector512<float> power = ((Vector512.ConvertToInt32Native(n) + Vector512.Create(127)) << 23).AsSingle();
        return Vector512.ConditionalSelect(Vector512.LessThan(x, low), Vector512<float>.Zero, p * power);
    }

    /// <summary>Φ(x), the standard normal distribution function, and its density φ(x) = e^{−x²/2} / √(2π): GELU is x·Φ(x), its derivative Φ(x) + x·φ(x).</summary>
    /// <remarks>
    /// The tail is Q(|x|) = φ(|x|) · (1−t) · P(t) with t = (|x| − 4)/(|x| + 4), which maps (0, ∞) on (−1, 1); P, of degree 9, interpolates Mills' ratio Q/φ over (1−t) in Chebyshev's nodes
    /// (error 3·10⁻⁸, relative). Φ(x) is Q(|x|) for negative x and 1 − Q(|x|) else: x·Φ(x) stays precise where 1 + erf would cancel.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static (Vector512<float> Distribution, Vector512<float> Density) Normal(Vector512<float> x)
    {
        Vector512<float> size = Vector512.Abs(x);
        Vector512<float> density = Exp(x * x * -0.5f) * 0.39894228f;
        Vector512<float> t = (size - Vector512.Create(4f)) / (size + Vector512.Create(4f));
        Vector512<float> p = Vector512.Create(-5.09523316e-05f);
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(4.05259513e-05f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.00049372809f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.00108919154f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.00235662397f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.018923575f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.0584433493f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.121301244f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(-0.190471349f));
        p = Vector512.FusedMultiplyAdd(p, t, Vector512.Create(0.236652382f));
        Vector512<float> tail = density * (Vector512<float>.One - t) * p;
        return (Vector512.ConditionalSelect(Vector512.LessThan(x, Vector512<float>.Zero), tail, Vector512<float>.One - tail), density);
    }

    /// <summary>The largest of the 16 values.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float Max(Vector512<float> x)
    {
        Vector256<float> eight = Vector256.MaxNative(x.GetLower(), x.GetUpper());
        Vector128<float> four = Vector128.MaxNative(eight.GetLower(), eight.GetUpper());
        Vector128<float> two = Vector128.MaxNative(four, Vector128.Shuffle(four, Vector128.Create(2, 3, 0, 1)));
        return Math.Max(two[0], two[1]);
    }

    /// <summary>The first <paramref name="count"/> lanes set, the others not; for the end of a row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector512<float> FirstLanes(int count) => Vector512.LessThan(Vector512<int>.Indices, Vector512.Create(count)).AsSingle();
}
