using System.Text.Json.Nodes;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;

namespace SimCse.Training;

/// <summary>What a run minimises.</summary>
public enum TrainingObjective
{
    /// <summary><see cref="ContrastiveLoss"/>.</summary>
    SimCse,

    /// <summary><see cref="JepaObjective"/>.</summary>
    Jepa,
}

/// <summary>The settings of a contrastive run; the defaults are the paper's for unsupervised BERT-base.</summary>
public sealed record TrainingOptions
{
    /// <summary>N, rows a batch.</summary>
    public int BatchSize { get; init; } = 64;

    /// <summary>Rows of the batch that are encoded at a time, to bound memory; null: all of them. Loss and gradients are the whole batch's either way.</summary>
    public int? MicroBatchSize { get; init; }

    /// <summary>In which numbers the linear layers multiply.</summary>
    public Precision Precision { get; init; }

    /// <summary>η at the first step; it decays linearly to zero.</summary>
    public double LearningRate { get; init; } = 3e-5;

    /// <summary>Steps over which the rate first rises from zero; the paper uses none.</summary>
    public int WarmUpSteps { get; init; }

    /// <summary>AdamW's λ; the paper uses none.</summary>
    public double WeightDecay { get; init; }

    /// <summary>Tokens kept of a sentence in training, special tokens included.</summary>
    public int MaxLength { get; init; } = 32;

    /// <summary>What is minimised.</summary>
    public TrainingObjective Objective { get; init; }

    /// <summary>How the contrastive loss compares.</summary>
    public Similarity Similarity { get; init; }

    /// <summary>τ.</summary>
    public double Temperature { get; init; } = 0.05;

    /// <summary>log α.</summary>
    public double HardNegativeWeight { get; init; }

    /// <summary>What is trained; with <see cref="Pooling.Cls"/> the MLP head is on top.</summary>
    public Pooling Pooling { get; init; } = Pooling.Cls;

    /// <summary>Whether the head is dropped at test.</summary>
    public bool MlpOnlyTrain { get; init; }

    /// <summary>Passes over the data, unless <see cref="MaxSteps"/> is given.</summary>
    public int Epochs { get; init; } = 1;

    /// <summary>Steps in all, whatever the epochs.</summary>
    public int? MaxSteps { get; init; }

    /// <summary>An evaluation every so many steps.</summary>
    public int EvalSteps { get; init; } = 125;

    /// <summary>The resumable state every so many steps; null: at every evaluation.</summary>
    public int? SaveSteps { get; init; }

    /// <summary>Draws the head, the order of the rows, the dropout and the masked tokens.</summary>
    public long Seed { get; init; } = 42;

    /// <summary>The dropout probability of the hidden states and the attention; null: what config.json says.</summary>
    public double? Dropout { get; init; }

    /// <summary>Whether both views of a sentence share their dropout masks.</summary>
    public bool FixedDropout { get; init; }

    /// <summary>Whether the second view has an encoder of its own.</summary>
    public bool TwoEncoders { get; init; }

    /// <summary>What the views of <see cref="TrainingObjective.Jepa"/> are.</summary>
    public JepaViews JepaViews { get; init; }

    /// <summary>λ of (1−λ) · prediction + λ · SIGReg.</summary>
    public double SigRegWeight { get; init; } = 0.02;

    /// <summary>The length of the projections that <see cref="TrainingObjective.Jepa"/> compares.</summary>
    public int ProjectionWidth { get; init; } = 64;

    /// <summary>The share of tokens that <see cref="JepaViews.MaskedSpans"/> masks.</summary>
    public double SpanShare { get; init; } = 0.3;

    /// <summary>Whether masked-language modelling is added to the objective.</summary>
    public bool DoMlm { get; init; }

    /// <summary>λ of ℓ + λ·ℓ_mlm.</summary>
    public double MlmWeight { get; init; } = 0.1;

    /// <summary>The share of tokens that are predicted.</summary>
    public double MlmProbability { get; init; } = 0.15;

    /// <summary>By what the weights are chosen where no STS data is at hand, on rows that are then held out; null for something else, or nothing.</summary>
    public SelectionCriterion? SelectBy { get; init; }

    /// <summary>Rows held out for <see cref="SelectBy"/>; null: see <see cref="HeldOutDevelopment.Count"/>.</summary>
    public int? HoldOut { get; init; }

    /// <summary>Whether rows that say the same are no negatives of each other.</summary>
    public bool FilterFalseNegatives { get; init; }

    /// <summary>Whether a run whose vectors collapse is stopped.</summary>
    public bool CollapseAlarm { get; init; } = true;

    /// <summary>λ of ℓ + λ·ℓ_teacher, where there is a teacher; of one column, where ℓ_teacher is the whole objective, it does not count.</summary>
    public double TeacherWeight { get; init; } = 1;

    /// <summary>w, the weight of the similarities within the batch in ℓ_teacher.</summary>
    public double SimilarityWeight { get; init; } = 1;

    /// <summary>Throws where a setting makes no sense; the message names the option as the command line does.</summary>
    /// <exception cref="ArgumentException">Which option, its value and what was expected.</exception>
    public void Validate()
    {
        Require(BatchSize >= 2, "--batch-size", BatchSize, "at least 2: the other rows of the batch are the negatives");
        Require(MicroBatchSize is null or >= 1, "--micro-batch-size", MicroBatchSize, "at least 1");
        Require(LearningRate > 0 && double.IsFinite(LearningRate), "--learning-rate", LearningRate, "above 0");
        Require(WarmUpSteps >= 0, "--warmup-steps", WarmUpSteps, "at least 0");
        Require(WeightDecay >= 0, "--weight-decay", WeightDecay, "at least 0");
        Require(MaxLength >= 3, "--max-length", MaxLength, "at least 3: two special tokens and one of the sentence");
        Require(Temperature > 0 && double.IsFinite(Temperature), "--temperature", Temperature, "above 0");
        Require(double.IsFinite(HardNegativeWeight), "--hard-negative-weight", HardNegativeWeight, "a finite number");
        Require(Epochs >= 1, "--epochs", Epochs, "at least 1");
        Require(MaxSteps is null or >= 1, "--max-steps", MaxSteps, "at least 1");
        Require(EvalSteps >= 1, "--eval-steps", EvalSteps, "at least 1");
        Require(SaveSteps is null or >= 1, "--save-steps", SaveSteps, "at least 1");
        Require(Dropout is null or (>= 0 and < 1), "--dropout", Dropout, "at least 0 and below 1");
        Require(MlmWeight >= 0 && double.IsFinite(MlmWeight), "--mlm-weight", MlmWeight, "at least 0");
        Require(MlmProbability is > 0 and < 1, "--mlm-probability", MlmProbability, "between 0 and 1");
        Require(SigRegWeight is >= 0 and <= 1, "--sigreg-weight", SigRegWeight, "0 to 1");
        Require(ProjectionWidth >= 1, "--projection-width", ProjectionWidth, "at least 1");
        Require(SpanShare is > 0 and < 1, "--span-share", SpanShare, "between 0 and 1");
        Require(HoldOut is null or >= 2, "--hold-out", HoldOut, "at least 2");
        Require(TeacherWeight >= 0 && double.IsFinite(TeacherWeight), "--teacher-weight", TeacherWeight, "at least 0");
        Require(SimilarityWeight >= 0 && double.IsFinite(SimilarityWeight), "--similarity-weight", SimilarityWeight, "at least 0");
        Require(!MlpOnlyTrain || Pooling == Pooling.Cls, "--mlp-only-train", "given", $"--pooling cls, not {Pooling.ToName()}: only [CLS] has a head");
    }

    /// <summary>The settings as they stand in a manifest, under the command line's names.</summary>
    public JsonObject ToJson() => new()
    {
        ["batch-size"] = BatchSize,
        ["micro-batch-size"] = MicroBatchSize,
        ["precision"] = Precision.ToName(),
        ["learning-rate"] = LearningRate,
        ["warmup-steps"] = WarmUpSteps,
        ["weight-decay"] = WeightDecay,
        ["max-length"] = MaxLength,
        ["objective"] = Objective == TrainingObjective.Jepa ? "jepa" : "simcse",
        ["similarity"] = Similarity == Similarity.Dot ? "dot" : "cosine",
        ["temperature"] = Temperature,
        ["hard-negative-weight"] = HardNegativeWeight,
        ["pooling"] = Pooling.ToName(),
        ["mlp-only-train"] = MlpOnlyTrain,
        ["epochs"] = Epochs,
        ["max-steps"] = MaxSteps,
        ["eval-steps"] = EvalSteps,
        ["save-steps"] = SaveSteps,
        ["seed"] = Seed,
        ["dropout"] = Dropout,
        ["fixed-dropout"] = FixedDropout,
        ["two-encoders"] = TwoEncoders,
        ["jepa-views"] = Objective == TrainingObjective.Jepa ? JepaViews == JepaViews.MaskedSpans ? "masked-spans" : "dropout" : null,
        ["sigreg-weight"] = Objective == TrainingObjective.Jepa ? SigRegWeight : null,
        ["projection-width"] = Objective == TrainingObjective.Jepa ? ProjectionWidth : null,
        ["span-share"] = Objective == TrainingObjective.Jepa && JepaViews == JepaViews.MaskedSpans ? SpanShare : null,
        ["do-mlm"] = DoMlm,
        ["mlm-weight"] = MlmWeight,
        ["mlm-probability"] = MlmProbability,
        ["select-by"] = SelectBy?.ToString(),
        ["hold-out"] = HoldOut,
        ["filter-false-negatives"] = FilterFalseNegatives,
        ["collapse-alarm"] = CollapseAlarm,
        ["teacher-weight"] = TeacherWeight,
        ["similarity-weight"] = SimilarityWeight,
    };

    internal static void Require(bool holds, string option, object? value, string expected)
    {
        if (!holds)
        {
            throw new ArgumentException(FormattableString.Invariant($"{option} is {value}; expected {expected}"));
        }
    }
}
