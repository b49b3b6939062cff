using System.Globalization;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>Masked-language pre-training: sentences in, an encoder that knows the language out, with its prediction head.</summary>
/// <remarks>Devlin et al. 2019, without next-sentence prediction (Liu et al. 2019, section 4.2). The score is the negative loss on held-out sentences, always masked alike.</remarks>
public sealed class MaskedLanguageTrainer
{
    private const int HeldOutRows = 1000, HeldOutBatch = 100;

    /// <summary>How a base is used before it is trained into a sentence encoder: the mean of its tokens.</summary>
    private static readonly SentenceModules s_averaged = new(Pooling.Avg, Head: null, Normalize: false, MaxSequenceLength: null, LowerCase: null);

    private readonly PretrainingOptions _options;
    private readonly string _output;

    /// <summary>A run with these settings.</summary>
    /// <param name="options">The settings; validated here.</param>
    /// <param name="output">The directory that receives the model.</param>
    public MaskedLanguageTrainer(PretrainingOptions options, string output)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        options.RequireMasking();
        _options = options;
        _output = output;
    }

    /// <summary>The name and the SHA-256 of the data.</summary>
    public required (string Name, string Sha256) DataSource { get; init; }

    /// <summary>How weights are stored: F16 halves the file.</summary>
    public TensorType StoredType { get; init; } = TensorType.F32;

    /// <summary>Trains a new encoder for this vocabulary, or goes on with the saved run.</summary>
    /// <param name="tokenizerDirectory">The folder with the tokenizer's files, which are copied into the model.</param>
    /// <param name="texts">The sentences; of more than 10,000 the last 1,000 are held out, of fewer a tenth.</param>
    /// <param name="resume">Whether to go on with a saved run.</param>
    /// <param name="progress">Told after each step and evaluation.</param>
    /// <param name="cancellationToken">Stops after the step under way; the run is saved.</param>
    /// <exception cref="InvalidDataException">Too few texts, or the output already holds a run or a model and <paramref name="resume"/> is false.</exception>
    public TrainingResult Run(string tokenizerDirectory, IReadOnlyList<string> texts, bool resume, IProgress<TrainingProgress>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        TrainingLoop.RequireFree(_output, resume);

        int heldOut = Math.Min(HeldOutRows, texts.Count / 10);
        if (heldOut == 0)
        {
            throw new InvalidDataException($"{texts.Count} texts are too few to pre-train on; at least 10 are needed, and thousands to learn anything");
        }

        Tokenizer tokenizer = Tokenizer.Load(tokenizerDirectory);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(texts.Select(t => (IReadOnlyList<string>)[t]), tokenizer, _options.MaxLength, cancellationToken);
        int trained = corpus.Rows - heldOut;
        EncoderConfig config = _options.Encoder(tokenizer);
        using SimCseModel model = SimCseModel.FromConfig(config with { HiddenDropout = _options.Dropout, AttentionDropout = _options.Dropout }, Pooling.Avg, _options.Precision, _options.Seed);
        model.AddMaskedLanguageHead(null, _options.Seed);
        EpochOrder order = new(trained, _options.BatchSize, _options.Seed);
        int total = _options.MaxSteps ?? checked(order.StepsPerEpoch * _options.Epochs);
        LinearDecay schedule = new(_options.LearningRate, total, Math.Min(_options.WarmUpSteps, total - 1));
        using AdamW optimizer = new(model.Parameters, _options.WeightDecay);
        TokenMasking masking = new(tokenizer, _options.MlmProbability, _options.Seed);

        JsonObject fingerprint = _options.ToJson();
        fingerprint["data"] = DataSource.Sha256;
        fingerprint["rows"] = corpus.Rows;
        fingerprint["vocabulary"] = tokenizer.VocabularySize;

        TrainingLoop loop = new(_output, model.Parameters, optimizer, fingerprint)
        {
            TotalSteps = total,
            Started = () => RunManifest.Write(Path.Combine(_output, "manifest.json"), "pretrain", fingerprint, null, DataSource.Name),
            EvaluationSteps = _options.EvalSteps,
            SaveSteps = _options.EvalSteps,
            Step = t =>
            {
                using DisposeScope scope = NewDisposeScope();
                int[] batch = order.RowsOf(t);
                (PackedBatch packed, IReadOnlyList<(int, int)>[] labels) = Corrupt(model, masking, [.. batch.Select(r => corpus.Ids(r, 0))], t);
                model.Parameters.ClearGradients();
                double loss = model.MaskedLanguage!.Gradients(packed, labels, new DropoutMasks(_options.Seed, t, [.. Enumerable.Range(0, batch.Length)]), labels.Sum(l => l.Count), weight: 1);
                double rate = schedule.At(t), norm = optimizer.Step(rate);
                return new StepMetrics(loss, norm, rate, batch.Length);
            },
            Evaluate = _ => HeldOutScore(model, masking with { Seed = 0 }, [.. Enumerable.Range(trained, heldOut).Select(r => corpus.Ids(r, 0))]),
            WriteModel = (directory, step, score) => CheckpointWriter.Write(directory, new CheckpointContents
            {
                Source = tokenizerDirectory,
                Tensors = [.. EncoderTensors.For(config).Select(t => TensorToWrite.FromFloats("bert." + t.Name, t.Shape, () => model.Parameters.Read(t.Name), StoredType)), .. model.MaskedLanguage!.Tensors(StoredType)],
                Modules = s_averaged,
                Files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal) { ["config.json"] = config.ToJson(maskedLanguageHead: true) },
                ModelCard = Card(config, step, total, score),
            }),
        };
        return loop.Run(resume, progress, cancellationToken);
    }

    private static (PackedBatch Batch, IReadOnlyList<(int Position, int Token)>[] Labels) Corrupt(SimCseModel model, TokenMasking masking, IReadOnlyList<int[]> rows, int step)
    {
        (int[] Ids, IReadOnlyList<(int, int)> Labels)[] corrupted = [.. rows.Select((ids, r) => masking.Corrupt(ids, step, r))];
        return (model.Pack([.. corrupted.Select(c => c.Ids)]), [.. corrupted.Select(c => c.Labels)]);
    }

    private static DevelopmentScore HeldOutScore(SimCseModel model, TokenMasking masking, IReadOnlyList<int[]> rows)
    {
        double sum = 0;
        int batches = 0;
        foreach (int[][] batch in rows.Chunk(HeldOutBatch))
        {
            using DisposeScope scope = NewDisposeScope();
            (PackedBatch packed, IReadOnlyList<(int, int)>[] labels) = Corrupt(model, masking, batch, batches++);
            sum += model.MaskedLanguage!.Loss(packed, labels);
        }

        return new DevelopmentScore(-sum / batches);
    }

    private string Card(EncoderConfig config, int step, int total, DevelopmentScore? score) => string.Create(CultureInfo.InvariantCulture, $"""
        # A masked language model

        {config.Layers} layers × {config.HiddenSize}, vocabulary {config.VocabularySize}, trained from random weights by masked-language modelling with SimCSE for .NET.
        It predicts masked words; it is a base to train sentence encoders from, not one itself.

        | | |
        | --- | --- |
        | data | {DataSource.Name} |
        | steps | {step} of {total}, batches of {_options.BatchSize} sentences of at most {_options.MaxLength} tokens |
        | learning rate | {_options.LearningRate}, {_options.WarmUpSteps} steps of warm-up, linear decay to 0 |
        | dropout in this training | {_options.Dropout} |
        | seed | {_options.Seed} |
        | loss on held-out sentences | {-score?.Score:F4} |

        """);
}
