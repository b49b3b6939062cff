using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using SimCse.Training.Studies;

namespace SimCse.Training.Tests;

public class StudyTests
{
    private static readonly string[] s_texts = [.. from s in new[] { "a man", "the dog", "a child", "she" } from v in new[] { "reads", "cuts", "reported" } from o in new[] { "the guitar", "an onion" } select $"{s} {v} {o}."];

    private static TrainingOptions Options => new() { BatchSize = 8, LearningRate = 1e-3, EvalSteps = 2, Pooling = Pooling.Avg };

    /// <summary>The cells are the paper's: table, row by row.</summary>
    [Fact]
    public void Every_study_has_the_rows_of_its_table()
    {
        StudySettings settings = new(Options with { Pooling = Pooling.Cls, MlpOnlyTrain = true }, Options with { Pooling = Pooling.Cls }, [], HasWordNet: true, HasTriplets: true);
        Dictionary<string, Study> studies = Study.Names.ToDictionary(n => n, n => Study.Named(n, settings), StringComparer.Ordinal);
        Assert.Equal([71.1, 72.6, 81.1, 82.5, 81.4, 80.5, 71.0, 43.6], Paper("dropout"));
        Assert.Equal([82.5, 77.8, 71.4, 63.6, 75.9, 72.2, 68.2, 75.9, 74.2, 77.4, 62.2], Paper("augmentation"));
        Assert.Equal([67.1, 67.4, 75.9, 82.5, 68.9, 68.8, 73.1, 80.7, null, null], Paper("objective"));
        Assert.Equal([85.9, 84.9, 85.4, 86.2, 82.0, 64.0], Paper("temperature"));
        Assert.Equal([81.7, 82.5, 80.9, 81.2, null, 86.2, 85.8, 86.2, 86.1, null], Paper("pooling"));
        Assert.Equal([86.2, 85.7, 85.7, 85.1], Paper("mlm"));
        Assert.True(studies["dropout"].Variants[^1].Options is { FixedDropout: true, Dropout: 0.1 });
        Assert.All(studies["alignment"].Variants, v => Assert.Equal(10, v.Options.EvalSteps));
        Assert.All(studies.Values.SelectMany(s => s.Variants), v => v.Options.Validate());
        Assert.All(studies.Values, s => Assert.Equal(s.Variants.Count, s.Variants.Select(v => (v.Row, v.Column)).Distinct().Count()));
        Assert.Contains(studies["supervised"].Variants, v => Math.Abs(v.Options.HardNegativeWeight - Math.Log(2)) < 1e-12);

        double?[] Paper(string name) => [.. studies[name].Variants.Select(v => v.Paper)];
    }

    [Fact]
    public void A_study_makes_each_run_once_goes_on_after_a_stop_and_writes_its_table()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        StudyRunner runner = Runner(checkpoint, folder);
        Study study = Study.Named("alignment", new StudySettings(Options with { EvalSteps = 1 }, Options, [], HasWordNet: false, HasTriplets: false));
        Assert.Equal((8, 0), (runner.Forecast(study, [1, 2], TestContext.Current.CancellationToken).Runs, runner.Forecast(study, [1, 2], TestContext.Current.CancellationToken).OnDisk));
        using CancellationTokenSource stop = new();
        int started = 0;
        Assert.Throws<OperationCanceledException>(() => runner.Run(study, [1, 2], _ => started++, run => run(new Progress()), done =>
        {
            if (done.Sum(c => c.Runs.Count) == 3)
            {
                stop.Cancel();
            }
        }, stop.Token));
        Assert.Equal(5, Runner(checkpoint, folder).Forecast(study, [1, 2], TestContext.Current.CancellationToken) is var forecast ? forecast.Runs - forecast.OnDisk : 0);

        List<StudyRunStart> starts = [];
        IReadOnlyList<StudyCell> cells = Runner(checkpoint, folder).Run(study, [1, 2], starts.Add, run => run(new Progress()), _ => { }, TestContext.Current.CancellationToken);
        Assert.Equal(5, starts.Count);
        Assert.Equal(4, cells.Count);
        Assert.All(cells, c => Assert.Equal([1L, 2L], c.Runs.Select(r => r.Seed)));
        Assert.Equal(cells[0].Runs.Average(r => r.Score!.Value), cells[0].Score!.Value.Mean, 1e-12);
        Assert.DoesNotContain(Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories), f => f.EndsWith(".safetensors", StringComparison.Ordinal));

        IReadOnlyList<string> files = new StudyReport(study, cells, [1, 2], "tiny", "score", "data").Write(folder);
        string table = File.ReadAllText(files[0]);
        Assert.All(study.Variants, v => Assert.Contains($"| {v.Row} |", table, StringComparison.Ordinal));
        JsonNode json = JsonNode.Parse(File.ReadAllText(files[1]))!;
        Assert.Equal(4, json["cells"]!.AsArray().Count);
        Assert.Equal(2, json["cells"]![0]!["runs"]![0]!["course"]!.AsArray().Count); // before, and after the last of three steps
        Assert.Contains("<svg", File.ReadAllText(files[2]), StringComparison.Ordinal);
    }

    [Fact]
    public void A_run_that_fails_is_a_row_of_the_table_and_not_made_again()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        StudyVariant bad = new("hopeless", StudyData.Sentences, Options with { LearningRate = 1e30, MaxSteps = 5, Similarity = Similarity.Dot });
        Study study = new("bad", "A run that diverges", "nowhere", [bad]);
        int started = 0;
        for (int i = 0; i < 2; i++)
        {
            IReadOnlyList<StudyCell> cells = Runner(checkpoint, folder).Run(study, [1], _ => started++, run => run(new Progress()), _ => { }, TestContext.Current.CancellationToken);
            Assert.Null(cells[0].Score);
            Assert.Contains("learning rate", cells[0].Runs[0].Failure, StringComparison.Ordinal);
            Assert.Contains("1 stopped at step", new StudyReport(study, cells, [1], "tiny", "score", "data").ToMarkdown(), StringComparison.Ordinal);
        }

        Assert.Equal(1, started);
    }

    private static StudyRunner Runner(Checkpoint checkpoint, string folder) => new(
        new StudySources(checkpoint, Tokenizer.Load(checkpoint.Directory), s_texts.Length, 32, Precision.Fp32) { Sentences = ("sentences", s_texts) }, folder)
    {
        Evaluate = (encoder, token) =>
        {
            double uniformity = Evaluation.Geometry.Uniformity(encoder.Encode(s_texts, token));
            return new DevelopmentScore(-uniformity, 0.1, uniformity);
        },
        ScoreName = "uniformity, negated",
        JudgedBy = "these sentences",
    };

    private sealed class Progress : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
        }
    }
}
