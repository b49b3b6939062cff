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

        EpochOrder order = new(corpus.Rows, _options.BatchSize, _options.Seed);
        StepBatches batches = new(corpus, order, Teacher);
        int total = _options.MaxSteps ?? checked(order.StepsPerEpoch * _options.Epochs);
        LinearDecay schedule = new(_options.LearningRate, total, _options.WarmUpSteps);
        using AdamW optimizer = new(model.Parameters, _options.WeightDecay);
        ContrastiveLoss loss = new(_options.Temperature, _options.HardNegativeWeight);
        ContrastiveStep step = new(model, optimizer, loss, _options.Seed, masking, _options.MlmWeight) 
        {
            MicroBatchSize = _options.MicroBatchSize,
            Distillation = new DistillationLoss(_options.SimilarityWeight),
            TeacherWeight = _options.TeacherWeight,
            Ranks = Ranks,
        };
        TrainedEncoder encoder = new(model, tokenizer, config.MaxTokens);

        JsonObject fingerprint = _options.ToJson();
        fingerprint["data"] = DataSource.Sha256;
        fingerprint["judged-by"] = Evaluate is null ? null : ScoreName;
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
                double rate = schedule.At(t);
                StepResult result = step.Run(batch, t, rate);
                return new StepMetrics(result.Loss, result.GradientNorm, rate, batch.Rows, result.Alignment, result.Uniformity);
            },
            Evaluate = Evaluate is null ? null : token => Evaluate(encoder, token),
            WriteModel = (directory, best, score) => WriteModel(directory, model, checkpoint, maxLength, best, total, score),
        };
        return loop.Run(resume, progress, cancellationToken);
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
            ScoreName = ScoreName,
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
