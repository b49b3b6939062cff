using System.Globalization;
using System.Text;
using SimCse.Training.Modeling;

namespace SimCse.Training;

/// <summary>The <c>README.md</c> of a trained model: what it is, how it was made, what was measured.</summary>
public sealed record ModelCard
{
    /// <summary>The name of the checkpoint that training started from.</summary>
    public required string BaseModel { get; init; }

    /// <summary>The model.</summary>
    public required SimCseModel Model { get; init; }

    /// <summary>The settings of the run.</summary>
    public required TrainingOptions Options { get; init; }

    /// <summary>The name of the data.</summary>
    public required string Data { get; init; }

    /// <summary>The step whose weights these are.</summary>
    public required int Step { get; init; }

    /// <summary>Steps of the run in all.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>Tokens kept of a text in training.</summary>
    public required int MaxLength { get; init; }

    /// <summary>What the score is.</summary>
    public required string ScoreName { get; init; }

    /// <summary>Whether a teacher's vectors were learnt.</summary>
    public bool HasTeacher { get; init; }

    /// <summary>The evaluation at that step; null where none was made.</summary>
    public DevelopmentScore? Score { get; init; }

    /// <summary>The card, with the front matter that model hubs read.</summary>
    public string ToMarkdown()
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"""
            ---
            pipeline_tag: sentence-similarity
            library_name: sentence-transformers
            tags:
            - sentence-transformers
            - feature-extraction
            - simcse
            base_model: {BaseModel}
            ---

            # A SimCSE sentence encoder

            {BaseModel} ({Model.Config.Layers} layers × {Model.Config.HiddenSize}), trained {(HasTeacher ? "to give a teacher's sentence vectors, beside the contrastive objective where the data has pairs" : Options.Objective == TrainingObjective.Jepa ? "by joint-embedding prediction with SIGReg (LeJEPA, arXiv 2511.08544)" : "with the contrastive objective of SimCSE (Gao, Yao, Chen, EMNLP 2021)")}
            by SimCSE for .NET. A sentence becomes {Model.Config.HiddenSize} numbers; compare two by the cosine.

            | | |
            | --- | --- |
            | pooling | `{Model.FinalPooling.ToName()}`{(Model.Head == HeadUse.TrainingOnly ? " (an MLP head was used in training only)" : Model.Head == HeadUse.Kept ? ", with the MLP head (2_Dense)" : "")} |
            | data | {Data} |
            | steps | {Step} of {TotalSteps}, batches of {Options.BatchSize} |
            | learning rate | {Options.LearningRate}, linear decay to 0 |
            | objective | {ObjectiveLine()} |
            | longest text in training | {MaxLength} tokens |
            | dropout | {Model.Config.HiddenDropout} |
            | masked-language term | {(Options.DoMlm ? Options.MlmWeight.ToString(CultureInfo.InvariantCulture) : "none")} |
            | seed | {Options.Seed} |

            ## Measured

            """);
        if (Score is null)
        {
            text.Append("Nothing was measured during training.\n");
        }
        else
        {
            text.Append("| measure | value |\n| --- | --- |\n");
            Row(ScoreName, Score.Score, "F2");
            Row("alignment", Score.Alignment, "F4");
            Row("uniformity", Score.Uniformity, "F4");
        }

        text.Append("""

            ## Use

            ```
            simcse similarity --model . "A man plays the guitar." "Someone makes music."
            ```

            """);
        return text.ToString();

        string ObjectiveLine() => Options.Objective == TrainingObjective.Jepa
            ? string.Create(CultureInfo.InvariantCulture, $"JEPA, λ {Options.SigRegWeight}, projections of {Options.ProjectionWidth}")
            : string.Create(CultureInfo.InvariantCulture, $"contrastive, temperature {Options.Temperature}, hard-negative weight (log α) {Options.HardNegativeWeight}{(Options.Similarity == Objectives.Similarity.Dot ? ", dot product" : "")}");

        void Row(string name, double? value, string format)
        {
            if (value is { } measured)
            {
                text.Append(CultureInfo.InvariantCulture, $"| {name} | {measured.ToString(format, CultureInfo.InvariantCulture)} |\n");
            }
        }
    }
}
