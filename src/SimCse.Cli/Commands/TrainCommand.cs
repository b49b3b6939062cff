using System.CommandLine;
using System.Globalization;
using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training;
using SimCse.Training.Data;
using SimCse.Training.Distillation;
using SimCse.Training.Distribution;
using SimCse.Training.Objectives;
using TorchSharp;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse train</c>.</summary>
internal static class TrainCommand
{
    private static readonly TrainingOptions s_defaults = new();

    private static readonly Option<string?> s_model = CliOption.Base();
    private static readonly Option<string> s_data = CliOption.Required("--data", "FILE", "the training data: .txt, .tsv, .csv, .jsonl or .parquet, each also with .gz after it");
    private static readonly Option<string> s_output = CliOption.Required("--output", "DIR", "the directory for the model, metrics.jsonl, manifest.json and the state to resume from");
    private static readonly Option<int?> s_limit = CliOption.Whole("--limit", "N", "read the first N rows only", null, least: 1);
    private static readonly Option<string?> s_evalData = CliOption.Text("--eval-data", "DIR", "a folder with STS-B dev: keep the weights that are best there, instead of the last");
    private static readonly Option<string?> s_selectBy = new Option<string?>("--select-by")
    {
        HelpName = "uniformity|effective-rank|retrieval",
        Description = "without STS data: hold rows of --data out, and keep the weights that are best on them; retrieval finds the second half of a sentence by its first",
    }.AcceptOnlyFromAmong("uniformity", "effective-rank", "retrieval");

    private static readonly Option<int?> s_holdOut = CliOption.Whole("--hold-out", "N", "rows held out for --select-by; a twentieth, at most 1000, where it is not given", null);
    private static readonly Option<bool> s_filterFalseNegatives = CliOption.Flag("--filter-false-negatives", "rows that say the same (exactly, or nearly: see docs/training.md) are no negatives of each other");
    private static readonly Option<bool> s_noCollapseAlarm = CliOption.Flag("--no-collapse-alarm", "go on where all vectors become one, or few directions hold them all");
    private static readonly Option<bool> s_resume = CliOption.Flag("--resume", "go on with the run that is saved in --output, to the same weights as if it had not stopped");

    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is trained, cls with the MLP head on top", s_defaults.Pooling);
    private static readonly Option<bool> s_mlpOnlyTrain = CliOption.Flag("--mlp-only-train", "drop the MLP head at test (unsupervised SimCSE with cls)");
    private static readonly Option<string> s_objective = CliOption.Choice("--objective", "the contrastive loss of SimCSE; or joint-embedding prediction with SIGReg, without negatives (docs/training.md)", "simcse", "jepa");
    private static readonly Option<string> s_similarity = CliOption.Choice("--similarity", "how the contrastive loss compares two vectors", "cosine", "dot");
    private static readonly Option<bool> s_fixedDropout = CliOption.Flag("--fixed-dropout", "both views of a sentence share their dropout masks (the paper's control experiment)");
    private static readonly Option<bool> s_twoEncoders = CliOption.Flag("--two-encoders", "the second view has an encoder of its own; the first is the model");
    private static readonly Option<string> s_jepaViews = CliOption.Choice("--jepa-views", "two dropout passes; or the sentence, and the sentence with masked spans from which the vector of the whole is predicted", "dropout", "masked-spans");
    private static readonly Option<double?> s_sigRegWeight = CliOption.Number("--sigreg-weight", "L", "λ of jepa's (1−λ) · prediction + λ · SIGReg", s_defaults.SigRegWeight);
    private static readonly Option<int?> s_projectionWidth = CliOption.Whole("--projection-width", "P", "length of the projections that jepa compares", s_defaults.ProjectionWidth);
    private static readonly Option<double?> s_spanShare = CliOption.Number("--span-share", "P", "the share of tokens that masked-spans masks", s_defaults.SpanShare);
    private static readonly Option<double?> s_temperature = CliOption.Number("--temperature", "T", "what cosines are divided by", s_defaults.Temperature);
    private static readonly Option<double?> s_hardNegativeWeight = CliOption.Number("--hard-negative-weight", "W", "log α, added to the logit of a row's own hard negative", s_defaults.HardNegativeWeight);
    private static readonly Option<bool> s_doMlm = CliOption.Flag("--do-mlm", "add masked-language modelling to the objective");
    private static readonly Option<double?> s_mlmWeight = CliOption.Number("--mlm-weight", "W", "its weight", s_defaults.MlmWeight);
    private static readonly Option<double?> s_mlmProbability = CliOption.Number("--mlm-probability", "P", "the share of tokens that it predicts", s_defaults.MlmProbability);
    private static readonly Option<double?> s_dropout = CliOption.Number("--dropout", "P", "dropout of hidden states and attention; what config.json says where it is not given", null);

    private static readonly TeacherOptions s_teacher = new("alone where the data has one column, beside the contrastive loss where it has two or three", s_defaults.SimilarityWeight);
    private static readonly Option<double?> s_teacherWeight = CliOption.Number("--teacher-weight", "W", "the weight of what the teacher says beside the contrastive loss", s_defaults.TeacherWeight);

    private static readonly Option<int?> s_batchSize = CliOption.Whole("--batch-size", "N", "rows a step", s_defaults.BatchSize);
    private static readonly Option<int?> s_microBatchSize = CliOption.Whole("--micro-batch-size", "N", "rows encoded at a time, to bound memory: loss and gradients stay those of the whole batch; all of them where it is not given", null);
    private static readonly Option<double?> s_learningRate = CliOption.Number("--learning-rate", "R", "at the first step; falls linearly to zero", s_defaults.LearningRate);
    private static readonly Option<int?> s_warmUpSteps = CliOption.Whole("--warmup-steps", "N", "steps over which the rate first rises", s_defaults.WarmUpSteps);
    private static readonly Option<double?> s_weightDecay = CliOption.Number("--weight-decay", "D", "of AdamW", s_defaults.WeightDecay);
    private static readonly Option<int?> s_maxLength = CliOption.Whole("--max-length", "N", "tokens kept of a text in training, special tokens included", s_defaults.MaxLength);
    private static readonly Option<int?> s_epochs = CliOption.Whole("--epochs", "N", "passes over the data", s_defaults.Epochs);
    private static readonly Option<int?> s_maxSteps = CliOption.Whole("--max-steps", "N", "steps in all, whatever the epochs", null);
    private static readonly Option<int?> s_evalSteps = CliOption.Whole("--eval-steps", "N", "steps between evaluations", s_defaults.EvalSteps);
    private static readonly Option<int?> s_saveSteps = CliOption.Whole("--save-steps", "N", "steps between saves of the state to resume from; those of --eval-steps where it is not given", null);
    private static readonly Option<long?> s_seed = CliOption.Long("--seed", "N", "draws the order of the rows, the head, the dropout and the masked tokens", s_defaults.Seed);
    private static readonly Option<string> s_precision = TrainingPlace.Precision();
    private static readonly Option<string> s_device = TrainingPlace.Device();
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<bool> s_json = CliOption.Json("print the outcome as JSON: best_step, best_dev, steps, seconds, sentences_per_second");

    public static Command Create()
    {
        DocumentedCommand command = new("train", "train an encoder on sentences, pairs or pairs with hard negatives")
        {
            Details = """
                One column is unsupervised SimCSE: each sentence is encoded twice, and dropout is the only difference. Two columns are
                positive pairs. Three are pairs with a hard negative each, as entailment and contradiction. The data is checked before
                training starts. Ctrl-C saves the run and stops; the same command with --resume goes on. Under mpirun all ranks train
                together, with the losses of one process; rank 0 evaluates and writes.
                """,
            RunsOnRanks = true,
            Examples =
            [
                "simcse train --model models/base --data sentences.txt --output my-model --pooling cls --mlp-only-train",
                "simcse train --model models/base --data triplets.tsv.gz --output my-model --learning-rate 5e-5 --epochs 3 --eval-data data",
                "mpirun -n 4 --bind-to none simcse train --model models/base --data sentences.txt --output my-model --batch-size 512",
            ],
        };
        command
            .With("what to train on", s_model, s_data, s_output, s_limit, s_evalData, s_selectBy, s_holdOut, s_filterFalseNegatives, s_resume, ConfigFile.Option)
            .With("objective", s_objective, s_pooling, s_mlpOnlyTrain, s_similarity, s_temperature, s_hardNegativeWeight, s_doMlm, s_mlmWeight, s_mlmProbability, s_dropout, s_fixedDropout, s_twoEncoders)
            .With("objective jepa", s_jepaViews, s_sigRegWeight, s_projectionWidth, s_spanShare)
            .With("distillation", [.. s_teacher.All, s_teacherWeight])
            .With("schedule", s_batchSize, s_microBatchSize, s_learningRate, s_warmUpSteps, s_weightDecay, s_maxLength, s_epochs, s_maxSteps, s_evalSteps, s_saveSteps, s_seed)
            .With("running", s_precision, s_device, s_threads, s_noCollapseAlarm, s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        torch.Device? device = TrainingPlace.DeviceOf(parsed.GetValue(s_device));
        TrainingOptions options = Options(parsed, device);
        TrainingPlace.SetThreads(parsed.GetValue(s_threads));
        using Communicator? ranks = Communicator.FromEnvironment();
        int status = Train(parsed, options, device, ranks, cancellationToken);
        ranks?.Complete();
        return status;
    }

    private static int Train(ParseResult parsed, TrainingOptions options, torch.Device? device, Communicator? ranks, CancellationToken cancellationToken)
    {
        string output = parsed.GetRequiredValue(s_output);
        bool resume = parsed.GetValue(s_resume);
        using Checkpoint checkpoint = Together(() => Open(parsed, output, resume, ranks));
        Tokenizer tokenizer = Together(() => Tokenizer.Load(checkpoint.Directory));
        StsTask? development = Together(() => parsed.GetValue(s_evalData) is { } folder && ranks is null or { Rank: 0 } ? StsSuite.Load(parsed.GetValue(s_evalData)!, "STSB-dev").Tasks[0] : null);
        using TrainingCorpus corpus = Load(parsed, options, checkpoint, tokenizer, output, ranks, cancellationToken);
        string data = parsed.GetRequiredValue(s_data);
        Log.Info($"{data}: {corpus.Rows:N0} rows of {corpus.Columns} {(corpus.Columns == 1 ? "column (unsupervised)" : corpus.Columns == 2 ? "columns (pairs)" : "columns (pairs with hard negatives)")}");
        if (corpus.Truncated > 0)
        {
            Log.Warning($"{corpus.Truncated:N0} of {(long)corpus.Rows * corpus.Columns:N0} texts are longer than {options.MaxLength} tokens and are cut there (--max-length)");
        }

        Duplicates? duplicates = ranks is null or { Rank: 0 } || options.FilterFalseNegatives ? Duplicates.Find(corpus, cancellationToken) : null;
        Report(duplicates, data, options);
        using TeacherVectors? teacher = Teach(parsed, output, ranks, cancellationToken);
        bool judged = parsed.GetValue(s_evalData) is not null;
        SimCseTrainer trainer = new(options, output)
        {
            DataSource = (data, corpus.DataSha256!),
            Evaluate = !judged ? null : (encoder, token) => new StsDevelopment(development!).Evaluate(encoder, token),
            ScoreName = StsDevelopment.ScoreName,
            Duplicates = duplicates,
            Teacher = teacher is null ? null : TeacherOptions.Targets(teacher, checkpoint.Config.HiddenSize),
            Ranks = ranks,
            Device = device,
        };
        return TrainingRun.Show(parsed, output, options.SelectBy is { } criterion ? HeldOutDevelopment.ScoreName(criterion) : StsDevelopment.ScoreName, parsed.GetValue(s_json), progress => trainer.Run(checkpoint, tokenizer, corpus, resume, progress, cancellationToken));

        T Together<T>(Func<T> action) => ranks is null ? action() : ranks.Together(action);
    }

    private static Checkpoint Open(ParseResult parsed, string output, bool resume, Communicator? ranks)
    {
        if (ranks is null or { Rank: 0 })
        {
            TrainingLoop.RequireFree(output, resume); // the trainer checks too; here it comes before a long reading of data
        }

        return Checkpoint.Open(ModelLocation.FindBase(parsed.GetValue(s_model)));
    }

    /// <summary>The tokens of the data.</summary>
    private static TrainingCorpus Load(ParseResult parsed, TrainingOptions options, Checkpoint checkpoint, Tokenizer tokenizer, string output, Communicator? ranks, CancellationToken cancellationToken)
    {
        CorpusSource source = new(parsed.GetRequiredValue(s_data), parsed.GetValue(s_limit), checkpoint.Directory, Math.Min(options.MaxLength, checkpoint.Config.MaxTokens));
        return InTurn(ranks, () => TrainingCorpus.Load(source, tokenizer, TrainingCorpus.FileOf(output), new RateLines("rows tokenized"), cancellationToken));
    }

    /// <summary>The teacher's vectors of all texts of the data; null without a teacher.</summary>
    private static TeacherVectors? Teach(ParseResult parsed, string output, Communicator? ranks, CancellationToken cancellationToken)
    {
        if (s_teacher.Directory(parsed) is not { } teacher)
        {
            return null;
        }

        SentenceFile data = SentenceFile.Open(parsed.GetRequiredValue(s_data));
        return InTurn(ranks, () => s_teacher.Vectors(parsed, teacher, output,
            () => data.Rows(parsed.GetValue(s_limit) ?? int.MaxValue, cancellationToken).SelectMany(row => row.Texts), parsed.GetValue(s_threads), cancellationToken));
    }

    /// <summary>Ranks come one after another: those of one machine find on its disk what the first has made.</summary>
    private static T InTurn<T>(Communicator? ranks, Func<T> make)
        where T : class
    {
        if (ranks is null)
        {
            return make();
        }

        T? own = null;
        for (int rank = 0; rank < ranks.Size; rank++)
        {
            own = ranks.Together(() => rank == ranks.Rank ? make() : own);
        }

        return own!;
    }

    /// <summary>Says which rows would be false negatives of each other.</summary>
    private static void Report(Duplicates? duplicates, string data, TrainingOptions options)
    {
        if (duplicates is null || duplicates.Pairs == 0)
        {
            return;
        }

        string what = options.FilterFalseNegatives ? "they are taken out of each other's negatives" : "--filter-false-negatives takes them out";
        Log.Warning(string.Create(CultureInfo.InvariantCulture,
            $"{data}: {duplicates.Exact:N0} rows repeat an earlier one and {duplicates.Near:N0} nearly do: {duplicates.ExpectedPerBatch(options.BatchSize):0.###} pairs of false negatives in a batch of {options.BatchSize}; {what}"));
        foreach ((int first, int second, bool exact) in duplicates.Examples)
        {
            Log.Info($"  rows {first + 1} and {second + 1} are {(exact ? "" : "nearly ")}the same");
        }
    }

    private static TrainingOptions Options(ParseResult parsed, torch.Device? device)
    {
        TrainingOptions options = new()
        {
            BatchSize = parsed.GetValue(s_batchSize)!.Value,
            MicroBatchSize = parsed.GetValue(s_microBatchSize),
            Precision = TrainingPlace.PrecisionOf(parsed.GetValue(s_precision), device),
            LearningRate = parsed.GetValue(s_learningRate)!.Value,
            WarmUpSteps = parsed.GetValue(s_warmUpSteps)!.Value,
            WeightDecay = parsed.GetValue(s_weightDecay)!.Value,
            MaxLength = parsed.GetValue(s_maxLength)!.Value,
            Objective = parsed.GetValue(s_objective) is "jepa" ? TrainingObjective.Jepa : TrainingObjective.SimCse,
            Similarity = parsed.GetValue(s_similarity) is "dot" ? Similarity.Dot : Similarity.Cosine,
            FixedDropout = parsed.GetValue(s_fixedDropout),
            TwoEncoders = parsed.GetValue(s_twoEncoders),
            JepaViews = parsed.GetValue(s_jepaViews) is "masked-spans" ? JepaViews.MaskedSpans : JepaViews.Dropout,
            SigRegWeight = parsed.GetValue(s_sigRegWeight)!.Value,
            ProjectionWidth = parsed.GetValue(s_projectionWidth)!.Value,
            SpanShare = parsed.GetValue(s_spanShare)!.Value,
            Temperature = parsed.GetValue(s_temperature)!.Value,
            HardNegativeWeight = parsed.GetValue(s_hardNegativeWeight)!.Value,
            Pooling = parsed.GetValue(s_pooling)!.Value,
            MlpOnlyTrain = parsed.GetValue(s_mlpOnlyTrain),
            Epochs = parsed.GetValue(s_epochs)!.Value,
            MaxSteps = parsed.GetValue(s_maxSteps),
            EvalSteps = parsed.GetValue(s_evalSteps)!.Value,
            SaveSteps = parsed.GetValue(s_saveSteps),
            Seed = parsed.GetValue(s_seed)!.Value,
            Dropout = parsed.GetValue(s_dropout),
            SelectBy = parsed.GetValue(s_selectBy) switch
            {
                "uniformity" => SelectionCriterion.Uniformity,
                "effective-rank" => SelectionCriterion.EffectiveRank,
                "retrieval" => SelectionCriterion.Retrieval,
                _ => null,
            },
            HoldOut = parsed.GetValue(s_holdOut),
            FilterFalseNegatives = parsed.GetValue(s_filterFalseNegatives),
            CollapseAlarm = !parsed.GetValue(s_noCollapseAlarm),
            DoMlm = parsed.GetValue(s_doMlm),
            MlmWeight = parsed.GetValue(s_mlmWeight)!.Value,
            MlmProbability = parsed.GetValue(s_mlmProbability)!.Value,
            TeacherWeight = parsed.GetValue(s_teacherWeight)!.Value,
            SimilarityWeight = s_teacher.SimilarityWeight(parsed),
        };
        UsageException.Require(options.Validate);
        return options.SelectBy is not null && parsed.GetValue(s_evalData) is not null ? throw new UsageException("--select-by and --eval-data both choose the weights; give one of them") : options;
    }
}
