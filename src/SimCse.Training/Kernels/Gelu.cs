using System.Runtime.Intrinsics;

namespace SimCse.Training.Kernels;

/// <summary>The exact GELU, h·Φ(h) with Φ the normal distribution function (Hendrycks, Gimpel, arXiv 1606.08415), of one row.</summary>
internal static unsafe class Gelu
{
    private const int Lanes = 16;

    /// <summary>h ← h + bias, kept for the gradient; g = h·Φ(h).</summary>
    public static void Forward(float* h, float* bias, int width, float* g)
    {
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = Vector512.Load(h + i) + Vector512.Load(bias + i);
            x.Store(h + i);
            (x * VectorMath.Normal(x).Distribution).Store(g + i);
        }

        for (; i < width; i++)
        {
            h[i] += bias[i];
            g[i] = h[i] * VectorMath.Normal(Vector512.Create(h[i])).Distribution[0];
        }
    }

    /// <summary>g = h·Φ(h) again, and dh = dg·(Φ(h) + h·φ(h)) in the place of <paramref name="dg"/>.</summary>
    public static void Backward(float* h, int width, float* dg, float* g)
    {
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = Vector512.Load(h + i);
            (Vector512<float> distribution, Vector512<float> density) = VectorMath.Normal(x);
            (x * distribution).Store(g + i);
            (Vector512.Load(dg + i) * Vector512.FusedMultiplyAdd(x, density, distribution)).Store(dg + i);
        }

        for (; i < width; i++)
        {
            (Vector512<float> distribution, Vector512<float> density) = VectorMath.Normal(Vector512.Create(h[i]));
            g[i] = h[i] * distribution[0];
            dg[i] *= distribution[0] + (h[i] * density[0]);
        }
    }
}
