namespace SimCse.Evaluation;

/// <summary>Two sentences and how similar people found them.</summary>
/// <param name="First">The first sentence, split on white space and joined by single spaces.</param>
/// <param name="Second">The second sentence, likewise.</param>
/// <param name="Score">The gold score: 0 to 5 (STS), 1 to 5 (SICK).</param>
public sealed record StsPair(string First, string Second, double Score);

/// <summary>One of the files that a year of STS is made of, such as MSRpar of STS12.</summary>
public sealed record StsSubset(string Name, IReadOnlyList<StsPair> Pairs);

/// <summary>
/// A semantic textual similarity set: pairs of sentences with gold scores, judged by the Spearman correlation of the cosines of their vectors
/// with the gold scores. Reference: SentEval's STS tasks as the SimCSE repository runs them.
/// </summary>
public sealed class StsTask
{
    private readonly int[] _first;
    private readonly int[] _second;
    private readonly double[] _gold;
    private readonly string[] _sentences;

    /// <param name="name">Such as STS12.</param>
    /// <param name="subsets">At least one, each with at least one pair; a set that has no parts is one subset.</param>
    /// <exception cref="ArgumentException">There is no subset, or an empty one.</exception>
    public StsTask(string name, IReadOnlyList<StsSubset> subsets)
    {
        ArgumentNullException.ThrowIfNull(subsets);
        if (subsets.Count == 0 || subsets.Any(s => s.Pairs.Count == 0))
        {
            throw new ArgumentException($"{name} has no pairs", nameof(subsets));
        }

        Name = name;
        Subsets = subsets;
        int pairs = subsets.Sum(s => s.Pairs.Count);
        _first = new int[pairs];
        _second = new int[pairs];
        _gold = new double[pairs];
        Dictionary<string, int> known = new(StringComparer.Ordinal);
        int at = 0;
        foreach (StsPair pair in subsets.SelectMany(s => s.Pairs))
        {
            _first[at] = NumberOf(known, pair.First);
            _second[at] = NumberOf(known, pair.Second);
            _gold[at++] = pair.Score;
        }

        _sentences = [.. known.Keys];
    }

    /// <summary>Such as STS12, or STSB-dev.</summary>
    public string Name { get; }

    /// <summary>The parts; a set that has none is one subset of its own name.</summary>
    public IReadOnlyList<StsSubset> Subsets { get; }

    /// <summary>The number of pairs in all subsets together.</summary>
    public int PairCount => _gold.Length;

    /// <summary>Every sentence once, in the order of first use: what has to be encoded.</summary>
    public IReadOnlyList<string> Sentences => _sentences;

    /// <summary>Reads one TSV file with a header that names the columns <c>score</c>, <c>sentence1</c> and <c>sentence2</c> (others are passed over).</summary>
    /// <param name="path">UTF-8; tab is the only separator, there is no quoting.</param>
    /// <param name="name">The task's name; the file's without ending where null.</param>
    /// <exception cref="InvalidDataException">A row is wrong: the message has file, line, column and what was expected.</exception>
    public static StsTask Read(string path, string? name = null)
    {
        string taskName = name ?? Path.GetFileNameWithoutExtension(path);
        return new StsTask(taskName, [new StsSubset(taskName, StsFiles.ReadTable(path, double.MinValue, double.MaxValue))]);
    }

    /// <summary>Encodes every sentence once and scores the pairs.</summary>
    /// <param name="encoder">Its raw vectors are used; the cosine normalises.</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    public StsTaskResult Evaluate(ISentenceEncoder encoder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return Score(encoder.Encode(_sentences, cancellationToken));
    }

    /// <summary>Scores vectors that were made before.</summary>
    /// <param name="vectors">Row i belongs to <see cref="Sentences"/>[i]; raw or normalised.</param>
    /// <exception cref="ArgumentException">The number of rows is not that of the sentences.</exception>
    public StsTaskResult Score(EmbeddingMatrix vectors)
    {
        RequireRows(vectors);
        return Score(vectors, rows: null);
    }

    /// <summary>The pairs of <see cref="Sentences"/> that people scored above a bound: the positive pairs of alignment.</summary>
    /// <param name="bound">4 in the paper.</param>
    public IReadOnlyList<(int First, int Second)> PairsAbove(double bound) =>
        [.. Enumerable.Range(0, _gold.Length).Where(i => _gold[i] > bound).Select(i => (_first[i], _second[i]))];

    /// <summary>The cosines of the pairs that people scored above a bound and not above another.</summary>
    internal double[] CosinesOfPairs(EmbeddingMatrix vectors, double above, double upTo)
    {
        double[] cosines = Cosines(vectors, rows: null);
        return [.. cosines.Where((_, i) => _gold[i] > above && _gold[i] <= upTo)];
    }

    internal void RequireRows(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Count != _sentences.Length)
        {
            throw new ArgumentException($"{Name} has {_sentences.Length} sentences, not {vectors.Count}", nameof(vectors));
        }
    }

    /// <param name="vectors">Holds at least the vectors of this task.</param>
    /// <param name="rows">The row of each sentence; null where row i is sentence i's.</param>
    internal StsTaskResult Score(EmbeddingMatrix vectors, int[]? rows)
    {
        double[] cosines = Cosines(vectors, rows);
        List<StsSubsetResult> subsets = [];
        int start = 0;
        foreach (StsSubset subset in Subsets)
        {
            int count = subset.Pairs.Count;
            subsets.Add(new StsSubsetResult(subset.Name, 100 * Correlation.Spearman(cosines.AsSpan(start, count), _gold.AsSpan(start, count)), count));
            start += count;
        }

        return new StsTaskResult(
            Name,
            All: 100 * Correlation.Spearman(cosines, _gold),
            Mean: subsets.Average(s => s.Spearman),
            WeightedMean: subsets.Sum(s => s.Spearman * s.Pairs) / _gold.Length,
            Pairs: _gold.Length,
            Subsets: subsets.Count == 1 ? [] : subsets);
    }

    private double[] Cosines(EmbeddingMatrix vectors, int[]? rows)
    {
        double[] cosines = new double[_gold.Length];
        for (int i = 0; i < cosines.Length; i++)
        {
            int first = rows?[_first[i]] ?? _first[i];
            int second = rows?[_second[i]] ?? _second[i];
            cosines[i] = Cosine.Of(vectors[first], vectors[second]);
        }

        return cosines;
    }

    private static int NumberOf(Dictionary<string, int> known, string sentence)
    {
        ref int number = ref System.Runtime.InteropServices.CollectionsMarshal.GetValueRefOrAddDefault(known, sentence, out bool exists);
        if (!exists)
        {
            number = known.Count - 1;
        }

        return number;
    }
}
