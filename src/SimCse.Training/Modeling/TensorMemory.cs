using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>The memory of contiguous float32 tensors on the CPU.</summary>
internal static class TensorMemory
{
    /// <summary>The values, row-major; valid while the tensor lives.</summary>
    public static Span<float> Floats(this Tensor tensor)
    {
        if (tensor.dtype != ScalarType.Float32 || !tensor.is_contiguous())
        {
            throw new ArgumentException("not a contiguous float32 tensor", nameof(tensor));
        }

        return MemoryMarshal.Cast<byte, float>(tensor.bytes);
    }

    /// <summary>Where the values start, for work that is shared out over threads.</summary>
    public static unsafe nint Address(this Tensor tensor) => (nint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.Floats()));
}
