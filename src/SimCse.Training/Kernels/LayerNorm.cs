using System.Runtime.Intrinsics;

namespace SimCse.Training.Kernels;

/// <summary>
/// Layer normalisation of one row s of H values, y = γ ⊙ x̂ + β with x̂ = (s − mean)·r and r = 1/√(variance + ε), and what stands beside it in an encoder: bias, dropout and residual before it.
/// </summary>
internal static unsafe class LayerNorm
{
    private const int Lanes = 16;

    /// <summary>s ← (s + bias) ⊙ mask + residual; no mask where <paramref name="mask"/> is null.</summary>
    public static void AddDropped(float* s, float* bias, float* mask, float* residual, int width)
    {
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = Vector512.Load(s + i) + Vector512.Load(bias + i);
            Vector512<float> rest = Vector512.Load(residual + i);
            (mask is null ? x + rest : Vector512.FusedMultiplyAdd(x, Vector512.Load(mask + i), rest)).Store(s + i);
        }

        for (; i < width; i++)
        {
            s[i] = ((s[i] + bias[i]) * (mask is null ? 1 : mask[i])) + residual[i];
        }
    }

    /// <summary>mean and r of the row, into <paramref name="statistics"/>.</summary>
    public static void Measure(float* s, int width, float epsilon, float* statistics)
    {
        Vector512<float> sum = default;
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            sum += Vector512.Load(s + i);
        }

        float total = Vector512.Sum(sum);
        for (; i < width; i++)
        {
            total += s[i];
        }

        float mean = total / width;
        Vector512<float> squares = default;
        for (i = 0; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> d = Vector512.Load(s + i) - Vector512.Create(mean);
            squares = Vector512.FusedMultiplyAdd(d, d, squares);
        }

        float variance = Vector512.Sum(squares);
        for (; i < width; i++)
        {
            variance += (s[i] - mean) * (s[i] - mean);
        }

        statistics[0] = mean;
        statistics[1] = 1 / MathF.Sqrt((variance / width) + epsilon);
    }

    /// <summary>y from the row and its statistics; also in place.</summary>
    public static void Apply(float* s, int width, float* statistics, float* gamma, float* beta, float* y)
    {
        float mean = statistics[0], r = statistics[1];
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = (Vector512.Load(s + i) - Vector512.Create(mean)) * r;
            Vector512.FusedMultiplyAdd(x, Vector512.Load(gamma + i), Vector512.Load(beta + i)).Store(y + i);
        }

        for (; i < width; i++)
        {
            y[i] = ((s[i] - mean) * r * gamma[i]) + beta[i];
        }
    }

    /// <summary>
    /// The gradient, in place: dy becomes ds = r·(g − mean(g) − x̂·mean(g ⊙ x̂)) with g = dy ⊙ γ; dγ += dy ⊙ x̂, dβ += dy.
    /// </summary>
    public static void Backward(float* s, int width, float* statistics, float* gamma, float* dy, float* dGamma, float* dBeta)
    {
        float mean = statistics[0], r = statistics[1];
        Vector512<float> sums = default, products = default;
        float sum = 0, product = 0;
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = (Vector512.Load(s + i) - Vector512.Create(mean)) * r, d = Vector512.Load(dy + i), g = d * Vector512.Load(gamma + i);
            sums += g;
            products = Vector512.FusedMultiplyAdd(g, x, products);
            Vector512.FusedMultiplyAdd(d, x, Vector512.Load(dGamma + i)).Store(dGamma + i);
            (Vector512.Load(dBeta + i) + d).Store(dBeta + i);
        }

        for (; i < width; i++)
        {
            float x = (s[i] - mean) * r, g = dy[i] * gamma[i];
            sum += g;
            product += g * x;
            dGamma[i] += dy[i] * x;
            dBeta[i] += dy[i];
        }

        sum = (Vector512.Sum(sums) + sum) / width;
        product = (Vector512.Sum(products) + product) / width;
        for (i = 0; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = (Vector512.Load(s + i) - Vector512.Create(mean)) * r, g = Vector512.Load(dy + i) * Vector512.Load(gamma + i);
            ((g - Vector512.Create(sum) - (x * product)) * r).Store(dy + i);
        }

        for (; i < width; i++)
        {
            dy[i] = ((dy[i] * gamma[i]) - sum - ((s[i] - mean) * r * product)) * r;
        }
    }

    /// <summary>target = source ⊙ mask; a copy where there is no mask.</summary>
    public static void Drop(float* source, float* mask, int width, float* target)
    {
        int i = 0;
        for (; i + Lanes <= width; i += Lanes)
        {
            Vector512<float> x = Vector512.Load(source + i);
            (mask is null ? x : x * Vector512.Load(mask + i)).Store(target + i);
        }

        for (; i < width; i++)
        {
            target[i] = source[i] * (mask is null ? 1 : mask[i]);
        }
    }
}
