using System.Security.Cryptography;
using System.Text;
using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training;

/// <summary>What the quickstart measured at one time.</summary>
/// <param name="Alignment">mean ‖f(x) − f(x⁺)‖² over held-out members: x the name in words, x⁺ its summary.</param>
/// <param name="Uniformity">log mean exp(−2‖f(x) − f(y)‖²) over the held-out summaries.</param>
/// <param name="EffectiveRank">Of the held-out summaries' vectors.</param>
/// <param name="Retrieval">Finding a member's summary by its name in words.</param>
/// <param name="Spectrum">The singular values of the held-out summaries' vectors, the largest scaled to 1.</param>
public sealed record QuickstartMeasurement(double Alignment, double Uniformity, double EffectiveRank, RetrievalResult Retrieval, IReadOnlyList<double> Spectrum);

/// <summary>An API found for a question.</summary>
/// <param name="Api">Type and member.</param>
/// <param name="Summary">What its documentation says.</param>
/// <param name="Score">The cosine.</param>
public sealed record QuickstartAnswer(string Api, string Summary, float Score);

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

    private const int HeldOutMembers = 2000, ShortestSummary = 5;
    private const long Seed = 42;

    private readonly IReadOnlyList<ApiText> _summaries;
    private readonly RetrievalTask _heldOut;

    private Quickstart(IReadOnlyList<string> texts, IReadOnlyList<ApiText> summaries, RetrievalTask heldOut)
    {
        Texts = texts;
        _summaries = summaries;
        _heldOut = heldOut;
    }

    /// <summary>The distinct texts that are trained on.</summary>
    public IReadOnlyList<string> Texts { get; }

    /// <summary>The number of distinct texts, held-out ones included.</summary>
    public required int DistinctTexts { get; init; }

    /// <summary>SHA-256 of the texts that are trained on.</summary>
    public string DataSha256
    {
        get
        {
            using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
            foreach (string text in Texts)
            {
                hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
            }

            return Convert.ToHexStringLower(hash.GetHashAndReset());
        }
    }

    /// <summary>Reads the documentation, and sets 2,000 members aside: their summaries are in no batch.</summary>
    /// <param name="packs">The SDK's packs folder.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="InvalidDataException">There are too few texts.</exception>
    public static Quickstart Read(string packs, CancellationToken cancellationToken = default)
    {
        List<ApiText> all = [.. SdkDocumentation.Read(packs, cancellationToken)];
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
        List<string> distinct = [.. all.Select(t => t.Text).Distinct(StringComparer.Ordinal)];
        string[] trained = [.. distinct.Where(t => !hidden.Contains(t))];
        RetrievalTask retrieval = new([.. heldOut.Select(InWords)], [.. heldOut.Select(t => t.Text)], [.. Enumerable.Range(0, heldOut.Length)]);
        return new Quickstart(trained, summaries, retrieval) { DistinctTexts = distinct.Count };
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

    /// <summary>Trains the base without labels on the texts.</summary>
    /// <param name="baseModel">The checkpoint to start from.</param>
    /// <param name="output">The directory that receives the model.</param>
    /// <param name="steps">Batches of 64.</param>
    /// <param name="progress">Told after each step and evaluation.</param>
    /// <param name="cancellationToken">Stops after the step under way.</param>
    public TrainingResult Train(string baseModel, string output, int steps, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        using Checkpoint checkpoint = Checkpoint.Open(baseModel);
        Tokenizer tokenizer = Tokenizer.Load(baseModel);
        TrainingOptions options = Options(steps);
        TrainingCorpus corpus = TrainingCorpus.Tokenize([.. Texts.Select(t => (IReadOnlyList<string>)[t])], tokenizer, options.MaxLength, cancellationToken);
        SimCseTrainer trainer = new(options, output)
        {
            DataSource = ("API documentation of the .NET SDK", DataSha256),
            ScoreName = "finding a held-out member's summary by its name, MRR@10 × 100",
            Evaluate = (encoder, token) =>
            {
                QuickstartMeasurement measured = Measure(encoder, token);
                return new DevelopmentScore(100 * measured.Retrieval.MeanReciprocalRankAt10, measured.Alignment, measured.Uniformity);
            },
        };
        return trainer.Run(checkpoint, tokenizer, corpus, resume: false, progress, cancellationToken);
    }

    /// <summary>The documented members that lie nearest to a question.</summary>
    /// <param name="encoder">The trained model.</param>
    /// <param name="top">How many a question.</param>
    /// <param name="cancellationToken">Stops encoding.</param>
    public IReadOnlyList<(string Question, IReadOnlyList<QuickstartAnswer> Answers)> Ask(ISentenceEncoder encoder, int top, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        Search.ExactIndex index = new(encoder.Encode([.. _summaries.Select(s => s.Text)], cancellationToken));
        EmbeddingMatrix questions = encoder.Encode(Questions, cancellationToken);
        return [.. Questions.Select((question, q) => (question, (IReadOnlyList<QuickstartAnswer>)[.. index.Search(questions[q], top)
            .Select(hit => new QuickstartAnswer(_summaries[hit.Row].ShortName, _summaries[hit.Row].Text, hit.Score))]))];
    }

    /// <summary>The settings of the quickstart's training.</summary>
    internal static TrainingOptions Options(int steps) => new()
    {
        Pooling = Pooling.Avg,
        LearningRate = 1e-4,
        MaxSteps = steps,
        EvalSteps = Math.Max(1, steps / 10),
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
