namespace SimCse.Evaluation.Rivals;

/// <summary>
/// Whitening: y = Λ^(−1/2) Uᵀ (x − μ), its first k components, with Σ = U Λ Uᵀ the covariance of the vectors, largest variance first. On the vectors that it
/// was fitted to, the mean of y is 0 and its covariance the identity.
/// </summary>
/// <remarks>Su, Cao, Liu and Ou, Whitening Sentence Representations for Better Semantics and Faster Retrieval (2021, arXiv 2103.15316).</remarks>
/// <param name="Components">k, from 1 to H: 256 in that paper for a base model, or all.</param>
public sealed record Whitening(int Components) : PostProcessing
{
    /// <inheritdoc/>
    public override string Name => $"whitening {Components}";

    private protected override double[][] Rows(double[] variances, double[][] directions)
    {
        int rank = Rank(variances);
        return Components >= 1 && Components <= rank
            ? [.. directions.Take(Components).Select((u, i) => u.Select(value => value / Math.Sqrt(variances[i])).ToArray())]
            : throw new InvalidDataException($"whitening to {Components} components is not possible: the vectors it is fitted to have {directions.Length} components and vary in {rank} directions; expected 1 to {rank}");
    }
}
