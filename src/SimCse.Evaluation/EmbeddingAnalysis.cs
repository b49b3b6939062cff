namespace SimCse.Evaluation;

/// <summary>The cosines of the pairs that people scored in one range.</summary>
/// <param name="Above">Scores above this (the lowest group: from this on).</param>
/// <param name="UpTo">Scores up to this.</param>
/// <param name="Cosines">One a pair.</param>
public sealed record CosineGroup(double Above, double UpTo, IReadOnlyList<double> Cosines)
{
    /// <summary>Their mean; 0 where there is no pair.</summary>
    public double Mean => Cosines.Count > 0 ? Cosines.Average() : 0;

    /// <summary>Their standard deviation (n in the denominator).</summary>
    public double Deviation => Cosines.Count > 0 ? Math.Sqrt(Cosines.Average(c => Math.Pow(c - Mean, 2))) : 0;
}

/// <summary>The geometry of a model's vectors on the sentences of one STS set (STS-B dev in the paper).</summary>
public sealed record EmbeddingAnalysis
{
    /// <summary>Pairs scored above this are positive pairs, as in the paper.</summary>
    public const double PositiveBound = 4;

    /// <summary>The k of <see cref="Hubness.Occurrences"/>, or as many as there are others where they are fewer.</summary>
    public const int Neighbours = 10;

    /// <summary>The bounds of the gold scores of the five groups of the paper's appendix F: 0 to 1, above 1 to 2, and so on.</summary>
    private static readonly (double Above, double UpTo)[] s_groups = [(double.NegativeInfinity, 1), (1, 2), (2, 3), (3, 4), (4, 5)];

    private EmbeddingAnalysis()
    {
    }

    /// <summary>See <see cref="Geometry.Alignment"/>.</summary>
    public required double Alignment { get; init; }

    /// <summary>See <see cref="Geometry.Uniformity"/>.</summary>
    public required double Uniformity { get; init; }

    /// <summary>See <see cref="Geometry.EffectiveRank"/>.</summary>
    public required double EffectiveRank { get; init; }

    /// <summary>See <see cref="Geometry.MeanCosine"/>.</summary>
    public required double MeanCosine { get; init; }

    /// <summary>Of the raw vectors, the largest scaled to 1: see <see cref="Geometry.SingularSpectrum"/>.</summary>
    public required IReadOnlyList<double> SingularValues { get; init; }

    /// <summary>See <see cref="SimCse.Evaluation.LengthBias.Of"/>.</summary>
    public required double LengthBias { get; init; }

    /// <summary>See <see cref="Hubness.Skewness"/>, of the <see cref="Neighbours"/> nearest.</summary>
    public required double HubnessSkewness { get; init; }

    /// <summary>Of how many others the greatest hub is among the nearest.</summary>
    public required int LargestHub { get; init; }

    /// <summary>The cosines of the set's pairs in five groups by gold score, the lowest first.</summary>
    public required IReadOnlyList<CosineGroup> CosineGroups { get; init; }

    /// <summary>The number of pairs behind the alignment.</summary>
    public required int PositivePairs { get; init; }

    /// <summary>The number of distinct sentences behind the others.</summary>
    public required int Sentences { get; init; }

    /// <summary>Encodes the sentences of a set, each once, and measures.</summary>
    /// <param name="task">STS-B dev, or another set with pairs scored above 4.</param>
    /// <param name="encoder">The model.</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    /// <exception cref="InvalidDataException">No pair is scored above 4, or a vector is not finite.</exception>
    public static EmbeddingAnalysis Of(StsTask task, ISentenceEncoder encoder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(encoder);
        return Of(task, encoder.Encode(task.Sentences, cancellationToken));
    }

    /// <summary>Measures vectors that were made before.</summary>
    /// <param name="task">The set.</param>
    /// <param name="vectors">Row i belongs to <see cref="StsTask.Sentences"/>[i].</param>
    /// <exception cref="InvalidDataException">No pair is scored above 4, or a vector is not finite.</exception>
    public static EmbeddingAnalysis Of(StsTask task, EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(task);
        task.RequireRows(vectors);
        IReadOnlyList<(int First, int Second)> positives = task.PairsAbove(PositiveBound);
        if (positives.Count == 0)
        {
            throw new InvalidDataException($"{task.Name}: no pair is scored above {PositiveBound}, so there is nothing to measure alignment on");
        }

        double[] spectrum = Geometry.SingularSpectrum(vectors);
        int[] occurrences = Hubness.Occurrences(vectors, Math.Min(Neighbours, vectors.Count - 1));
        return new EmbeddingAnalysis
        {
            Alignment = Geometry.Alignment(vectors, positives),
            Uniformity = Geometry.Uniformity(vectors),
            EffectiveRank = Geometry.EffectiveRank(spectrum),
            MeanCosine = Geometry.MeanCosine(vectors),
            SingularValues = spectrum,
            LengthBias = SimCse.Evaluation.LengthBias.Of(task.Sentences, vectors),
            HubnessSkewness = Hubness.Skewness(occurrences),
            LargestHub = occurrences.Max(),
            CosineGroups = [.. s_groups.Select(g => new CosineGroup(Math.Max(0, g.Above), g.UpTo, task.CosinesOfPairs(vectors, g.Above, g.UpTo)))],
            PositivePairs = positives.Count,
            Sentences = vectors.Count,
        };
    }
}
