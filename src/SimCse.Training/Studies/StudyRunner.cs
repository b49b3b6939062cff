using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Evaluation;
using SimCse.Evaluation.Plots;
using SimCse.Training.Data;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;

namespace SimCse.Training.Studies;

/// <summary>A run of a study that is about to start.</summary>
/// <param name="Number">Its place among the runs that are still to be made, from 1.</param>
/// <param name="Of">How many those are.</param>
/// <param name="Variant">The cell.</param>
/// <param name="Seed">The seed.</param>
public sealed record StudyRunStart(int Number, int Of, StudyVariant Variant, long Seed);

/// <summary>How much is still to be done.</summary>
/// <param name="Runs">Of the study.</param>
/// <param name="OnDisk">Those that an earlier command has made.</param>
/// <param name="Remaining">What the others will take, from a step and an evaluation that were timed.</param>
public sealed record StudyForecast(int Runs, int OnDisk, TimeSpan Remaining);

/// <summary>
/// Makes the runs of studies, each once: a run is a folder under <c>runs</c> named by a hash of everything that decides it (weights, options, data, what judges it), so that studies share runs, a killed
/// study goes on, and a change of any setting is another run. Its weights are removed when it is over, unless they are wanted.
/// </summary>
/// <param name="sources">The data.</param>
/// <param name="folder">The folder of all studies.</param>
public sealed class StudyRunner(StudySources sources, string folder)
{
    private const string FailureFile = "failure.txt";

    private readonly string _model = sources.Checkpoint.HashWeights(CancellationToken.None);

    /// <summary>Judges a model during training.</summary>
    public required Func<ISentenceEncoder, CancellationToken, DevelopmentScore> Evaluate { get; init; }

    /// <summary>What the score is called.</summary>
    public required string ScoreName { get; init; }

    /// <summary>SHA-256 of what judges.</summary>
    public required string JudgedBy { get; init; }

    /// <summary>Whether the runs keep their models.</summary>
    public bool KeepModels { get; init; }

    /// <summary>Times a step and an evaluation, and says what the runs that are not on disk will take.</summary>
    /// <param name="study">The study.</param>
    /// <param name="seeds">The seeds of every cell.</param>
    /// <param name="cancellationToken">Stops.</param>
    public StudyForecast Forecast(Study study, IReadOnlyList<long> seeds, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(study);
        (StudyVariant Variant, long Seed)[] runs = [.. Runs(study, seeds)], missing = [.. runs.Where(r => !IsDone(FolderOf(r.Variant, r.Seed)))];
        if (missing.Length == 0)
        {
            return new StudyForecast(runs.Length, runs.Length, TimeSpan.Zero);
        }

        StudyVariant first = missing[0].Variant;
        using TrainingCorpus corpus = Corpus(first, missing[0].Seed, cancellationToken);
        using SimCseModel model = SimCseModel.FromCheckpoint(sources.Checkpoint, sources.Checkpoint.Config, first.Options.Pooling, first.Options.MlpOnlyTrain, seed: 0, first.Options.Precision);
        using AdamW optimizer = new(model.Parameters);
        ContrastiveStep step = new(model, optimizer, new ContrastiveLoss(), seed: 0);
        int rows = Math.Min(corpus.Rows, 64);
        ContrastiveBatch batch = corpus.Batch([.. Enumerable.Range(0, rows)]);
        step.Run(batch, 0, 0); // compiles and packs
        Stopwatch watch = Stopwatch.StartNew();
        step.Run(batch, 1, 0);
        step.Run(batch, 2, 0);
        double perText = watch.Elapsed.TotalSeconds / (2.0 * rows * batch.EncodedViews.Count);
        watch.Restart();
        Evaluate(new TrainedEncoder(model, sources.Tokenizer, sources.Checkpoint.Config.MaxTokens), cancellationToken);
        double perEvaluation = watch.Elapsed.TotalSeconds;
        double seconds = missing.Sum(run =>
        {
            int steps = Steps(run.Variant.Options, corpus.Rows);
            double passes = run.Variant.Data.Views + (run.Variant.Options.DoMlm ? 1.5 * run.Variant.Data.Views : 0);
            return (steps * run.Variant.Options.BatchSize * passes * perText) + (((steps / run.Variant.Options.EvalSteps) + 2) * perEvaluation);
        });
        return new StudyForecast(runs.Length, runs.Length - missing.Length, TimeSpan.FromSeconds(seconds));
    }

    /// <summary>Makes the runs that are not on disk, seed by seed, and reports every cell after each.</summary>
    /// <param name="study">The study.</param>
    /// <param name="seeds">The seeds of every cell.</param>
    /// <param name="starting">Told of each run that is made.</param>
    /// <param name="show">Runs a training with something that watches it.</param>
    /// <param name="finished">Told the cells as they are after each run, those without a finished run left out.</param>
    /// <param name="cancellationToken">Stops after the step under way; the same call goes on.</param>
    public IReadOnlyList<StudyCell> Run(
        Study study, IReadOnlyList<long> seeds, Action<StudyRunStart> starting, Func<Func<IProgress<TrainingProgress>, TrainingResult>, TrainingResult> show, Action<IReadOnlyList<StudyCell>> finished,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(study);
        ArgumentNullException.ThrowIfNull(starting);
        ArgumentNullException.ThrowIfNull(show);
        ArgumentNullException.ThrowIfNull(finished);
        (StudyVariant Variant, long Seed)[] runs = [.. Runs(study, seeds)];
        int missing = runs.Count(r => !IsDone(FolderOf(r.Variant, r.Seed))), number = 0;
        List<StudyRun> done = [.. runs.Where(r => IsDone(FolderOf(r.Variant, r.Seed))).Select(r => Read(r.Variant, r.Seed))];
        foreach ((StudyVariant variant, long seed) in runs)
        {
            string directory = FolderOf(variant, seed);
            if (IsDone(directory))
            {
                if (!done.Any(r => r.Variant == variant && r.Seed == seed))
                {
                    done.Add(Read(variant, seed)); // another cell of this study has just made the same run
                }

                continue;
            }

            starting(new StudyRunStart(++number, missing, variant, seed));
            Train(variant, seed, directory, show, cancellationToken);
            done.Add(Read(variant, seed));
            finished(Cells());
        }

        return Cells();

        IReadOnlyList<StudyCell> Cells() => [.. study.Variants.Select(v => new StudyCell(v, [.. done.Where(r => r.Variant == v).OrderBy(r => r.Seed)])).Where(c => c.Runs.Count > 0)];
    }

    private static IEnumerable<(StudyVariant Variant, long Seed)> Runs(Study study, IReadOnlyList<long> seeds) => seeds.SelectMany(seed => study.Variants.Select(v => (v, seed)));

    private static bool IsDone(string directory) => File.Exists(Path.Combine(directory, TrainingLoop.FinishedFile)) || File.Exists(Path.Combine(directory, FailureFile));

    private static int Steps(TrainingOptions options, int rows) => options.MaxSteps ?? ((rows + options.BatchSize - 1) / options.BatchSize * options.Epochs);

    private void Train(StudyVariant variant, long seed, string directory, Func<Func<IProgress<TrainingProgress>, TrainingResult>, TrainingResult> show, CancellationToken cancellationToken)
    {
        using TrainingCorpus corpus = Corpus(variant, seed, cancellationToken);
        SimCseTrainer trainer = new(Options(variant, seed), directory)
        {
            DataSource = (variant.Data.Name, variant.Data.Source(sources)),
            Evaluate = Evaluate,
            ScoreName = ScoreName,
        };
        try
        {
            show(progress => trainer.Run(sources.Checkpoint, sources.Tokenizer, corpus, resume: true, progress, cancellationToken));
        }
        catch (FailedRunException e)
        {
            File.WriteAllText(Path.Combine(directory, FailureFile), e.Message + "\n");
        }

        if (!KeepModels)
        {
            RemoveModel(directory);
        }
    }

    /// <summary>Leaves of a run what tells how it went.</summary>
    private static void RemoveModel(string directory)
    {
        string[] kept = [TrainingLoop.FinishedFile, MetricsLog.FileName, FailureFile, "manifest.json"];
        foreach (string file in Directory.GetFiles(directory, "*", SearchOption.AllDirectories).Where(f => !kept.Contains(Path.GetRelativePath(directory, f), StringComparer.Ordinal)))
        {
            File.Delete(file);
        }

        foreach (string inner in Directory.GetDirectories(directory))
        {
            Directory.Delete(inner, recursive: true);
        }
    }

    private TrainingCorpus Corpus(StudyVariant variant, long seed, CancellationToken cancellationToken) =>
        TrainingCorpus.Tokenize(variant.Data.Rows(sources, seed, cancellationToken), sources.Tokenizer, Math.Min(variant.Options.MaxLength, sources.Checkpoint.Config.MaxTokens), cancellationToken);

    private StudyRun Read(StudyVariant variant, long seed)
    {
        string directory = FolderOf(variant, seed);
        IReadOnlyList<MetricsLine> lines = MetricsLog.Read(directory);
        AlignmentUniformityPoint[] course = [.. lines.Where(l => l is { Alignment: not null, Uniformity: not null }).Select(l => new AlignmentUniformityPoint(l.Step, l.Alignment!.Value, l.Uniformity!.Value))];
        string failure = Path.Combine(directory, FailureFile);
        if (File.Exists(failure))
        {
            return new StudyRun(variant, seed, null, null, null, lines.Count == 0 ? 0 : lines[^1].Step, 0, course, File.ReadAllText(failure).Trim());
        }

        string path = Path.Combine(directory, TrainingLoop.FinishedFile);
        try
        {
            JsonObject json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
            int best = json["best_step"]!.GetValue<int>();
            MetricsLine at = lines.Last(l => l.Step == best);
            return new StudyRun(variant, seed, json["best_dev"]!.GetValue<double>(), at.Alignment, at.Uniformity, best, json["seconds"]!.GetValue<double>(), course, null);
        }
        catch (Exception e) when (e is JsonException or NullReferenceException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{path}: not the record of a training run; remove its folder to make the run again: {e.Message}", e);
        }
    }

    private static TrainingOptions Options(StudyVariant variant, long seed) => variant.Options with { Seed = seed };

    private string FolderOf(StudyVariant variant, long seed)
    {
        JsonObject identity = Options(variant, seed).ToJson();
        identity["model"] = _model;
        identity["rows"] = variant.Data.Name;
        identity["data"] = variant.Data.Source(sources);
        identity["limit"] = sources.Limit;
        identity["judged-by"] = JudgedBy;
        return Path.Combine(folder, "runs", Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(identity.ToJsonString())))[..16]);
    }
}
