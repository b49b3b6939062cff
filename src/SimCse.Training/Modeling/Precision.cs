using System.Runtime.Intrinsics.X86;
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
    /// <summary>Whether the processor multiplies bfloat16 itself (AVX512_BF16 or AMX_BF16).</summary>
    public static bool HasBf16 { get; } = X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 7
        && ((X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0 || (X86Base.CpuId(7, 0).Edx & (1 << 22)) != 0);

    /// <summary>x Wᵀ + b.</summary>
    internal static Tensor Linear(this Precision precision, Tensor x, Tensor weight, Tensor bias) => precision == Precision.Fp32
        ? nn.functional.linear(x, weight, bias)
        : nn.functional.linear(x.to(ScalarType.BFloat16), weight.to(ScalarType.BFloat16)).to(ScalarType.Float32).Plus(bias);
}
