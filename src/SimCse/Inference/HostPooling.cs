using System.Numerics.Tensors;
using SimCse.Checkpoints;

namespace SimCse.Inference;

/// <summary>
/// What follows the encoder where the graph ends before it, as ONNX files from elsewhere do: pooling over tokens, the dense head, the first components alone, length one.
/// The arithmetic of <see cref="EncoderGraph"/>, outside ONNX Runtime.
/// </summary>
/// <param name="Tokens">H where the graph gives token vectors, (B, T, H); null where it gives sentence vectors already.</param>
/// <param name="Pooling">Of token vectors: <see cref="Pooling.Avg"/>, or one of [CLS].</param>
/// <param name="Head">The dense module, or null for none.</param>
/// <param name="Components">The components of what the graph gives.</param>
/// <param name="Dimensions">The components that are kept, the first ones.</param>
/// <param name="Normalize">Whether vectors are scaled to length one.</param>
internal sealed record HostPooling(bool Tokens, Pooling Pooling, DenseHead? Head, int Components, int Dimensions, bool Normalize)
{
    /// <summary>Whether token vectors can be pooled so: the other poolings need layers before the last.</summary>
    public static bool Supports(Pooling pooling) => pooling is Pooling.Avg or Pooling.Cls or Pooling.ClsBeforePooler;

    /// <summary>Makes one sentence's vector.</summary>
    /// <param name="output">The sentence's rows of the graph's output: (T, H), or (H).</param>
    /// <param name="tokens">How many of the T rows are tokens and not padding.</param>
    /// <param name="vector">Receives <see cref="Dimensions"/> components.</param>
    public void Pool(ReadOnlySpan<float> output, int tokens, Span<float> vector)
    {
        Span<float> pooled = new float[Components]; // (H)
        output[..Components].CopyTo(pooled);
        if (Tokens && Pooling == Pooling.Avg)
        {
            for (int token = 1; token < tokens; token++)
            {
                TensorPrimitives.Add(pooled, output.Slice(token * Components, Components), pooled);
            }

            TensorPrimitives.Divide(pooled, tokens, pooled);
        }

        if (Head is { } head)
        {
            Span<float> y = new float[head.OutFeatures]; // (out)
            head.Apply(pooled, y);
            pooled = y;
        }

        pooled[..Dimensions].CopyTo(vector);
        if (Normalize)
        {
            ScaleToLengthOne(vector);
        }
    }

    /// <summary>A vector of zeros stays. Plain loops: the first text waits for what the vectorised ones take to compile.</summary>
    private static void ScaleToLengthOne(Span<float> vector)
    {
        float squares = 0;
        foreach (float x in vector)
        {
            squares += x * x;
        }

        if (squares > 0)
        {
            float length = MathF.Sqrt(squares);
            for (int i = 0; i < vector.Length; i++)
            {
                vector[i] /= length;
            }
        }
    }
}
