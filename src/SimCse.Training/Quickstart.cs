using System.Text;
using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Evaluation;
using SimCse.Evaluation.Plots;
using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training;

/// <summary>What the quickstart measured at one time.</summary>
/// <param name="Alignment">mean ‖f(x) − f(x⁺)‖² over held-out members: x the name in words, x⁺ its summary.</param>
/// <param name="Uniformity">log mean exp(−2‖f(x) − f(y)‖²) over the held-out summaries.</param>
/// <param name="EffectiveRank">Of the held-out summaries' vectors.</param>
/// <param name="Retrieval">Finding a member's summary by its name in words.</param>
/// <param name="Spectrum">The singular values of the held-out summaries' vectors, the largest scaled to 1.</param>
public sealed record QuickstartMeasurement(double Alignment, double Uniformity, double EffectiveRank, RetrievalResult Retrieval, IReadOnlyList<double> Spectrum)
{
    /// <summary>As a training run is judged by it: MRR@10 × 100.</summary>
    public DevelopmentScore AsDevelopmentScore() => new(100 * Retrieval.MeanReciprocalRankAt10, Alignment, Uniformity);
}

/// <summary>An API found for a question.</summary>
/// <param name="Api">Type and member.</param>
/// <param name="Summary">What its documentation says.</param>
/// <param name="Score">The cosine.</param>
public sealed record QuickstartAnswer(string Api, string Summary, float Score);

/// <summary>What the quickstart found.</summary>
/// <param name="Before">The base.</param>
/// <param name="After">The trained model, as it is stored.</param>
/// <param name="Course">Alignment and uniformity along the run.</param>
/// <param name="Training">How the training went.</param>
/// <param name="Answers">The APIs nearest to each question.</param>
public sealed record QuickstartReport(
    QuickstartMeasurement Before, QuickstartMeasurement After, IReadOnlyList<AlignmentUniformityPoint> Course, TrainingResult Training,
    IReadOnlyList<(string Question, IReadOnlyList<QuickstartAnswer> Answers)> Answers);

/// <summary>
/// The main job on what every .NET SDK brings: unsupervised SimCSE on the API documentation, judged on members that training never saw.
/// </summary>
public sealed class Quickstart
{
    /// <summary>The questions that are answered at the end.</summary>
    public static IReadOnlyList<string> Questions { get; } =
    [
        "how do I read a file line by line",
        "wait for several tasks to finish",
        "turn a string into a number without throwing",
    ];

    /// <summary>Batches of 64 texts that take about two minutes on two cores.</summary>
    public const int DefaultSteps = 180;

    private const int HeldOutMembers = 1000, ShortestSummary = 5, Answers = 5, Evaluations = 6;
    private const string Marker = ".quickstart";
    private const long Seed = 42;

    private readonly IReadOnlyList<ApiText> _summaries;
    private readonly RetrievalTask _heldOut;

    private Quickstart(IReadOnlyList<string> texts, IReadOnlyList<ApiText> summaries, RetrievalTask heldOut)
    {
        Texts = texts;
        _summaries = summaries;
        _heldOut = heldOut;
    }

    /// <summary>The distinct texts that are trained on: the documentation and, as texts of their own, the names in words.</summary>
    public IReadOnlyList<string> Texts { get; }

    /// <summary>The number of distinct texts of the documentation, held-out ones included.</summary>
    public required int DistinctTexts { get; init; }

    /// <summary>Some of the texts that are trained on, drawn at random but the same each time.</summary>
    /// <param name="count">At most how many.</param>
    public (string Name, IReadOnlyList<string> Texts) Sample(int count) =>
        ("API documentation of the .NET SDK", [.. new CounterRandom(Seed, 101).Permutation(Texts.Count, 0).Take(count).Select(i => Texts[i])]);

    /// <summary>Reads the documentation, and sets 1,000 members aside: neither their summaries nor their names are in a batch.</summary>
    /// <param name="packs">The SDK's packs folder.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="InvalidDataException">There are too few texts.</exception>
    public static Quickstart Read(string packs, CancellationToken cancellationToken = default)
    {
        // The intrinsics are documented by the signatures of C functions, which are no sentences.
        List<ApiText> all = [.. SdkDocumentation.Read(packs, cancellationToken).Where(t => !t.Member.StartsWith("System.Runtime.Intrinsics.", StringComparison.Ordinal))];
        List<ApiText> summaries = [.. all.Where(t => string.Equals(t.Kind, "summary", StringComparison.Ordinal)).DistinctBy(t => t.Text, StringComparer.Ordinal)];
        ApiText[] candidates = [.. summaries
            .Where(t => Words(t.Text) >= ShortestSummary && Words(InWords(t)) >= 2)
            .DistinctBy(InWords, StringComparer.Ordinal)];
        if (candidates.Length < 2 * HeldOutMembers)
        {
            throw new InvalidDataException($"{packs}: {candidates.Length} documented members; expected at least {2 * HeldOutMembers}, as a complete SDK has");
        }

        int[] order = new CounterRandom(Seed, 100).Permutation(candidates.Length, 0);
        ApiText[] heldOut = [.. order.Take(HeldOutMembers).Order().Select(i => candidates[i])];
        HashSet<string> hidden = [.. heldOut.Select(t => t.Text)];
        hidden.UnionWith(heldOut.Select(InWords));
        string[] documented = [.. all.Select(t => t.Text).Distinct(StringComparer.Ordinal)];
        // The names belong to the texts: without them short texts are strangers to the encoder, and it puts all of them in one corner.
        IEnumerable<string> names = all.Select(InWords).Where(n => Words(n) >= 2);
        string[] trained = [.. documented.Concat(names).Distinct(StringComparer.Ordinal).Where(t => !hidden.Contains(t))];
        RetrievalTask retrieval = new([.. heldOut.Select(InWords)], [.. heldOut.Select(t => t.Text)], [.. Enumerable.Range(0, heldOut.Length)]);
        return new Quickstart(trained, summaries, retrieval) { DistinctTexts = documented.Length };
    }

    /// <summary>Judges an encoder on the held-out members.</summary>
    public QuickstartMeasurement Measure(ISentenceEncoder encoder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        int n = _heldOut.Corpus.Count;
        EmbeddingMatrix queries = encoder.Encode(_heldOut.Queries, cancellationToken), corpus = encoder.Encode(_heldOut.Corpus, cancellationToken);
        float[] both = [.. queries.Values, .. corpus.Values];
        EmbeddingMatrix all = new(both, 2 * n, encoder.Dimensions);
        double[] spectrum = Geometry.SingularSpectrum(corpus);
        return new QuickstartMeasurement(
            Geometry.Alignment(all, [.. Enumerable.Range(0, n).Select(i => (i, n + i))]), Geometry.Uniformity(corpus), Geometry.EffectiveRank(spectrum), _heldOut.Score(queries, corpus), spectrum);
    }

    /// <summary>What a score during training is called.</summary>
    public const string ScoreName = "held-out MRR@10 × 100";

    /// <summary>SHA-256 of what judges.</summary>
    public string HeldOutHash => PretrainingTexts.Hash(_heldOut.Queries.Concat(_heldOut.Corpus));

    /// <summary>The number of members held out.</summary>
    public int HeldOut => _heldOut.Corpus.Count;

    /// <summary>Throws where the output holds something that no earlier quickstart wrote.</summary>
    /// <exception cref="IOException">Which directory.</exception>
    public static void RequireReplaceable(string output)
    {
        if (File.Exists(output) || (Directory.Exists(output) && Directory.EnumerateFileSystemEntries(output).Any() && !File.Exists(Path.Combine(output, Marker))))
        {
            throw new IOException($"{output} holds something else than an earlier quickstart; choose another --output");
        }
    }

    /// <summary>Measures the base, trains it without labels on the texts, and measures and asks what came out, as it is stored.</summary>
    /// <param name="baseModel">The checkpoint to start from.</param>
    /// <param name="output">The directory that receives the model; an earlier quickstart's is replaced.</param>
    /// <param name="steps">Batches of 64 texts.</param>
    /// <param name="show">Runs the training with something that watches it.</param>
    /// <param name="cancellationToken">Stops after the step under way.</param>
    /// <exception cref="IOException">The output holds something else.</exception>
    public QuickstartReport Run(string baseModel, string output, int steps, Func<Func<IProgress<TrainingProgress>, TrainingResult>, TrainingResult> show, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(show);
        RequireReplaceable(output);
        if (Directory.Exists(output))
        {
            Directory.Delete(output, recursive: true);
        }

        Directory.CreateDirectory(output);
        AtomicFile.Write(Path.Combine(output, Marker), _ => { });
        using Checkpoint checkpoint = Checkpoint.Open(baseModel);
        Tokenizer tokenizer = Tokenizer.Load(baseModel);
        TrainingOptions options = Options(steps);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(Texts.Select(t => (IReadOnlyList<string>)[t]), tokenizer, options.MaxLength, cancellationToken);
        QuickstartMeasurement? before = null;
        SimCseTrainer trainer = new(options, output)
        {
            DataSource = ("API documentation of the .NET SDK", PretrainingTexts.Hash(Texts)),
            ScoreName = ScoreName,
            Evaluate = (encoder, token) =>
            {
                QuickstartMeasurement measured = Measure(encoder, token);
                before ??= measured;
                return measured.AsDevelopmentScore();
            },
        };
        TrainingResult result = show(progress => trainer.Run(checkpoint, tokenizer, corpus, resume: false, progress, cancellationToken));
        using SentenceEncoder trained = SentenceEncoder.Load(output);
        AlignmentUniformityPoint[] course = [.. MetricsLog.Read(output)
            .Where(m => m is { Alignment: not null, Uniformity: not null }).Select(m => new AlignmentUniformityPoint(m.Step, m.Alignment!.Value, m.Uniformity!.Value))];
        return new QuickstartReport(before!, Measure(trained, cancellationToken), course, result, Ask(trained, Answers, cancellationToken));
    }

    /// <summary>The documented members that lie nearest to a question, each by its name in words and its summary.</summary>
    /// <param name="encoder">The trained model.</param>
    /// <param name="top">How many a question.</param>
    /// <param name="cancellationToken">Stops encoding.</param>
    private IReadOnlyList<(string Question, IReadOnlyList<QuickstartAnswer> Answers)> Ask(SentenceEncoder encoder, int top, CancellationToken cancellationToken = default)
    {
        Search.ExactIndex index = new(encoder.Encode([.. _summaries.Select(s => $"{InWords(s)}: {s.Text}")], cancellationToken));
        EmbeddingMatrix questions = encoder.Encode(Questions, cancellationToken);
        return [.. Questions.Select((question, q) => (question, (IReadOnlyList<QuickstartAnswer>)[.. index.Search(questions[q], top)
            .Select(hit => new QuickstartAnswer(_summaries[hit.Row].ShortName, _summaries[hit.Row].Text, hit.Score))]))];
    }

    /// <summary>The settings of the quickstart's training.</summary>
    internal static TrainingOptions Options(int steps) => new()
    {
        Pooling = Pooling.StaticFirstLast,
        LearningRate = 1e-4,
        MaxSteps = steps,
        EvalSteps = Math.Max(1, steps / Evaluations),
        SaveSteps = steps,
        Seed = Seed,
    };

    /// <summary>A member's type and name as words: <c>File.ReadAllLines</c> is 'file read all lines'.</summary>
    internal static string InWords(ApiText text)
    {
        StringBuilder words = new();
        string name = text.ShortName;
        for (int i = 0; i < name.Length; i++)
        {
            bool starts = char.IsUpper(name[i]) && i > 0 && (char.IsLower(name[i - 1]) || (i + 1 < name.Length && char.IsLower(name[i + 1])));
            words.Append(starts ? " " : "").Append(char.IsLetterOrDigit(name[i]) ? char.ToLowerInvariant(name[i]) : ' ');
        }

        return string.Join(' ', words.ToString().Split(' ', StringSplitOptions.RemoveEmptyEntries));
    }

    private static int Words(string text) => text.Count(c => c == ' ') + 1;
}
