namespace SimCse.Evaluation.Transfer;

/// <summary>A text, or two of them, and what it is an example of.</summary>
/// <param name="Text">Split on white space and joined by single spaces.</param>
/// <param name="Second">The second text of a pair, likewise; null where an example is one text.</param>
/// <param name="Class">The index of its class.</param>
public sealed record TransferExample(string Text, string? Second, int Class);

/// <summary>What a classifier on a model's frozen vectors reaches.</summary>
/// <param name="Name">Such as MR.</param>
/// <param name="Accuracy">Per cent of the examples held back for the test.</param>
/// <param name="DevAccuracy">Per cent of those that λ was chosen by.</param>
/// <param name="L2">The λ that were chosen: one, or one a fold.</param>
/// <param name="TrainExamples">To learn from.</param>
/// <param name="TestExamples">To be judged by; as many as there are where every one is held back once.</param>
/// <param name="Seconds">What it took to fit, without the vectors.</param>
public sealed record TransferTaskResult(string Name, double Accuracy, double DevAccuracy, IReadOnlyList<double> L2, int TrainExamples, int TestExamples, double Seconds);

/// <summary>
/// A transfer task of SentEval (Conneau and Kiela 2018): how well logistic regression on the frozen vectors of a model tells classes apart. An example is its
/// vector x, or [|u − v| ; u ⊙ v] of the two vectors of a pair. λ of the L2 term is one of 1e-5, 1e-4, 1e-3, 1e-2:
/// <list type="bullet">
/// <item>train alone (MR, CR, SUBJ, MPQA): ten folds are held back in turn; λ is chosen by ten folds of the rest;</item>
/// <item>train and test (TREC, MRPC): λ is chosen by ten folds of train;</item>
/// <item>train, dev and test (SST2): λ is chosen by dev.</item>
/// </list>
/// Folds, order and start are those that SentEval's classifiers draw with seed 1111 for examples in the order of the files; the result depends on no thread.
/// (SentEval's tasks sort examples by length before that, to save padding. Another order is as another seed.)
/// </summary>
/// <remarks>Reference: facebookresearch/SentEval, senteval/tools/validation.py, binary.py, trec.py, mrpc.py, sst.py, with usepytorch, kfold 10, adam, batch size 64, tenacity 5, epoch size 4.</remarks>
public sealed class TransferTask
{
    private const int Folds = 10;
    private const uint Seed = 1111;
    private static readonly float[] s_l2 = [1e-5f, 1e-4f, 1e-3f, 1e-2f];

    private readonly TransferExample[] _examples; // train, dev, test
    private readonly int[] _labels;
    private readonly int[] _first;
    private readonly int[]? _second;
    private readonly string[] _texts;
    private readonly int[] _train;
    private readonly int[] _dev;
    private readonly int[] _test;

    /// <param name="name">Such as MR.</param>
    /// <param name="classes">The names of the classes, at least two.</param>
    /// <param name="train">To learn from; at least ten examples.</param>
    /// <param name="dev">To choose λ by; empty for folds of <paramref name="train"/>.</param>
    /// <param name="test">To be judged by; empty for folds of <paramref name="train"/>, and then there is no <paramref name="dev"/>.</param>
    /// <exception cref="ArgumentException">Too few examples or classes; some are pairs and some are not; a dev part without a test part.</exception>
    public TransferTask(string name, IReadOnlyList<string> classes, IReadOnlyList<TransferExample> train, IReadOnlyList<TransferExample> dev, IReadOnlyList<TransferExample> test)
    {
        ArgumentNullException.ThrowIfNull(classes);
        ArgumentNullException.ThrowIfNull(train);
        ArgumentNullException.ThrowIfNull(dev);
        ArgumentNullException.ThrowIfNull(test);
        if (classes.Count < 2 || train.Count < Folds || (dev.Count > 0 && test.Count == 0))
        {
            throw new ArgumentException($"{name} has {classes.Count} classes, {train.Count} examples to learn from, {dev.Count} dev and {test.Count} test examples; expected two classes and {Folds} examples or more, and no dev part without a test part", nameof(train));
        }

        Name = name;
        Classes = classes;
        _examples = [.. train, .. dev, .. test];
        _train = [.. Enumerable.Range(0, train.Count)];
        _dev = [.. Enumerable.Range(train.Count, dev.Count)];
        _test = [.. Enumerable.Range(train.Count + dev.Count, test.Count)];
        _labels = [.. _examples.Select(e => e.Class)];
        bool pairs = _examples[0].Second is not null;
        if (_examples.Any(e => e.Second is not null != pairs || e.Class < 0 || e.Class >= classes.Count))
        {
            throw new ArgumentException($"{name} mixes pairs with single texts, or has an example of a class that is none of its {classes.Count}", nameof(train));
        }

        Dictionary<string, int> known = new(StringComparer.Ordinal);
        _first = [.. _examples.Select(e => NumberOf(e.Text))];
        _second = pairs ? [.. _examples.Select(e => NumberOf(e.Second!))] : null;
        _texts = [.. known.Keys];

        int NumberOf(string text)
        {
            known.TryAdd(text, known.Count);
            return known[text];
        }
    }

    /// <summary>Such as MR.</summary>
    public string Name { get; }

    /// <summary>The names of the classes, by index.</summary>
    public IReadOnlyList<string> Classes { get; }

    /// <summary>Every text once: what has to be encoded.</summary>
    public IReadOnlyList<string> Texts => _texts;

    /// <summary>The number of examples to learn from, to choose λ by, and to be judged by.</summary>
    public (int Train, int Dev, int Test) Counts => (_train.Length, _dev.Length, _test.Length);

    /// <summary>Fits and judges on vectors that were made before.</summary>
    /// <param name="vectors">Row i belongs to <see cref="Texts"/>[i], as the encoder gives it: the length of vectors matters to the L2 term.</param>
    /// <param name="threads">The classifiers fitted side by side.</param>
    /// <param name="fitted">Told the number of classifiers fitted so far.</param>
    /// <param name="cancellationToken">Looked at between passes over the examples.</param>
    /// <exception cref="ArgumentException">The number of rows is not that of the texts.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public TransferTaskResult Score(EmbeddingMatrix vectors, int threads, IProgress<long>? fitted = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Count != _texts.Length)
        {
            throw new ArgumentException($"{Name} has {_texts.Length} texts, not {vectors.Count}", nameof(vectors));
        }

        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        EmbeddingMatrix x = Features(vectors);
        Fits fits = new(x, _labels, Classes.Count, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = threads }, fitted);
        (double accuracy, double dev, double[] l2) = _test.Length == 0 ? FoldsInFolds(fits) : _dev.Length == 0 ? FoldsOfTrain(fits) : ByDev(fits);
        return new TransferTaskResult(Name, accuracy, dev, l2, _train.Length, _test.Length == 0 ? _train.Length : _test.Length, System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private (double Accuracy, double Dev, double[] L2) FoldsInFolds(Fits fits)
    {
        IReadOnlyList<(int[] Train, int[] Test)> outer = StratifiedFolds.Of(_train, _labels, Folds, Seed);
        (int Choice, double Dev)[] chosen = fits.Choose([.. outer.Select(fold => StratifiedFolds.Of(fold.Train, _labels, Folds, Seed))]);
        double[] accuracies = new double[outer.Count];
        fits.Run(outer.Count, i => accuracies[i] = Percent(fits.Fit(outer[i].Train, s_l2[chosen[i].Choice]).Accuracy(outer[i].Test)));
        return (Math.Round(accuracies.Average(), 2), Math.Round(chosen.Average(c => c.Dev), 2), [.. chosen.Select(c => Lambda(c.Choice))]);
    }

    private (double Accuracy, double Dev, double[] L2) FoldsOfTrain(Fits fits)
    {
        (int choice, double dev) = fits.Choose([StratifiedFolds.Of(_train, _labels, Folds, Seed)])[0];
        return (Percent(fits.Fit(_train, s_l2[choice]).Accuracy(_test)), dev, [Lambda(choice)]);
    }

    private (double Accuracy, double Dev, double[] L2) ByDev(Fits fits)
    {
        // SentEval fits once more with the chosen λ: from the same seed, so to the same weights.
        LogisticRegression[] classifiers = new LogisticRegression[s_l2.Length];
        fits.Run(s_l2.Length, i => classifiers[i] = fits.Fit(_train, _dev, s_l2[i]));
        double[] accuracies = [.. classifiers.Select(c => Percent(c.BestAccuracy))];
        int choice = IndexOfBest(accuracies);
        return (Percent(classifiers[choice].Accuracy(_test)), accuracies[choice], [Lambda(choice)]);
    }

    private static double Percent(double accuracy) => Math.Round(100 * accuracy, 2);

    /// <summary>λ as people write it, not as float32 has it.</summary>
    private static double Lambda(int choice) => Math.Round((double)s_l2[choice], 5);

    /// <summary>Of equals the first.</summary>
    private static int IndexOfBest(double[] values) => Array.IndexOf(values, values.Max());

    private EmbeddingMatrix Features(EmbeddingMatrix vectors)
    {
        int h = vectors.Dimensions;
        if (vectors.Values.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            throw new InvalidDataException($"{Name}: the vectors hold a component that is not a finite number");
        }

        int width = _second is null ? h : 2 * h;
        float[] x = new float[_examples.LongLength * width];
        for (int i = 0; i < _examples.Length; i++)
        {
            Span<float> row = x.AsSpan(i * width, width);
            ReadOnlySpan<float> u = vectors[_first[i]];
            if (_second is null)
            {
                u.CopyTo(row);
                continue;
            }

            ReadOnlySpan<float> v = vectors[_second[i]];
            for (int k = 0; k < h; k++)
            {
                row[k] = Math.Abs(u[k] - v[k]);
                row[h + k] = u[k] * v[k];
            }
        }

        return new EmbeddingMatrix(x, _examples.Length, width);
    }

    /// <summary>The classifiers of one task: which there are is known beforehand, so they are fitted side by side.</summary>
    private sealed class Fits(EmbeddingMatrix x, int[] labels, int classes, ParallelOptions options, IProgress<long>? progress)
    {
        private readonly Lock _lock = new();
        private long _done;

        public LogisticRegression Fit(int[] train, int[] heldBack, float l2) => Counted(LogisticRegression.Fit(x, labels, classes, train, heldBack, l2, Seed, options.CancellationToken));

        public LogisticRegression Fit(int[] rows, float l2) => Counted(LogisticRegression.Fit(x, labels, classes, rows, l2, Seed, options.CancellationToken));

        public void Run(int count, Action<int> work) => Parallel.For(0, count, options, work);

        /// <summary>For each set of folds, the λ whose classifiers are best on what each fold holds back, by their mean accuracy in per cent.</summary>
        public (int Choice, double Dev)[] Choose(IReadOnlyList<(int[] Train, int[] Test)>[] sets)
        {
            double[][] accuracies = [.. sets.Select(_ => new double[s_l2.Length * Folds])];
            Run(sets.Length * s_l2.Length * Folds, job =>
            {
                (int set, int at) = Math.DivRem(job, s_l2.Length * Folds);
                (int l2, int fold) = Math.DivRem(at, Folds);
                accuracies[set][at] = Fit(sets[set][fold].Train, sets[set][fold].Test, s_l2[l2]).BestAccuracy;
            });
            return [.. accuracies.Select(set =>
            {
                double[] means = [.. set.Chunk(Folds).Select(folds => Percent(folds.Average()))];
                int best = IndexOfBest(means);
                return (best, means[best]);
            })];
        }

        private LogisticRegression Counted(LogisticRegression classifier)
        {
            lock (_lock)
            {
                progress?.Report(++_done);
            }

            return classifier;
        }
    }
}
