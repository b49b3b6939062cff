namespace SimCse.Evaluation;

/// <summary>The cosine of two vectors.</summary>
public static class Cosine
{
    /// <summary>
    /// cos(a, b) = a·b / √(a·a b·b), summed in double precision. A cosine that is not a number (a zero vector, a component that is NaN or
    /// infinite) counts as 0, as in SentEval.
    /// </summary>
    /// <param name="a">H components.</param>
    /// <param name="b">H components.</param>
    /// <exception cref="ArgumentException">The vectors differ in length.</exception>
    public static double Of(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        if (a.Length != b.Length)
        {
            throw new ArgumentException($"a vector of {a.Length} components has no cosine with one of {b.Length}");
        }

        double ab = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
        {
            double x = a[i];
            double y = b[i];
            ab += x * y;
            aa += x * x;
            bb += y * y;
        }

        // One root of the product, not a product of roots: one rounding less, so that cosines that are equal on paper more often tie.
        // The product stays far inside double's range, whatever the float32 components are.
        double cosine = ab / Math.Sqrt(aa * bb);
        return double.IsNaN(cosine) ? 0 : cosine;
    }
}
