using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training;

/// <summary>By what a run without STS data chooses its weights, on rows of its own data that it does not train on.</summary>
public enum SelectionCriterion
{
    /// <summary>log mean exp(−2‖f(x) − f(y)‖²), the lower the better.</summary>
    Uniformity,

    /// <summary>e to the entropy of the singular values, the higher the better.</summary>
    EffectiveRank,

    /// <summary>Finding the second text of a row by the first, or the second half of a sentence by its first half: MRR@10 × 100.</summary>
    Retrieval,
}

/// <summary>Judges a model under training by held-out rows of its own data: all three criteria are measured, one chooses.</summary>
/// <remarks>
/// Uniformity and effective rank see that vectors spread, not that they mean something: both can be had by noise. Retrieval asks for meaning, in so far as the halves of a sentence share theirs (the inverse cloze task of
/// Lee, Chang, Toutanova 2019, with halves).
/// </remarks>
public sealed class HeldOutDevelopment
{
    private const int ShortestHalf = 4;

    private readonly SelectionCriterion _criterion;
    private readonly int[][] _texts, _queries, _answers;
    private readonly RetrievalTask _retrieval;

    /// <summary>Takes rows of a corpus.</summary>
    /// <param name="corpus">The data.</param>
    /// <param name="rows">Which rows are held out.</param>
    /// <param name="tokenizer">The tokenizer that made them.</param>
    /// <param name="criterion">What chooses.</param>
    /// <exception cref="InvalidDataException">Retrieval is asked for, and no sentence is long enough to be halved.</exception>
    public HeldOutDevelopment(TrainingCorpus corpus, IReadOnlyList<int> rows, Tokenizer tokenizer, SelectionCriterion criterion)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(tokenizer);
        _criterion = criterion;
        _texts = [.. rows.Select(r => corpus.Ids(r, 0)).DistinctBy(ids => string.Join(' ', ids), StringComparer.Ordinal)];
        (int[] Query, int[] Answer)[] pairs = corpus.Columns > 1
            ? [.. rows.Select(r => (corpus.Ids(r, 0), corpus.Ids(r, 1)))]
            : [.. _texts.Where(ids => ids.Length - 2 >= 2 * ShortestHalf).Select(Halves)];
        _queries = [.. pairs.Select(p => p.Query)];
        _answers = [.. pairs.Select(p => p.Answer)];
        if (_texts.Length < 2 || pairs.Length < 2)
        {
            throw new InvalidDataException($"{rows.Count} rows are held out, {_texts.Length} of them different and {pairs.Length} long enough to be halved; expected at least 2 to judge by");
        }

        string[] names = [.. pairs.Select((_, i) => $"{i}")];
        _retrieval = new RetrievalTask(names, names, [.. Enumerable.Range(0, pairs.Length)]);

        (int[], int[]) Halves(int[] ids)
        {
            int middle = ids.Length / 2;
            return ([.. ids[..middle], tokenizer.SeparatorTokenId], [tokenizer.ClassTokenId, .. ids[middle..]]);
        }
    }

    /// <summary>The number of rows that a data set of so many gives to be held out: a twentieth, at least 2 and at most 1,000.</summary>
    public static int Count(int rows) => Math.Clamp(rows / 20, 2, 1000);

    /// <summary>What the score is called.</summary>
    public static string ScoreName(SelectionCriterion criterion) => criterion switch
    {
        SelectionCriterion.Uniformity => "held-out uniformity, negated",
        SelectionCriterion.EffectiveRank => "held-out effective rank",
        _ => "held-out retrieval, MRR@10 × 100",
    };

    /// <summary>Encodes the held-out texts and measures.</summary>
    /// <param name="encoder">The model as it is.</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    public DevelopmentScore Evaluate(TrainedEncoder encoder, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        EmbeddingMatrix vectors = encoder.Encode(_texts, cancellationToken), queries = encoder.Encode(_queries, cancellationToken), answers = encoder.Encode(_answers, cancellationToken);
        double uniformity = Geometry.Uniformity(vectors), rank = Geometry.EffectiveRank(Geometry.SingularSpectrum(vectors));
        double score = _criterion switch
        {
            SelectionCriterion.Uniformity => -uniformity,
            SelectionCriterion.EffectiveRank => rank,
            _ => 100 * _retrieval.Score(queries, answers).MeanReciprocalRankAt10,
        };
        int n = _queries.Length;
        EmbeddingMatrix both = new([.. queries.Values, .. answers.Values], 2 * n, encoder.Dimensions);
        return new DevelopmentScore(score, Geometry.Alignment(both, [.. Enumerable.Range(0, n).Select(i => (i, n + i))]), uniformity, rank);
    }
}
