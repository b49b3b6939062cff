using System.CommandLine;
using System.Globalization;
using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training;
using SimCse.Training.Studies;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse ablate</c>.</summary>
internal static class AblateCommand
{
    private static readonly TrainingOptions s_defaults = new();

    private static readonly Argument<string> s_study = new Argument<string>("STUDY") { Description = string.Join(", ", Study.Names) }.AcceptOnlyFromAmong([.. Study.Names]);

    private static readonly Option<string?> s_model = CliOption.Base();
    private static readonly Option<string> s_output = new("--output") { HelpName = "DIR", Description = "receives NAME.md, NAME.json and NAME.svg, and under runs what they come from", DefaultValueFactory = _ => "ablations" };
    private static readonly Option<string?> s_data = CliOption.Text("--data", "FILE", "sentences of the unsupervised runs; the API documentation of the .NET SDK where it is not given");
    private static readonly Option<string?> s_runningText = CliOption.Text("--running-text", "FILE", "sentences in the order in which they were written, for the study 'objective'; --data where it is not given");
    private static readonly Option<string?> s_triplets = CliOption.Text("--triplets", "FILE", "premises, entailments and contradictions, for supervised runs");
    private static readonly Option<string[]> s_also = new("--also") { HelpName = "FILE", Description = "more pairs or triplets to compare with in the study 'supervised'; may be given several times" };
    private static readonly Option<string?> s_wordNet = CliOption.Text("--wordnet", "DIR", "a folder with WordNet's database files, for synonym replacement");
    private static readonly Option<string?> s_evalData = CliOption.Text("--eval-data", "DIR", "a folder with STS-B dev, which judges; where it is not given, finding held-out members of the API documentation does");

    private static readonly Option<int?> s_sentences = CliOption.Whole("--sentences", "N", "rows that a run trains on", 5000, least: 2);
    private static readonly Option<int?> s_seeds = CliOption.Whole("--seeds", "N", "runs of each cell, with seeds 1 to N", 3, least: 1);
    private static readonly Option<int?> s_maxSteps = CliOption.Whole("--max-steps", "N", "steps of a run at most; one epoch where it is not given", null, least: 1);
    private static readonly Option<int?> s_batchSize = CliOption.Whole("--batch-size", "N", "rows a step", s_defaults.BatchSize);
    private static readonly Option<double?> s_learningRate = CliOption.Number("--learning-rate", "R", "at the first step; falls linearly to zero", s_defaults.LearningRate);
    private static readonly Option<int?> s_evalSteps = CliOption.Whole("--eval-steps", "N", "steps between evaluations; four a run where it is not given (the study 'alignment': every 10)", null, least: 1);
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is trained; cls has the MLP head, which unsupervised runs drop at test; the model's own, or cls, where it is not given", null);
    private static readonly Option<double?> s_sigRegWeight = CliOption.Number("--sigreg-weight", "L", "λ of the JEPA rows of 'objective'", s_defaults.SigRegWeight);
    private static readonly Option<int?> s_projectionWidth = CliOption.Whole("--projection-width", "P", "the projection of the JEPA rows of 'objective'", s_defaults.ProjectionWidth, least: 1);
    private static readonly Option<bool> s_keepModels = CliOption.Flag("--keep-models", "keep the model of every run");

    private static readonly Option<string> s_precision = TrainingPlace.Precision();
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<bool> s_json = CliOption.Json("print the table and the runs as JSON");

    public static Command Create()
    {
        DocumentedCommand command = new("ablate", "run a study of the paper at your scale")
        {
            Details = """
                Trains every cell of one of the paper's tables with every seed, and writes the table beside the paper's figures, with a plot:
                  dropout       table 3: the probability, and masks that both passes share
                  alignment     figure 2: alignment and uniformity every 10 steps of four runs
                  augmentation  table 1: crop, word deletion, synonyms, masked words, against dropout
                  objective     table 2: next sentence, delete one word, SimCSE; one encoder and two; JEPA
                  supervised    tables 4 and 7: which pairs are positive, hard negatives and their weight
                  pooling       table 6    temperature   table D.1    mlm   table D.2    batch-size   section 6
                  jepa          the weight of SIGReg and the width of the projection, for two kinds of views
                Runs are kept, and used again by this and other studies; after Ctrl-C or a crash the same command goes on.
                """,
            Examples =
            [
                "simcse ablate dropout --max-steps 60 --seeds 1",
                "simcse ablate dropout --model models/base --data sentences.txt --eval-data data --learning-rate 5e-5 --precision bf16",
                "simcse ablate supervised --model models/base --triplets nli.tsv --also captions.tsv --eval-data data",
            ],
        };
        command.Arguments.Add(s_study);
        command
            .With("what to train on", s_model, s_output, s_data, s_runningText, s_triplets, s_also, s_wordNet, s_evalData, ConfigFile.Option)
            .With("scale and settings", s_sentences, s_seeds, s_maxSteps, s_batchSize, s_learningRate, s_evalSteps, s_pooling, s_sigRegWeight, s_projectionWidth, s_keepModels)
            .With("running", s_precision, s_threads, s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        TrainingPlace.SetThreads(parsed.GetValue(s_threads));
        string output = parsed.GetRequiredValue(s_output);
        int limit = parsed.GetValue(s_sentences)!.Value;
        Quickstart? documentation = parsed.GetValue(s_data) is null || parsed.GetValue(s_evalData) is null ? Quickstart.Read(SdkDocumentation.FindPacks(), cancellationToken) : null;
        using Checkpoint checkpoint = Checkpoint.Open(ModelLocation.FindBase(parsed.GetValue(s_model)));
        StudySources sources = Sources(parsed, checkpoint, documentation, limit, cancellationToken);
        Study study = Study.Named(parsed.GetRequiredValue(s_study), Settings(parsed, sources));
        long[] seeds = [.. Enumerable.Range(1, parsed.GetValue(s_seeds)!.Value).Select(i => (long)i)];
        StudyRunner runner = Runner(parsed, documentation, sources, output);
        Directory.CreateDirectory(output);
        StudyForecast forecast = runner.Forecast(study, seeds, cancellationToken);
        Log.Info(string.Create(CultureInfo.InvariantCulture, $"{study.Title}: {forecast.Runs} runs{(forecast.OnDisk > 0 ? $", {forecast.OnDisk} of them on disk" : "")}; about {Math.Ceiling(forecast.Remaining.TotalMinutes):0} minutes"));

        IReadOnlyList<StudyCell> cells;
        try
        {
            cells = runner.Run(
                study, seeds,
                start => Log.Info($"run {start.Number} of {start.Of}: {start.Variant.Row}{(start.Variant.Column.Length > 0 ? ", " + start.Variant.Column : "")}, seed {start.Seed}"),
                run => TrainingDisplay.Show(runner.ScoreName, run),
                sofar => Report(sofar).Write(output),
                cancellationToken);
        }
        catch (OperationCanceledException e)
        {
            throw new InterruptedRunException($"the study was stopped; its runs are kept in {output}, and the same command goes on", e);
        }

        StudyReport report = Report(cells);
        IReadOnlyList<string> files = report.Write(output);
        parsed.InvocationConfiguration.Output.WriteLine(parsed.GetValue(s_json) ? report.ToJson().ToJsonString() : report.ToMarkdown());
        Log.Info(string.Join('\n', files));
        return ExitStatus.Done;

        StudyReport Report(IReadOnlyList<StudyCell> done) => new(study, done, seeds, parsed.GetValue(s_model) ?? ModelLocation.DefaultBase, runner.ScoreName, Describe(parsed, sources));
    }

    private static StudySources Sources(ParseResult parsed, Checkpoint checkpoint, Quickstart? documentation, int limit, CancellationToken cancellationToken)
    {
        (string, IReadOnlyList<string>) sentences = parsed.GetValue(s_data) is { } data ? StudySources.ReadSentences(data, limit, cancellationToken) : documentation!.Sample(limit);
        (string, IReadOnlyList<string>)? running = parsed.GetValue(s_runningText) is { } text ? StudySources.ReadSentences(text, limit, cancellationToken)
            : parsed.GetValue(s_data) is null ? ("API documentation of the .NET SDK, in its order", [.. documentation!.Texts.Take(limit)]) : null;
        return new StudySources(checkpoint, Tokenizer.Load(checkpoint.Directory), limit, s_defaults.MaxLength, TrainingPlace.PrecisionOf(parsed.GetValue(s_precision)))
        {
            Sentences = sentences,
            RunningText = running,
            Triplets = parsed.GetValue(s_triplets),
            More = parsed.GetValue(s_also) ?? [],
            WordNet = parsed.GetValue(s_wordNet),
        };
    }

    private static StudySettings Settings(ParseResult parsed, StudySources sources)
    {
        Pooling pooling = PoolingOf(parsed, sources.Checkpoint);
        int batch = parsed.GetValue(s_batchSize)!.Value, rows = Math.Min(sources.Sentences.Texts.Count, sources.Limit);
        int steps = parsed.GetValue(s_maxSteps) is { } most ? most : (rows + batch - 1) / Math.Max(1, batch);
        TrainingOptions supervised = s_defaults with
        {
            BatchSize = batch,
            LearningRate = parsed.GetValue(s_learningRate)!.Value,
            MaxSteps = parsed.GetValue(s_maxSteps),
            EvalSteps = parsed.GetValue(s_evalSteps) ?? Math.Max(1, (steps + 3) / 4),
            Pooling = pooling,
            Precision = sources.Precision,
            SigRegWeight = parsed.GetValue(s_sigRegWeight)!.Value,
            ProjectionWidth = parsed.GetValue(s_projectionWidth)!.Value,
        };
        UsageException.Require(supervised.Validate);
        TrainingOptions unsupervised = supervised with { MlpOnlyTrain = pooling == Pooling.Cls };
        return new StudySettings(unsupervised, supervised, sources.More, sources.WordNet is not null, sources.Triplets is not null);
    }

    private static Pooling PoolingOf(ParseResult parsed, Checkpoint checkpoint) =>
        parsed.GetValue(s_pooling) ?? (checkpoint.Modules?.Pooling is { } stored and not Pooling.ClsBeforePooler ? stored : s_defaults.Pooling);

    private static StudyRunner Runner(ParseResult parsed, Quickstart? documentation, StudySources sources, string output)
    {
        if (parsed.GetValue(s_evalData) is not { } folder)
        {
            return new StudyRunner(sources, output)
            {
                Evaluate = (encoder, token) => documentation!.Measure(encoder, token).AsDevelopmentScore(),
                ScoreName = Quickstart.ScoreName,
                JudgedBy = documentation!.HeldOutHash,
                KeepModels = parsed.GetValue(s_keepModels),
            };
        }

        StsTask task = StsSuite.Load(folder, "STSB-dev").Tasks[0];
        StsDevelopment development = new(task);
        return new StudyRunner(sources, output)
        {
            Evaluate = development.Evaluate,
            ScoreName = StsDevelopment.ScoreName,
            JudgedBy = $"STS-B dev, {task.Sentences.Count} sentences",
            KeepModels = parsed.GetValue(s_keepModels),
        };
    }

    private static string Describe(ParseResult parsed, StudySources sources)
    {
        string steps = parsed.GetValue(s_maxSteps) is { } most ? $"{most} steps" : "one epoch";
        IEnumerable<string> files = [.. sources.Triplets is { } triplets ? [triplets] : Array.Empty<string>(), .. sources.More];
        string[] names = [sources.Sentences.Name, .. sources.RunningText is { } running ? [running.Name] : Array.Empty<string>(), .. files.Select(f => Path.GetFileName(f))];
        return string.Create(CultureInfo.InvariantCulture,
            $"{string.Join(", ", names)}: at most {sources.Limit:N0} rows, {steps} in batches of {parsed.GetValue(s_batchSize)}, learning rate {parsed.GetValue(s_learningRate)}, pooling {PoolingOf(parsed, sources.Checkpoint).ToName()}, {parsed.GetValue(s_precision)}");
    }
}
