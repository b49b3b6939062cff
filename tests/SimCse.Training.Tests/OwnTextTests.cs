using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training.Tests;

/// <summary>Training on one's own text, with nothing else to judge by.</summary>
public class OwnTextTests
{
    [Theory]
    [InlineData(SelectionCriterion.Uniformity)]
    [InlineData(SelectionCriterion.EffectiveRank)]
    [InlineData(SelectionCriterion.Retrieval)]
    public void The_weights_that_are_best_on_held_out_rows_are_kept(SelectionCriterion criterion)
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        TrainingResult result = Train(output, new TrainingOptions { BatchSize = 8, LearningRate = 1e-3, MaxSteps = 12, EvalSteps = 4, Pooling = Pooling.Avg, SelectBy = criterion, HoldOut = 40 });
        MetricsLine[] judged = [.. MetricsLog.Read(output).Where(m => m.Dev is not null)];
        Assert.Equal(4, judged.Length);
        Assert.Equal(judged.Skip(1).MaxBy(m => m.Dev)!.Step, result.BestStep);
        Assert.All(judged, m => Assert.NotNull(m.Uniformity));
        if (criterion == SelectionCriterion.Uniformity)
        {
            Assert.All(judged, m => Assert.Equal(-m.Uniformity!.Value, m.Dev!.Value, 1e-9));
        }

        Assert.Contains(HeldOutDevelopment.ScoreName(criterion), File.ReadAllText(Path.Combine(output, "README.md")), StringComparison.Ordinal);
    }

    /// <summary>A learning rate a thousand times too high makes all vectors one; the loss stays finite, at log N, and says nothing.</summary>
    [Fact]
    public void A_collapsing_run_is_stopped_and_says_why()
    {
        TrainingOptions options = new() { BatchSize = 8, LearningRate = 0.3, MaxSteps = 300, EvalSteps = 300, Pooling = Pooling.Avg, SelectBy = SelectionCriterion.Uniformity, HoldOut = 20 };
        string output = RepositoryPaths.NewTemporaryDirectory();
        string message = Assert.Throws<FailedRunException>(() => Train(output, options)).Message;
        Assert.Contains("collapsed", message, StringComparison.Ordinal);
        Assert.Contains(output, message, StringComparison.Ordinal);
        Assert.Equal(300, Train(RepositoryPaths.NewTemporaryDirectory(), options with { CollapseAlarm = false }).Steps);
    }

    [Fact]
    public void The_alarm_is_silent_where_vectors_spread_and_where_they_start_as_one()
    {
        CollapseAlarm alarm = new();
        Assert.All(Enumerable.Range(0, 200), i => Assert.Null(alarm.AfterStep(-1 + (0.001 * i))));
        Assert.All(Enumerable.Range(0, 49), _ => Assert.Null(alarm.AfterStep(-0.001)));
        Assert.NotNull(alarm.AfterStep(-0.001));
        CollapseAlarm young = new();
        Assert.All(Enumerable.Range(0, 100), i => Assert.Null(young.AfterStep(-0.001 * i / 10))); // falls from the start
        CollapseAlarm judged = new();
        Assert.Null(judged.AfterEvaluation(new DevelopmentScore(1, 0.1, -1.3, 100)));
        Assert.Null(judged.AfterEvaluation(new DevelopmentScore(1, 0.1, -1.2, 40)));
        Assert.Contains("few directions", judged.AfterEvaluation(new DevelopmentScore(1, 0.1, -1.2, 9)), StringComparison.Ordinal);
        Assert.Contains("uniformity", judged.AfterEvaluation(new DevelopmentScore(1, 0.1, -0.001, 50)), StringComparison.Ordinal);
    }

    [Fact]
    public void Too_few_rows_to_hold_some_out_are_refused() => Assert.Contains("--hold-out",
        Assert.Throws<InvalidDataException>(() => Train(RepositoryPaths.NewTemporaryDirectory(), new TrainingOptions { BatchSize = 8, MaxSteps = 1, SelectBy = SelectionCriterion.Uniformity, HoldOut = 150 })).Message, StringComparison.Ordinal);

    private static TrainingResult Train(string output, TrainingOptions options)
    {
        string[] subjects = ["a man", "the dog", "a child", "the company", "she", "nobody", "the river", "a file"], verbs = ["reads", "is playing", "cuts", "reported", "deletes"];
        string[] texts = [.. from s in subjects from v in verbs from o in new[] { "the guitar", "an onion", "a loss of the year" } select $"{s} {v} {o} in the snow today."];
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        Tokenizer tokenizer = Tokenizer.Load(checkpoint.Directory);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize([.. texts.Select(s => (IReadOnlyList<string>)[s])], tokenizer, options.MaxLength);
        return new SimCseTrainer(options, output) { DataSource = ("sentences", "0") }.Run(checkpoint, tokenizer, corpus, resume: false, cancellationToken: TestContext.Current.CancellationToken);
    }
}
