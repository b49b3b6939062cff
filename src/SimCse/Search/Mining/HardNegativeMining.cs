namespace SimCse.Search;

/// <summary>How hard negatives are chosen; the names and meanings of sentence-transformers' <c>mine_hard_negatives</c>.</summary>
public sealed record HardNegativeOptions
{
    /// <summary>Negatives a pair (num_negatives).</summary>
    public int Negatives { get; init; } = 1;

    /// <summary>The candidates nearest to the anchor that are passed over, as they may be positives nobody marked (range_min).</summary>
    public int RangeMin { get; init; }

    /// <summary>Candidates after this rank are not looked at (range_max); null for ten times the negatives beyond <see cref="RangeMin"/>.</summary>
    public int? RangeMax { get; init; }

    /// <summary>Candidates with a higher cosine with the anchor are left out (max_score).</summary>
    public float? MaxScore { get; init; }

    /// <summary>Candidates with a lower cosine with the anchor are left out (min_score).</summary>
    public float? MinScore { get; init; }

    /// <summary>Candidates whose cosine is not below the positive's by this much are left out (absolute_margin).</summary>
    public float? AbsoluteMargin { get; init; }

    /// <summary>Candidates whose cosine is above (1 − this) times the positive's are left out (relative_margin).</summary>
    public float? RelativeMargin { get; init; }

    /// <summary>Whether negatives are drawn at random from the candidates left, and not the nearest of them (sampling_strategy).</summary>
    public bool Random { get; init; }

    /// <summary>Decides what is drawn.</summary>
    public int Seed { get; init; } = 42;

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Negatives, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(RangeMin);
        if (RangeMax <= RangeMin)
        {
            throw new ArgumentOutOfRangeException(nameof(RangeMax), RangeMax, $"expected more than {RangeMin}, the candidates passed over");
        }

        if (MinScore > MaxScore)
        {
            throw new ArgumentOutOfRangeException(nameof(MinScore), MinScore, $"expected at most {MaxScore}, the highest score");
        }
    }
}

/// <summary>A pair with a hard negative.</summary>
/// <param name="Pair">The pair's row.</param>
/// <param name="Negative">The negative's row in the corpus.</param>
/// <param name="PositiveScore">The cosine of anchor and positive.</param>
/// <param name="NegativeScore">The cosine of anchor and negative.</param>
public sealed record MinedTriplet(int Pair, int Negative, float PositiveScore, float NegativeScore);

/// <summary>Texts of a corpus that are near to an anchor and are not its positives, for training with hard negatives.</summary>
public static class HardNegativeMining
{
    private const int QueriesAtOnce = 1024;

    /// <summary>The triplets, in the order of the pairs and for each pair the nearest negative first; fewer than asked for where too few candidates are left.</summary>
    /// <param name="anchors">n texts.</param>
    /// <param name="positives">n texts: the positive of each.</param>
    /// <param name="corpus">m texts to choose negatives from. The anchor itself and every positive of an equal anchor are no candidates.</param>
    /// <param name="anchorVectors">n × H.</param>
    /// <param name="positiveVectors">n × H.</param>
    /// <param name="corpusVectors">m × H.</param>
    /// <param name="options">Which candidates are taken.</param>
    /// <param name="progress">Told how many pairs are done.</param>
    /// <param name="cancellationToken">Checked within every search.</param>
    /// <exception cref="ArgumentException">Counts differ, or an option is out of its range.</exception>
    public static IEnumerable<MinedTriplet> Find(
        IReadOnlyList<string> anchors, IReadOnlyList<string> positives, IReadOnlyList<string> corpus, EmbeddingMatrix anchorVectors, EmbeddingMatrix positiveVectors, EmbeddingMatrix corpusVectors,
        HardNegativeOptions options, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(anchors);
        ArgumentNullException.ThrowIfNull(positives);
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(anchorVectors);
        ArgumentNullException.ThrowIfNull(positiveVectors);
        ArgumentNullException.ThrowIfNull(corpusVectors);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        if (positives.Count != anchors.Count || anchorVectors.Count != anchors.Count || positiveVectors.Count != anchors.Count || corpusVectors.Count != corpus.Count)
        {
            throw new ArgumentException($"{anchors.Count} anchors, {positives.Count} positives, {corpus.Count} texts with {anchorVectors.Count}, {positiveVectors.Count} and {corpusVectors.Count} vectors; expected one for each");
        }

        return Mine();

        IEnumerable<MinedTriplet> Mine()
        {
            ILookup<string, string> positivesOf = anchors.Zip(positives).ToLookup(pair => pair.First, pair => pair.Second, StringComparer.Ordinal);
            ExactIndex index = new(corpusVectors);
            Random random = new(options.Seed);
            int rangeMax = options.RangeMax ?? options.RangeMin + (10 * options.Negatives);
            for (int first = 0; first < anchors.Count; first += QueriesAtOnce)
            {
                int count = Math.Min(QueriesAtOnce, anchors.Count - first);
                int passedOver = Enumerable.Range(first, count).Max(pair => positivesOf[anchors[pair]].Count()) + 1;

                // A corpus may hold a positive several times: twice the room, and one that holds it more often gives fewer candidates.
                IReadOnlyList<SearchHit>[] found = index.Search(MatrixRows.Slice(anchorVectors, first, count), (int)Math.Min(int.MaxValue, rangeMax + (2L * passedOver)), cancellationToken);
                for (int i = 0; i < count; i++)
                {
                    int pair = first + i;
                    float positive = PositiveScore(anchorVectors, positiveVectors, pair);
                    HashSet<string> excluded = new(positivesOf[anchors[pair]], StringComparer.Ordinal) { anchors[pair] };
                    SearchHit[] left = [.. found[i].Where(hit => !excluded.Contains(corpus[hit.Row])).Take(rangeMax).Skip(options.RangeMin).Where(hit => IsTaken(hit.Score, positive, options))];
                    foreach (SearchHit hit in options.Random ? Drawn(random, left, options.Negatives) : left.Take(options.Negatives))
                    {
                        yield return new MinedTriplet(pair, hit.Row, positive, hit.Score);
                    }
                }

                progress?.Report(first + count);
            }
        }
    }

    private static bool IsTaken(float score, float positive, HardNegativeOptions options) =>
        !(score > options.MaxScore) && !(score < options.MinScore) && !(score > positive - options.AbsoluteMargin) && !(score > positive * (1 - options.RelativeMargin));

    private static IEnumerable<SearchHit> Drawn(Random random, SearchHit[] left, int count)
    {
        random.Shuffle(left);
        return left.Take(count).OrderByDescending(hit => hit.Score);
    }

    private static float PositiveScore(EmbeddingMatrix anchors, EmbeddingMatrix positives, int pair) => System.Numerics.Tensors.TensorPrimitives.CosineSimilarity(anchors[pair], positives[pair]);
}
