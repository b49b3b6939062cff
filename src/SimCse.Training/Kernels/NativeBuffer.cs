using System.Runtime.InteropServices;

namespace SimCse.Training.Kernels;

/// <summary>
/// Memory outside the garbage collector, 64 bytes aligned, that grows to the largest size asked for and is kept: the buffers of a training step are faulted in once
/// and used again by every step.
/// </summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private const nuint Alignment = 64;

    private void* _memory;
    private long _bytes;

    /// <summary>Room for <paramref name="count"/> float32 values, uninitialised; what an earlier call gave is no longer valid where this one asks for more.</summary>
    public float* Floats(long count) => (float*)Bytes(checked(count * sizeof(float)));

    /// <summary>The same in bytes.</summary>
    public void* Bytes(long count)
    {
        if (count > _bytes)
        {
            NativeMemory.AlignedFree(_memory);
            _memory = null;
            _bytes = 0;
            _memory = NativeMemory.AlignedAlloc((nuint)count, Alignment);
            _bytes = count;
        }

        return _memory;
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
        _bytes = 0;
    }
}
