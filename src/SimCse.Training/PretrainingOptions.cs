using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Modeling;

namespace SimCse.Training;

/// <summary>The settings of a masked-language run.</summary>
public sealed record PretrainingOptions
{
    /// <summary>Entries of the vocabulary that is learnt where none is given.</summary>
    public int VocabularySize { get; init; } = 8192;

    /// <summary>Layers of a new encoder.</summary>
    public int Layers { get; init; } = 4;

    /// <summary>H of a new encoder.</summary>
    public int HiddenSize { get; init; } = 256;

    /// <summary>Attention heads of a new encoder.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Width of a new encoder's feed-forward layers.</summary>
    public int IntermediateSize { get; init; } = 1024;

    /// <summary>Positions of a new encoder.</summary>
    public int MaxPositions { get; init; } = 128;

    /// <summary>How token vectors become a sentence vector that a teacher can be compared with.</summary>
    public Pooling Pooling { get; init; } = Pooling.Avg;

    /// <summary>Sentences a batch.</summary>
    public int BatchSize { get; init; } = 96;

    /// <summary>η at its peak, after the warm-up; it decays linearly to zero.</summary>
    public double LearningRate { get; init; } = 1e-3;

    /// <summary>Steps over which the rate rises from zero.</summary>
    public int WarmUpSteps { get; init; } = 200;

    /// <summary>AdamW's λ.</summary>
    public double WeightDecay { get; init; } = 0.01;

    /// <summary>Tokens kept of a sentence, special tokens included.</summary>
    public int MaxLength { get; init; } = 64;

    /// <summary>The share of tokens that are predicted.</summary>
    public double MlmProbability { get; init; } = 0.15;

    /// <summary>The dropout probability during this training; a short run on little data is better without.</summary>
    public double Dropout { get; init; }

    /// <summary>Passes over the data, unless <see cref="MaxSteps"/> is given.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Steps in all, whatever the epochs.</summary>
    public int? MaxSteps { get; init; }

    /// <summary>The held-out loss every so many steps.</summary>
    public int EvalSteps { get; init; } = 500;

    /// <summary>How the linear layers multiply.</summary>
    public Precision Precision { get; init; }

    /// <summary>Draws the weights, the order of the sentences and the masks.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>The new encoder's shape.</summary>
    /// <param name="tokenizer">Says how large the vocabulary is.</param>
    internal EncoderConfig Encoder(Tokenizer tokenizer) => new()
    {
        Family = ModelFamily.Bert,
        VocabularySize = tokenizer.VocabularySize,
        HiddenSize = HiddenSize,
        Layers = Layers,
        Heads = Heads,
        IntermediateSize = IntermediateSize,
        MaxPositions = MaxPositions,
        PadTokenId = tokenizer.PadTokenId,
    };

    /// <summary>Throws where a setting makes no sense; the message names the option as the command line does.</summary>
    /// <exception cref="ArgumentException">Which option, its value and what was expected.</exception>
    public void Validate()
    {
        TrainingOptions.Require(VocabularySize is >= 100 and <= 1_000_000, "--vocab-size", VocabularySize, "100 to 1,000,000");
        TrainingOptions.Require(Layers is >= 0 and <= 100, "--layers", Layers, "0 to 100");
        TrainingOptions.Require(HiddenSize >= 1, "--hidden-size", HiddenSize, "at least 1");
        TrainingOptions.Require(Heads >= 1 && HiddenSize % Heads == 0, "--heads", Heads, $"a divisor of the hidden size {HiddenSize}");
        TrainingOptions.Require(IntermediateSize >= 1, "--intermediate-size", IntermediateSize, "at least 1");
        TrainingOptions.Require(MaxPositions >= MaxLength, "--max-positions", MaxPositions, $"at least --max-length, {MaxLength}");
        TrainingOptions.Require(BatchSize >= 1, "--batch-size", BatchSize, "at least 1");
        TrainingOptions.Require(LearningRate > 0 && double.IsFinite(LearningRate), "--learning-rate", LearningRate, "above 0");
        TrainingOptions.Require(WarmUpSteps >= 0, "--warmup-steps", WarmUpSteps, "at least 0");
        TrainingOptions.Require(WeightDecay >= 0, "--weight-decay", WeightDecay, "at least 0");
        TrainingOptions.Require(MaxLength >= 3, "--max-length", MaxLength, "at least 3: two special tokens and one of the sentence");
        TrainingOptions.Require(MlmProbability is > 0 and < 1, "--mlm-probability", MlmProbability, "between 0 and 1");
        TrainingOptions.Require(Dropout is >= 0 and < 1, "--dropout", Dropout, "at least 0 and below 1");
        TrainingOptions.Require(Epochs >= 1, "--epochs", Epochs, "at least 1");
        TrainingOptions.Require(MaxSteps is null or >= 1, "--max-steps", MaxSteps, "at least 1");
        TrainingOptions.Require(EvalSteps >= 1, "--eval-steps", EvalSteps, "at least 1");
    }

    /// <summary>Throws where these settings are none of masked-language modelling.</summary>
    /// <exception cref="ArgumentException">There is no layer.</exception>
    public void RequireMasking() =>
        TrainingOptions.Require(Layers > 0, "--layers", Layers, "at least 1 without --teacher: without a layer no token sees those from which a masked one is to be guessed");

    /// <summary>The settings of a run that learns a teacher's vectors with this shape and schedule.</summary>
    /// <param name="similarityWeight">The weight of the similarities within the batch.</param>
    public TrainingOptions Distillation(double similarityWeight) => new()
    {
        Pooling = Pooling,
        BatchSize = BatchSize,
        LearningRate = LearningRate,
        WarmUpSteps = WarmUpSteps,
        WeightDecay = WeightDecay,
        MaxLength = MaxLength,
        Dropout = Dropout,
        Epochs = Epochs,
        MaxSteps = MaxSteps,
        EvalSteps = EvalSteps,
        Precision = Precision,
        SimilarityWeight = similarityWeight,
        Seed = Seed,
    };

    /// <summary>The settings as they stand in a manifest, under the command line's names.</summary>
    public JsonObject ToJson() => new()
    {
        ["vocab-size"] = VocabularySize,
        ["layers"] = Layers,
        ["hidden-size"] = HiddenSize,
        ["heads"] = Heads,
        ["intermediate-size"] = IntermediateSize,
        ["max-positions"] = MaxPositions,
        ["batch-size"] = BatchSize,
        ["learning-rate"] = LearningRate,
        ["warmup-steps"] = WarmUpSteps,
        ["weight-decay"] = WeightDecay,
        ["max-length"] = MaxLength,
        ["mlm-probability"] = MlmProbability,
        ["dropout"] = Dropout,
        ["epochs"] = Epochs,
        ["max-steps"] = MaxSteps,
        ["eval-steps"] = EvalSteps,
        ["precision"] = Precision.ToName(),
        ["seed"] = Seed,
    };
}
