using SimCse.Checkpoints;

namespace SimCse.Evaluation.Rivals;

/// <summary>An encoder whose vectors go through a map that was fitted before.</summary>
/// <param name="encoder">Gives x; not disposed.</param>
/// <param name="map">y = W x + b, from <see cref="PostProcessing.Fit"/>.</param>
public sealed class PostProcessedEncoder(ISentenceEncoder encoder, DenseHead map) : ISentenceEncoder
{
    /// <inheritdoc/>
    public int Dimensions => map.OutFeatures;

    /// <inheritdoc/>
    public EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default) => map.Apply(encoder.Encode(sentences, cancellationToken));
}
