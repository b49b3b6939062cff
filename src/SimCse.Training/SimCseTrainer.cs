using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Distillation;
using SimCse.Training.Distribution;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>A contrastive training run: a base checkpoint and a corpus in, a model directory out.</summary>
public sealed class SimCseTrainer
{
    private readonly TrainingOptions _options;
    private readonly string _output;

    /// <summary>A run with these settings.</summary>
    /// <param name="options">The settings; validated here.</param>
    /// <param name="output">The directory that receives the model, <c>metrics.jsonl</c>, <c>manifest.json</c> and, under <c>run</c>, the resumable state.</param>
    public SimCseTrainer(TrainingOptions options, string output)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _options = options;
        _output = output;
    }

    /// <summary>Judges the model during training, such as STS-B dev; null keeps the last weights.</summary>
    public Func<ISentenceEncoder, CancellationToken, DevelopmentScore>? Evaluate { get; init; }

    /// <summary>The rows of the data that say the same, for <see cref="TrainingOptions.FilterFalseNegatives"/>; null: they are looked for.</summary>
    public Duplicates? Duplicates { get; init; }

    /// <summary>What the score is called in the model card, such as 'STS-B dev, Spearman × 100'.</summary>
    public string ScoreName { get; init; } = "development score";

    /// <summary>The name and the SHA-256 of the data, for the manifest and for refusing to resume on other data.</summary>
    public required (string Name, string Sha256) DataSource { get; init; }

    /// <summary>What a teacher says of the texts of the data, row by row, column by column; null for no teacher.</summary>
    public TeacherTargets? Teacher { get; init; }

    /// <summary>The processes that train together, or null; each is given the same model, data and options.</summary>
    public Communicator? Ranks { get; init; }

    /// <summary>How what was trained is stored: F16 halves the file.</summary>
    public TensorType StoredType { get; init; } = TensorType.F32;

    /// <summary>Where the model lives while it learns; null for the CPU.</summary>
    public Device? Device { get; init; }

    /// <summary>Trains, or goes on with the run that is saved in the output directory.</summary>
    /// <param name="checkpoint">The base model.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="corpus">The tokenized data, cut at <see cref="TrainingOptions.MaxLength"/>.</param>
    /// <param name="resume">Whether to go on with a saved run.</param>
    /// <param name="progress">Told after each step and evaluation.</param>
    /// <param name="cancellationToken">Stops after the step under way; the run is saved.</param>
    /// <exception cref="InvalidDataException">The output already holds a run and <paramref name="resume"/> is false, or the saved run differs from this one.</exception>
    public TrainingResult Run(
        Checkpoint checkpoint, Tokenizer tokenizer, TrainingCorpus corpus, bool resume, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(corpus);
        if (Ranks is null or { Rank: 0 })
        {
            TrainingLoop.RequireFree(_output, resume);
        }

        EncoderConfig config = checkpoint.Config;
        int maxLength = Math.Min(_options.MaxLength, config.MaxTokens);
        if (_options.Dropout is { } dropout)
        {
            config = config with { HiddenDropout = dropout, AttentionDropout = dropout };
        }

        using SimCseModel model = SimCseModel.FromCheckpoint(checkpoint, config, _options.Pooling, _options.MlpOnlyTrain, _options.Seed, _options.Precision, Device);
        TokenMasking? masking = null;
        if (_options.DoMlm)
        {
            model.AddMaskedLanguageHead(checkpoint.ReadMaskedLanguageHead(), _options.Seed);
            masking = new TokenMasking(tokenizer, _options.MlmProbability, _options.Seed);
        }

        if (_options.TwoEncoders)
        {
            model.AddSecondEncoder(checkpoint, _options.Seed);
        }

        IObjective objective = Objective(model, corpus);
        SpanMasking? spans = _options is { Objective: TrainingObjective.Jepa, JepaViews: JepaViews.MaskedSpans } ? new SpanMasking(tokenizer, _options.SpanShare, _options.Seed) : null;
        HeldOutRows? heldOut = _options.SelectBy is null ? null : HeldOut(corpus);
        EpochOrder order = new(heldOut?.Trained ?? corpus.Rows, _options.BatchSize, _options.Seed);
        StepBatches batches = new(corpus, order, Teacher, heldOut, _options.FilterFalseNegatives ? (Duplicates ?? Duplicates.Find(corpus, cancellationToken)).Groups : null);
        int total = _options.MaxSteps ?? checked(order.StepsPerEpoch * _options.Epochs);
        LinearDecay schedule = new(_options.LearningRate, total, _options.WarmUpSteps);
        using AdamW optimizer = new(model.Parameters, _options.WeightDecay);
        ContrastiveStep step = new(model, optimizer, objective, _options.Seed, masking, _options.MlmWeight)
        {
            MicroBatchSize = _options.MicroBatchSize,
            FixedDropout = _options.FixedDropout,
            Distillation = new DistillationLoss(_options.SimilarityWeight),
            TeacherWeight = _options.TeacherWeight,
            Ranks = Ranks,
        };
        TrainedEncoder encoder = new(model, tokenizer, config.MaxTokens);
        Func<CancellationToken, DevelopmentScore>? evaluate = Judge(encoder, corpus, heldOut, tokenizer);

        JsonObject fingerprint = _options.ToJson();
        fingerprint["data"] = DataSource.Sha256;
        fingerprint["judged-by"] = evaluate is null ? null : NameOfScore;
        fingerprint["rows"] = corpus.Rows;
        fingerprint["model"] = checkpoint.HashWeights(cancellationToken);
        fingerprint["teacher"] = Teacher?.Key.Teacher;
        fingerprint["device"] = model.Parameters.Device.ToString();
        fingerprint["ranks"] = Ranks?.Size ?? 1;
        if (Ranks is not null)
        {
            Ranks.RequireSame("run", fingerprint.ToJsonString());
            Ranks.Share(model.Parameters.FlatGradients.Address(), model.Parameters.FlatGradients.numel());
        }

        TrainingLoop loop = new(_output, model.Parameters, optimizer, fingerprint)
        {
            TotalSteps = total,
            Ranks = Ranks,
            Started = () => RunManifest.Write(Path.Combine(_output, "manifest.json"), "train", fingerprint, checkpoint.Directory, DataSource.Name),
            EvaluationSteps = _options.EvalSteps,
            SaveSteps = _options.SaveSteps ?? _options.EvalSteps,
            Step = t =>
            {
                ContrastiveBatch batch = batches.At(t);
                batch = spans is null ? batch : new ContrastiveBatch([batch.Views[0], [.. batch.Views[0].Select((ids, row) => spans.Mask(ids, t, row))]]);
                double rate = schedule.At(t);
                StepResult result = step.Run(batch, t, rate);
                return new StepMetrics(result.Loss, result.GradientNorm, rate, batch.Rows, result.Alignment, result.Uniformity);
            },
            Evaluate = evaluate,
            Alarm = _options.CollapseAlarm ? new CollapseAlarm() : null,
            WriteModel = (directory, best, score) => WriteModel(directory, model, checkpoint, maxLength, best, total, score),
        };
        return loop.Run(resume, progress, cancellationToken);
    }

    private string NameOfScore => _options.SelectBy is { } criterion ? HeldOutDevelopment.ScoreName(criterion) : ScoreName;

    private HeldOutRows HeldOut(TrainingCorpus corpus)
    {
        int count = _options.HoldOut ?? HeldOutDevelopment.Count(corpus.Rows);
        return corpus.Rows - count >= 2
            ? new HeldOutRows(corpus.Rows, count)
            : throw new InvalidDataException($"{DataSource.Name}: {corpus.Rows} rows, of which {count} would be held out to choose the weights by; expected more (--hold-out)");
    }

    /// <summary>What judges the model: the caller's evaluation, or the held-out rows; null for nothing.</summary>
    private Func<CancellationToken, DevelopmentScore>? Judge(TrainedEncoder encoder, TrainingCorpus corpus, HeldOutRows? heldOut, Tokenizer tokenizer)
    {
        if (heldOut is null)
        {
            return Evaluate is null ? null : token => Evaluate(encoder, token);
        }

        HeldOutDevelopment development = new(corpus, heldOut.Rows, tokenizer, _options.SelectBy!.Value);
        return token => development.Evaluate(encoder, token);
    }

    private IObjective Objective(SimCseModel model, TrainingCorpus corpus)
    {
        if (_options.Objective == TrainingObjective.SimCse)
        {
            return new ContrastiveLoss(_options.Temperature, _options.HardNegativeWeight, _options.Similarity);
        }

        if (corpus.Columns > (_options.JepaViews == JepaViews.Dropout ? 2 : 1))
        {
            throw new InvalidDataException($"{DataSource.Name}: {corpus.Columns} columns; --objective jepa has no use for more than one (two with --jepa-views dropout)");
        }

        if (Ranks is not null)
        {
            throw new InvalidDataException("--objective jepa trains in one process: its projection learns from whole batches");
        }

        if (Teacher is not null)
        {
            throw new InvalidDataException("--objective jepa has no teacher: leave out --teacher, or --objective");
        }

        return new JepaObjective(model.Parameters, model.Config.HiddenSize, _options.JepaViews, _options.SigRegWeight, _options.ProjectionWidth, _options.Seed);
    }

    private void WriteModel(string directory, SimCseModel model, Checkpoint checkpoint, int maxLength, int step, int total, DevelopmentScore? score)
    {
        // A teacher's vectors are learnt by direction: their length says nothing, and is stored as one where the form of sentence-transformers can say so.
        bool normalize = Teacher is not null && model.FinalPooling is (Pooling.Avg or Pooling.Cls or Pooling.ClsBeforePooler);
        SentenceModules modules = new(model.FinalPooling, model.StoredHead(), normalize, MaxSequenceLength: null, LowerCase: null);
        ModelCard card = new()
        {
            BaseModel = Path.GetFileName(Path.TrimEndingDirectorySeparator(checkpoint.Directory)),
            Model = model,
            Options = _options,
            Data = DataSource.Name,
            Step = step,
            TotalSteps = total,
            MaxLength = maxLength,
            HasTeacher = Teacher is not null,
            ScoreName = NameOfScore,
            Score = score,
        };
        CheckpointWriter.Write(directory, new CheckpointContents
        {
            Source = checkpoint.Directory,
            Tensors = model.TensorsFor(checkpoint, StoredType),
            Modules = modules,
            ModelCard = card.ToMarkdown(),
        });
    }
}
