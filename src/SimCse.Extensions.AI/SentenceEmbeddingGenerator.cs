using System.Numerics.Tensors;
using Microsoft.Extensions.AI;

namespace SimCse.Extensions.AI;

/// <summary>
/// A <see cref="SentenceEncoder"/> as Microsoft.Extensions.AI's generator of embeddings, for everything that takes one (vector stores, caches, telemetry). All members may be called
/// from several threads at once; one call with many texts is faster than many calls.
/// </summary>
public sealed class SentenceEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private readonly SentenceEncoder _encoder;
    private readonly EmbeddingGeneratorMetadata _metadata;

    /// <summary>Takes over an encoder: <see cref="Dispose"/> disposes it.</summary>
    /// <param name="encoder">The model.</param>
    /// <param name="modelId">What the metadata and each embedding call the model.</param>
    public SentenceEmbeddingGenerator(SentenceEncoder encoder, string? modelId = null)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        _encoder = encoder;
        _metadata = new EmbeddingGeneratorMetadata("simcse", providerUri: null, modelId, encoder.Dimensions);
    }

    /// <summary>The vectors of texts, in their order.</summary>
    /// <param name="values">Any texts; an empty one gives a vector too.</param>
    /// <param name="options">
    /// <see cref="EmbeddingGenerationOptions.Dimensions"/> keeps the first components of each vector and scales them to length one (for Matryoshka models). A
    /// <see cref="EmbeddingGenerationOptions.ModelId"/> other than this model's is refused.
    /// </param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <exception cref="ArgumentException">A text is null, or the options ask for another model.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The options ask for more components than the model gives, or for none.</exception>
    /// <exception cref="TextTooLongException">A text is too long and <see cref="SentenceEncoderOptions.RefuseTruncation"/> is set.</exception>
    public Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        int dimensions = options?.Dimensions ?? _encoder.Dimensions;
        if (dimensions < 1 || dimensions > _encoder.Dimensions)
        {
            throw new ArgumentOutOfRangeException(nameof(options), dimensions, $"Dimensions must be from 1 to {_encoder.Dimensions}, the components that the model gives");
        }

        if (options?.ModelId is { } asked && _metadata.DefaultModelId is { } own && !string.Equals(asked, own, StringComparison.Ordinal))
        {
            throw new ArgumentException($"the model here is '{own}', not '{asked}'", nameof(options));
        }

        string[] texts = [.. values];
        return Task.Run(() => Generate(texts, dimensions, cancellationToken), cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        return serviceKey is not null ? null
            : serviceType.IsInstanceOfType(this) ? this
            : serviceType == typeof(EmbeddingGeneratorMetadata) ? _metadata
            : serviceType.IsInstanceOfType(_encoder) ? _encoder
            : null;
    }

    /// <summary>Disposes the encoder.</summary>
    public void Dispose() => _encoder.Dispose();

    private GeneratedEmbeddings<Embedding<float>> Generate(string[] texts, int dimensions, CancellationToken cancellationToken)
    {
        EmbeddingMatrix vectors = _encoder.Encode(texts, cancellationToken);
        DateTimeOffset now = DateTimeOffset.UtcNow;
        GeneratedEmbeddings<Embedding<float>> embeddings = new(texts.Length);
        for (int row = 0; row < texts.Length; row++)
        {
            ReadOnlyMemory<float> vector = dimensions == _encoder.Dimensions ? vectors.RowMemory(row) : FirstOf(vectors[row][..dimensions]);
            embeddings.Add(new Embedding<float>(vector) { CreatedAt = now, ModelId = _metadata.DefaultModelId });
        }

        return embeddings;
    }

    private static float[] FirstOf(ReadOnlySpan<float> vector)
    {
        float[] first = vector.ToArray();
        if (TensorPrimitives.Norm(vector) is > 0 and float length)
        {
            TensorPrimitives.Divide(first, length, first);
        }

        return first;
    }
}
