using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// Tensors with numbers, and sums of tensors. TorchSharp (0.107) hands a <see cref="Scalar"/> to native code by its bare address and frees it in its finalizer: where
/// another thread causes a garbage collection at that moment, the number is freed while it is read, and the operation fails or computes with another one. Here each
/// number is alive until its operation is done. That goes for <c>a + b</c> too: it multiplies b by a hidden scalar 1. The operators of TorchSharp
/// are therefore used on two tensors only, for products and quotients.
/// </summary>
internal static class TensorArithmetic
{
    private static readonly Scalar s_one = 1;

    /// <summary>x + y.</summary>
    public static Tensor Plus(this Tensor x, Tensor y) => x.add(y, s_one);

    /// <summary>x + number.</summary>
    public static Tensor Plus(this Tensor x, double number)
    {
        using Scalar scalar = number;
        return x.add(scalar, s_one);
    }

    /// <summary>x · number.</summary>
    public static Tensor Times(this Tensor x, double number)
    {
        using Scalar scalar = number;
        return x.mul(scalar);
    }

    /// <summary>x / number.</summary>
    public static Tensor Over(this Tensor x, double number)
    {
        using Scalar scalar = number;
        return x.div(scalar);
    }

    /// <summary>max(x, number).</summary>
    public static Tensor AtLeast(this Tensor x, double number)
    {
        using Scalar scalar = number;
        return x.clamp_min(scalar);
    }
}
