using SimCse.Training.Modeling;
using static TorchSharp.torch;

namespace SimCse.Training.Objectives;

/// <summary>
/// Sketched isotropic Gaussian regularisation: how far vectors are from N(0, I), by the characteristic functions of their projections on directions a_k against a Gaussian's:
/// N · mean over k of ∫ ( (mean_i cos(t a_k·x_i) − e^{−t²/2})² + (mean_i sin(t a_k·x_i))² ) e^{−t²/2} dt, t from −3 to 3.
/// </summary>
/// <remarks>
/// Balestriero, LeCun: LeJEPA, arXiv 2511.08544: the Epps–Pulley statistic by the trapezoid rule on 17 knots of [0, 3], doubled for the negative half. Zero gradient towards collapse is not possible:
/// vectors that are all one are far from a Gaussian.
/// </remarks>
public static class SigReg
{
    /// <summary>Directions drawn a step, as the authors do.</summary>
    public const int Directions = 256;

    private const int Knots = 17;
    private const double End = 3;
    private const uint DirectionPurpose = 21;

    /// <summary>Directions of a step: unit columns, (P, K), isotropic.</summary>
    /// <param name="width">P.</param>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">The step within the run.</param>
    /// <param name="device">Where they are used.</param>
    public static Tensor Draw(int width, long seed, int step, Device device)
    {
        float[] normal = new CounterRandom(seed ^ ((long)step << 20), DirectionPurpose).Normal(width * Directions, 1);
        Tensor directions = tensor(normal, [width, Directions], device: device); // (P, K)
        return directions / directions.norm(0, keepdim: true);
    }

    /// <summary>The statistic, a scalar.</summary>
    /// <param name="x">(N, P).</param>
    /// <param name="directions">(P, K), unit columns.</param>
    public static Tensor Loss(Tensor x, Tensor directions)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(directions);
        double spacing = End / (Knots - 1);
        double[] knots = [.. Enumerable.Range(0, Knots).Select(k => k * spacing)];
        double[] gaussian = [.. knots.Select(t => Math.Exp(-t * t / 2))];
        double[] weights = [.. gaussian.Select((g, k) => g * spacing * (k is 0 or Knots - 1 ? 1 : 2))];

        Tensor angles = x.mm(directions).unsqueeze(-1) * Vector(knots); // (N, K, T)
        Tensor real = angles.cos().mean([0]).Plus(Vector(gaussian).neg()), imaginary = angles.sin().mean([0]); // (K, T)
        Tensor error = (real * real).Plus(imaginary * imaginary); // (K, T)
        return (error * Vector(weights)).sum(-1).mean().Times(x.shape[0]);

        Tensor Vector(double[] values) => tensor(values, ScalarType.Float32, device: x.device); // (T)
    }
}
