using System.CommandLine;
using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training;
using SimCse.Training.Data;
using SimCse.Training.Distillation;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse pretrain</c>.</summary>
internal static class PretrainCommand
{
    private const string ScoreName = "held-out masked-language loss × −1";

    private static readonly PretrainingOptions s_defaults = new();
    private static readonly TrainingOptions s_distillation = new();

    private static readonly Option<string[]> s_data = CliOption.DataFiles("sentences, one a row: .txt, .tsv, .csv, .jsonl or .parquet, each also with .gz after it; may be given several times");
    private static readonly Option<bool> s_sdkDocs = CliOption.SdkDocs();
    private static readonly Option<string> s_output = CliOption.Required("--output", "DIR", "the directory for the model and the state to resume from");
    private static readonly Option<string?> s_tokenizer = CliOption.Text("--tokenizer", "DIR", "a folder with a tokenizer's files; a WordPiece vocabulary is learnt from the data where it is not given");
    private static readonly Option<bool> s_resume = CliOption.Flag("--resume", "go on with the run that is saved in --output");

    private static readonly TeacherOptions s_teacher = new("they take the place of masked-language modelling, and the result is a sentence encoder", s_distillation.SimilarityWeight);
    private static readonly Option<string?> s_words = CliOption.Text("--words-from", "M", "with --teacher: a model whose tokenizer and table of words the new encoder starts from, such as one of 0 layers; else the words start from the teacher");
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("with --teacher: how token vectors become a sentence's", s_defaults.Pooling);
    private static readonly Option<string?> s_evalData = CliOption.Text("--eval-data", "DIR", "with --teacher: a folder with STS-B dev, to keep the weights that are best there instead of the last");

    private static readonly Option<int?> s_vocabSize = CliOption.Whole("--vocab-size", "N", "entries of the vocabulary that is learnt", s_defaults.VocabularySize);
    private static readonly Option<int?> s_layers = CliOption.Whole("--layers", "N", "layers; with --teacher also 0, a table of token vectors", s_defaults.Layers);
    private static readonly Option<int?> s_hiddenSize = CliOption.Whole("--hidden-size", "N", "components of a token's vector", s_defaults.HiddenSize);
    private static readonly Option<int?> s_heads = CliOption.Whole("--heads", "N", "attention heads", s_defaults.Heads);
    private static readonly Option<int?> s_intermediateSize = CliOption.Whole("--intermediate-size", "N", "width of the feed-forward layers", s_defaults.IntermediateSize);
    private static readonly Option<int?> s_maxPositions = CliOption.Whole("--max-positions", "N", "longest text of the model, in tokens", s_defaults.MaxPositions);

    private static readonly Option<int?> s_batchSize = CliOption.Whole("--batch-size", "N", "sentences a step", s_defaults.BatchSize);
    private static readonly Option<double?> s_learningRate = CliOption.Number("--learning-rate", "R", "after the warm-up; falls linearly to zero", s_defaults.LearningRate);
    private static readonly Option<int?> s_warmUpSteps = CliOption.Whole("--warmup-steps", "N", "steps over which the rate rises from zero", s_defaults.WarmUpSteps);
    private static readonly Option<double?> s_weightDecay = CliOption.Number("--weight-decay", "D", "of AdamW", s_defaults.WeightDecay);
    private static readonly Option<int?> s_maxLength = CliOption.Whole("--max-length", "N", "tokens kept of a sentence, special tokens included", s_defaults.MaxLength);
    private static readonly Option<double?> s_mlmProbability = CliOption.Number("--mlm-probability", "P", "the share of tokens that is predicted", s_defaults.MlmProbability);
    private static readonly Option<double?> s_dropout = CliOption.Number("--dropout", "P", "dropout in this training", s_defaults.Dropout);
    private static readonly Option<int?> s_epochs = CliOption.Whole("--epochs", "N", "passes over the data", s_defaults.Epochs);
    private static readonly Option<int?> s_maxSteps = CliOption.Whole("--max-steps", "N", "steps in all, whatever the epochs", null);
    private static readonly Option<int?> s_evalSteps = CliOption.Whole("--eval-steps", "N", "steps between measurements of the held-out loss", s_defaults.EvalSteps);
    private static readonly Option<long?> s_seed = CliOption.Long("--seed", "N", "draws the weights, the order of the sentences and the masks", s_defaults.Seed);

    private static readonly Option<string> s_precision = TrainingPlace.Precision();
    private static readonly Option<string> s_store = CliOption.Choice("--store", "how the finished weights are stored", "fp32", "fp16");
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<bool> s_json = CliOption.Json("print the outcome as JSON: best_step, best_dev (the negative held-out loss), steps, seconds, sentences_per_second");

    public static Command Create()
    {
        DocumentedCommand command = new("pretrain", "train a new encoder by masked-language modelling, or from a teacher")
        {
            Details = """
                From random weights: a share of the tokens is hidden, and the encoder learns to say what they were. The result is a base for
                'simcse train', not a sentence encoder yet. Some of the sentences are held out to measure the loss. With --teacher the
                encoder learns another model's sentence vectors instead, and is a sentence encoder at the end.
                """,
            Examples =
            [
                "simcse pretrain --data sentences.txt.gz --output my-base",
                "simcse pretrain --data korean.txt.gz --vocab-size 16000 --layers 6 --hidden-size 384 --heads 12 --intermediate-size 1536 --output ko-base",
                "simcse pretrain --teacher models/large --data sentences.txt.gz --layers 2 --hidden-size 256 --learning-rate 5e-4 --max-length 40 --output small",
            ],
        };
        command
            .With("what to train on", s_data, s_sdkDocs, s_output, s_tokenizer, s_resume, ConfigFile.Option)
            .With("distillation", [.. s_teacher.All, s_words, s_pooling, s_evalData])
            .With("shape", s_vocabSize, s_layers, s_hiddenSize, s_heads, s_intermediateSize, s_maxPositions)
            .With("schedule", s_batchSize, s_learningRate, s_warmUpSteps, s_weightDecay, s_maxLength, s_mlmProbability, s_dropout, s_epochs, s_maxSteps, s_evalSteps, s_seed)
            .With("running", s_precision, s_store, s_threads, s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        CliOption.RequireTexts(command, s_data, s_sdkDocs);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        PretrainingOptions options = Options(parsed);
        string output = parsed.GetRequiredValue(s_output);
        TrainingLoop.RequireFree(output, parsed.GetValue(s_resume)); // the trainer checks too; here it comes before a long reading of data
        TrainingPlace.SetThreads(parsed.GetValue(s_threads));

        string[] files = parsed.GetValue(s_data) ?? [];
        (PretrainingTexts texts, string name) = PretrainingTexts.Load(files, parsed.GetValue(s_sdkDocs), cancellationToken);
        Log.Info($"{texts.Sentences.Count:N0} distinct sentences");
        string? words = parsed.GetValue(s_words) is { } named ? ModelLocation.Find(named) : null;
        string tokenizer = words ?? parsed.GetValue(s_tokenizer) ?? PretrainingTexts.LearnVocabulary(texts.Sentences, options, output, cancellationToken);
        TensorType store = string.Equals(parsed.GetValue(s_store), "fp16", StringComparison.Ordinal) ? TensorType.F16 : TensorType.F32;
        if (s_teacher.Directory(parsed) is { } teacher)
        {
            return Distil(parsed, options, teacher, tokenizer, texts, name, store, cancellationToken);
        }

        MaskedLanguageTrainer trainer = new(options, output) { DataSource = (name, texts.Sha256), StoredType = store };
        return TrainingRun.Show(parsed, output, ScoreName, parsed.GetValue(s_json),
            progress => trainer.Run(tokenizer, texts.Sentences, parsed.GetValue(s_resume), progress, cancellationToken));
    }

    /// <summary>A new encoder that learns the teacher's vectors of the texts.</summary>
    private static int Distil(
        ParseResult parsed, PretrainingOptions options, string teacher, string tokenizerDirectory, PretrainingTexts texts, string name, TensorType store, CancellationToken cancellationToken)
    {
        string output = parsed.GetRequiredValue(s_output);
        bool resume = parsed.GetValue(s_resume);
        StsTask? development = parsed.GetValue(s_evalData) is { } folder ? StsSuite.Load(folder, "STSB-dev").Tasks[0] : null;
        using TeacherVectors vectors = s_teacher.Vectors(parsed, teacher, output, () => texts.InOrder, parsed.GetValue(s_threads), cancellationToken);
        TeacherTargets targets = TeacherOptions.Targets(vectors, options.HiddenSize);
        string untrained = Path.Combine(output, "run", "untrained");
        if (parsed.GetValue(s_words) is null)
        {
            StudentModel.Write(untrained, tokenizerDirectory, options, teacher, Path.Combine(output, "run", "vocabulary.bin"), targets, cancellationToken);
        }
        else
        {
            using Checkpoint source = Checkpoint.Open(tokenizerDirectory);
            StudentModel.Write(untrained, options, source);
        }

        Tokenizer tokenizer = Tokenizer.Load(tokenizerDirectory);
        using Checkpoint checkpoint = Checkpoint.Open(untrained);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(texts.InOrder.Select(t => (IReadOnlyList<string>)[t]), tokenizer, options.MaxLength, cancellationToken);
        SimCseTrainer trainer = new(options.Distillation(s_teacher.SimilarityWeight(parsed)), output)
        {
            DataSource = (name, texts.Sha256),
            Teacher = targets,
            StoredType = store,
            Evaluate = development is null ? null : new StsDevelopment(development).Evaluate,
            ScoreName = StsDevelopment.ScoreName,
        };
        return TrainingRun.Show(parsed, output, StsDevelopment.ScoreName, parsed.GetValue(s_json), progress => trainer.Run(checkpoint, tokenizer, corpus, resume, progress, cancellationToken));
    }

    private static PretrainingOptions Options(ParseResult parsed)
    {
        PretrainingOptions options = new()
        {
            VocabularySize = parsed.GetValue(s_vocabSize)!.Value,
            Layers = parsed.GetValue(s_layers)!.Value,
            HiddenSize = parsed.GetValue(s_hiddenSize)!.Value,
            Heads = parsed.GetValue(s_heads)!.Value,
            IntermediateSize = parsed.GetValue(s_intermediateSize)!.Value,
            MaxPositions = parsed.GetValue(s_maxPositions)!.Value,
            BatchSize = parsed.GetValue(s_batchSize)!.Value,
            LearningRate = parsed.GetValue(s_learningRate)!.Value,
            WarmUpSteps = parsed.GetValue(s_warmUpSteps)!.Value,
            WeightDecay = parsed.GetValue(s_weightDecay)!.Value,
            MaxLength = parsed.GetValue(s_maxLength)!.Value,
            MlmProbability = parsed.GetValue(s_mlmProbability)!.Value,
            Pooling = parsed.GetValue(s_pooling)!.Value,
            Dropout = parsed.GetValue(s_dropout)!.Value,
            Epochs = parsed.GetValue(s_epochs)!.Value,
            MaxSteps = parsed.GetValue(s_maxSteps),
            EvalSteps = parsed.GetValue(s_evalSteps)!.Value,
            Precision = TrainingPlace.PrecisionOf(parsed.GetValue(s_precision)),
            Seed = parsed.GetValue(s_seed)!.Value,
        };
        UsageException.Require(options.Validate);
        if (s_teacher.Directory(parsed) is null)
        {
            UsageException.Require(options.RequireMasking);
        }

        return options;
    }
}
