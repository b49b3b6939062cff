using SimCse.Training.Kernels;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>In which numbers the matrix products of the linear layers are computed; weights, gradients and everything else are float32 either way.</summary>
public enum Precision
{
    /// <summary>float32.</summary>
    Fp32,

    /// <summary>bfloat16 products: 8 bits of mantissa, about twice as fast on processors that have them.</summary>
    Bf16,
}

/// <summary>What the processor can do, and the linear layer in either precision.</summary>
public static class Precisions
{
    /// <summary>Whether this processor multiplies bfloat16 itself (AVX512_BF16), and this system runs the code that does it (Linux and macOS on x64).</summary>
    public static bool HasBf16 => Bf16Tile.IsSupported;

    /// <summary>What the command line calls it: fp32 or bf16.</summary>
    public static string ToName(this Precision precision) => precision == Precision.Bf16 ? "bf16" : "fp32";

    /// <summary>x Wᵀ + b.</summary>
    internal static Tensor Linear(this Precision precision, Tensor x, Tensor weight, Tensor bias) => precision == Precision.Fp32
        ? nn.functional.linear(x, weight, bias)
        : nn.functional.linear(x.to(ScalarType.BFloat16), weight.to(ScalarType.BFloat16)).to(ScalarType.Float32).Plus(bias);
}
