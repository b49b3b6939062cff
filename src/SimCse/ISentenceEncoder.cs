namespace SimCse;

/// <summary>
/// Sentences in, vectors out. What <c>SimCse.Evaluation</c> knows of a model: the ONNX Runtime encoder
/// (<c>SentenceEncoder</c>) and the encoder under training both are one.
/// </summary>
public interface ISentenceEncoder
{
    /// <summary>The number of components H of a vector.</summary>
    int Dimensions { get; }

    /// <summary>
    /// Encodes each sentence by itself: row i of the result is the raw (not normalised) pooled vector of <paramref name="sentences"/>[i],
    /// the same alone and in any batch up to rounding.
    /// </summary>
    /// <param name="sentences">Any texts; an empty one gives a vector too.</param>
    /// <param name="cancellationToken">Checked between batches.</param>
    /// <returns>n × H, rows in the order given.</returns>
    EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default);
}
