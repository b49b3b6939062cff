using System.Numerics.Tensors;

namespace SimCse.Checkpoints;

/// <summary>How a directory says that token vectors become a sentence vector: sentence-transformers' modules after the encoder, or our own marker.</summary>
/// <param name="Pooling">Tokens to one vector. <see cref="Pooling.Cls"/> where a head follows [CLS], <see cref="Pooling.ClsBeforePooler"/> where none does.</param>
/// <param name="Head">The dense layer after pooling, null where there is none.</param>
/// <param name="Normalize">Whether the vector is scaled to unit length at the end.</param>
/// <param name="MaxSequenceLength">Tokens kept of a text, special tokens included; null where it is the tokenizer's own limit.</param>
/// <param name="LowerCase">Whether texts are lower-cased before the tokenizer sees them; null where the files do not say (then not).</param>
public sealed record SentenceModules(Pooling Pooling, DenseHead? Head, bool Normalize, int? MaxSequenceLength, bool? LowerCase);

/// <summary>A linear layer, with tanh after it or nothing: y = f(W x + b).</summary>
/// <param name="InFeatures">Components of x.</param>
/// <param name="OutFeatures">Components of y.</param>
/// <param name="Weight">W, (out, in), row-major.</param>
/// <param name="Bias">b, (out).</param>
/// <param name="Tanh">Whether f is tanh; the identity otherwise.</param>
public sealed record DenseHead(int InFeatures, int OutFeatures, float[] Weight, float[] Bias, bool Tanh)
{
    /// <summary>Maps one vector, in float32.</summary>
    /// <param name="x">(in).</param>
    /// <param name="y">Receives (out).</param>
    /// <exception cref="ArgumentException">A length is not the layer's.</exception>
    public void Apply(ReadOnlySpan<float> x, Span<float> y)
    {
        if (x.Length != InFeatures || y.Length != OutFeatures)
        {
            throw new ArgumentException($"the layer maps {InFeatures} components to {OutFeatures}, not {x.Length} to {y.Length}");
        }

        for (int i = 0; i < y.Length; i++)
        {
            y[i] = TensorPrimitives.Dot(Weight.AsSpan(i * InFeatures, InFeatures), x) + Bias[i];
        }

        if (Tanh)
        {
            TensorPrimitives.Tanh(y, y);
        }
    }

    /// <summary>Maps every row: (n, in) to (n, out).</summary>
    /// <exception cref="ArgumentException">The vectors do not have as many components as the layer takes.</exception>
    public EmbeddingMatrix Apply(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Dimensions != InFeatures)
        {
            throw new ArgumentException($"the layer maps {InFeatures} components, not {vectors.Dimensions}", nameof(vectors));
        }

        float[] mapped = new float[(long)vectors.Count * OutFeatures];
        Parallel.For(0, vectors.Count, row => Apply(vectors[row], mapped.AsSpan(row * OutFeatures, OutFeatures)));
        return new EmbeddingMatrix(mapped, vectors.Count, OutFeatures);
    }
}

/// <summary>The masked-language head of a checkpoint: logits = decoder(LayerNorm(gelu(dense(h)))) + bias.</summary>
/// <param name="DenseWeight">(H, H), row-major.</param>
/// <param name="DenseBias">(H).</param>
/// <param name="NormWeight">Scale of the layer normalisation, (H).</param>
/// <param name="NormBias">Shift of the layer normalisation, (H).</param>
/// <param name="DecoderBias">(V).</param>
/// <param name="DecoderWeight">(V, H), row-major; null where it is tied to the word embeddings.</param>
public sealed record MaskedLanguageHead(float[] DenseWeight, float[] DenseBias, float[] NormWeight, float[] NormBias, float[] DecoderBias, float[]? DecoderWeight);
