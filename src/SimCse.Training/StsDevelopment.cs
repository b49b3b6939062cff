using SimCse.Evaluation;

namespace SimCse.Training;

/// <summary>Judges a model under training by an STS set, STS-B dev in the paper: Spearman × 100 chooses the best weights; alignment and uniformity go with it.</summary>
/// <param name="task">The set; its pairs scored above 4 are the positive pairs of alignment.</param>
public sealed class StsDevelopment(StsTask task)
{
    /// <summary>What the score is called where the set is STS-B dev.</summary>
    public const string ScoreName = "STS-B dev, Spearman × 100";

    private readonly IReadOnlyList<(int First, int Second)> _positives = task.PairsAbove(EmbeddingAnalysis.PositiveBound);

    /// <summary>Encodes every sentence of the set once and measures.</summary>
    /// <param name="encoder">The model as it is.</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    public DevelopmentScore Evaluate(ISentenceEncoder encoder, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        EmbeddingMatrix vectors = encoder.Encode(task.Sentences, cancellationToken);
        return new DevelopmentScore(
            task.Score(vectors).All,
            _positives.Count > 0 ? Geometry.Alignment(vectors, _positives) : null,
            Geometry.Uniformity(vectors));
    }
}
