using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Objectives;

namespace SimCse.Training.Tests;

public class TrainerTests
{
    private static readonly string[] s_subjects = ["a man", "the dog", "a child", "the company", "she", "nobody", "the river", "a file"];
    private static readonly string[] s_verbs = ["reads", "is playing", "cuts", "reported", "runs through", "deletes"];
    private static readonly string[] s_objects = ["the guitar", "an onion", "a loss", "the snow", "line by line", "some music"];

    private static TrainingOptions Options => new() { BatchSize = 8, LearningRate = 1e-3, MaxSteps = 12, EvalSteps = 4, SaveSteps = 3, Seed = 5, MlpOnlyTrain = true };

    [Fact]
    public void A_run_that_was_stopped_goes_on_to_the_same_bits()
    {
        string whole = RepositoryPaths.NewTemporaryDirectory(), halves = RepositoryPaths.NewTemporaryDirectory();
        TrainingResult expected = Train(whole, Options, "tiny-bert");
        foreach (int stop in new[] { 1, 5, 9 })
        {
            using CancellationTokenSource source = new();
            Assert.Throws<OperationCanceledException>(() => Train(halves, Options, "tiny-bert", resume: true, new StopAfter(stop, source), source.Token));
            Assert.False(File.Exists(Path.Combine(halves, "config.json")), "the output is a model only when the run is complete");
        }

        TrainingResult actual = Train(halves, Options, "tiny-bert", resume: true);
        Assert.Equal((expected.BestStep, expected.BestScore), (actual.BestStep, actual.BestScore));
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "model.safetensors")), File.ReadAllBytes(Path.Combine(halves, "model.safetensors")));
        Assert.Equal(MetricsLog.Read(whole), MetricsLog.Read(halves));
        Assert.False(Directory.Exists(Path.Combine(halves, "run")));
    }

    [Fact]
    public void The_weights_of_the_best_evaluation_are_kept()
    {
        double[] scores = [0, 30, 70, 50];
        string output = RepositoryPaths.NewTemporaryDirectory();
        int evaluation = 0;
        float[]? atBest = null;
        TrainingResult result = Train(output, Options, "tiny-bert", evaluate: (encoder, token) =>
        {
            if (scores[evaluation] == 70)
            {
                atBest = encoder.Encode(["a man reads"], token).Values.ToArray();
            }

            return new DevelopmentScore(scores[evaluation++]);
        });
        Assert.Equal((8, 70.0), (result.BestStep, result.BestScore!.Value));
        using SentenceEncoder stored = SentenceEncoder.Load(output);
        Assert.Equal(Pooling.ClsBeforePooler, stored.Pooling);
        Assert.All(stored.Encode("a man reads").Zip(atBest!), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    [Theory]
    [InlineData("tiny-bert", Pooling.Cls, false)]
    [InlineData("tiny-roberta", Pooling.Cls, false)]
    [InlineData("tiny-roberta", Pooling.AvgFirstLast, false)]
    public void What_is_stored_encodes_as_what_was_trained(string model, Pooling pooling, bool mlpOnlyTrain)
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        string[] texts = [.. Sentences().Take(20), ""];
        float[] trained = [];
        Train(output, Options with { Pooling = pooling, MlpOnlyTrain = mlpOnlyTrain, MaxSteps = 3, EvalSteps = 3 }, model,
            evaluate: (encoder, token) =>
            {
                trained = encoder.Encode(texts, token).Values.ToArray();
                return new DevelopmentScore(1);
            });
        using SentenceEncoder stored = SentenceEncoder.Load(output);
        Assert.Equal(pooling, stored.Pooling);
        Assert.All(stored.Encode(texts, TestContext.Current.CancellationToken).Values.ToArray().Zip(trained), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));
    }

    [Fact]
    public void A_run_is_resumed_only_with_what_it_was_started_with()
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        using (CancellationTokenSource source = new())
        {
            Assert.Throws<OperationCanceledException>(() => Train(output, Options, "tiny-bert", resume: false, new StopAfter(4, source), source.Token));
        }

        InvalidDataException otherRate = Assert.Throws<InvalidDataException>(() => Train(output, Options with { LearningRate = 2e-3 }, "tiny-bert", resume: true));
        Assert.Contains("learning-rate = 0.001, not 0.002", otherRate.Message, StringComparison.Ordinal);
        InvalidDataException notResumed = Assert.Throws<InvalidDataException>(() => Train(output, Options, "tiny-bert"));
        Assert.Contains("--resume", notResumed.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_loss_with_dropout_falls()
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        List<TrainingProgress> seen = [];
        Train(output, Options with { MaxSteps = 40, EvalSteps = 40 }, "tiny-bert", progress: new Collect(seen));
        StepMetrics[] steps = [.. seen.Select(p => p.Metrics).OfType<StepMetrics>()];
        Assert.Equal(40, steps.Length);
        Assert.True(steps.TakeLast(10).Average(s => s.Loss) < steps.Take(10).Average(s => s.Loss));
    }

    [Fact]
    public void The_masked_language_head_is_trained_and_stored_with_the_model()
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        Train(output, Options with { DoMlm = true, MaxSteps = 4, EvalSteps = 4 }, "tiny-roberta");
        using Checkpoint before = Checkpoint.Open(RepositoryPaths.Fixture("tiny-roberta")), after = Checkpoint.Open(output);
        Assert.NotEqual(before.ReadMaskedLanguageHead()!.DenseWeight, after.ReadMaskedLanguageHead()!.DenseWeight);
        Assert.Equal(before.Tensors.Select(t => t.Name).ToHashSet(StringComparer.Ordinal), after.Tensors.Select(t => t.Name).ToHashSet(StringComparer.Ordinal));
    }

    [Fact]
    public void Pretraining_from_random_weights_learns_a_vocabulary_and_lowers_the_held_out_loss()
    {
        string output = RepositoryPaths.NewTemporaryDirectory();
        PretrainingOptions options = new()
        {
            VocabularySize = 120,
            Layers = 1,
            HiddenSize = 32,
            Heads = 2,
            IntermediateSize = 64,
            MaxPositions = 40,
            MaxLength = 24,
            BatchSize = 32,
            LearningRate = 5e-3,
            WarmUpSteps = 5,
            MaxSteps = 60,
            EvalSteps = 30,
        };
        string[] sentences = Sentences();
        string tokenizer = PretrainingTexts.LearnVocabulary(sentences, options, output, TestContext.Current.CancellationToken);
        List<TrainingProgress> seen = [];
        new MaskedLanguageTrainer(options, output) { DataSource = ("sentences", "0"), StoredType = TensorType.F16 }
            .Run(tokenizer, sentences, resume: false, new Collect(seen), TestContext.Current.CancellationToken);
        double[] scores = [.. seen.Select(p => p.Development).OfType<DevelopmentScore>().Select(d => d.Score)];
        Assert.Equal(3, scores.Length);
        double guessing = Math.Log(Tokenizer.Load(output).VocabularySize); // every token alike
        Assert.Equal(guessing, -scores[0], 0.05);
        Assert.True(-scores[2] < guessing - 1, $"held-out loss {-scores[0]} to {-scores[2]}");
        using Checkpoint checkpoint = Checkpoint.Open(output);
        Assert.True(checkpoint.HasMaskedLanguageHead);
        Assert.All(checkpoint.Tensors, t => Assert.Equal(TensorType.F16, t.Type));
        Assert.Equal(checkpoint.Config.VocabularySize, Tokenizer.Load(output).VocabularySize);
    }

    [Fact]
    public void Of_the_chosen_tokens_eight_in_ten_are_masked_one_replaced_and_one_left()
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));
        int[] ids = tokenizer.Encode("A man is playing a guitar on stage while two dogs run through the snow.").Ids;
        TokenMasking masking = new(tokenizer, 0.15, Seed: 1);
        int chosen = 0, masked = 0, kept = 0, candidates = 0;
        for (int row = 0; row < 4000; row++)
        {
            (int[] corrupted, IReadOnlyList<(int Position, int Token)> labels) = masking.Corrupt(ids, step: row % 7, row);
            Assert.Equal((ids[0], ids[^1]), (corrupted[0], corrupted[^1]));
            Assert.All(labels, l => Assert.Equal(ids[l.Position], l.Token));
            candidates += ids.Length - 2;
            chosen += labels.Count;
            masked += labels.Count(l => corrupted[l.Position] == tokenizer.MaskTokenId);
            kept += labels.Count(l => corrupted[l.Position] == l.Token);
        }

        Assert.Equal(0.15, (double)chosen / candidates, 0.01);
        Assert.Equal(0.8, (double)masked / chosen, 0.02);
        Assert.Equal(0.1, (double)kept / chosen, 0.02);
    }

    [Fact]
    public void Options_that_make_no_sense_are_refused_by_the_name_of_the_option()
    {
        Assert.Contains("--temperature is 0", Assert.Throws<ArgumentException>(() => (Options with { Temperature = 0 }).Validate()).Message, StringComparison.Ordinal);
        Assert.Contains("--mlp-only-train", Assert.Throws<ArgumentException>(() => (Options with { Pooling = Pooling.Avg }).Validate()).Message, StringComparison.Ordinal);
        Assert.Contains("--batch-size is 1", Assert.Throws<ArgumentException>(() => (Options with { BatchSize = 1 }).Validate()).Message, StringComparison.Ordinal);
        Assert.Contains("--dropout is 1", Assert.Throws<ArgumentException>(() => (Options with { Dropout = 1 }).Validate()).Message, StringComparison.Ordinal);
        Assert.Contains("--heads is 3", Assert.Throws<ArgumentException>(() => new PretrainingOptions { Heads = 3 }.Validate()).Message, StringComparison.Ordinal);
    }

    private static string[] Sentences() => [.. from s in s_subjects from v in s_verbs from o in s_objects select $"{s} {v} {o}."];

    private static TrainingResult Train(
        string output, TrainingOptions options, string model, bool resume = false, IProgress<TrainingProgress>? progress = null, CancellationToken? token = null,
        Func<ISentenceEncoder, CancellationToken, DevelopmentScore>? evaluate = null)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture(model));
        Tokenizer tokenizer = Tokenizer.Load(checkpoint.Directory);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize([.. Sentences().Select(s => (IReadOnlyList<string>)[s])], tokenizer, options.MaxLength);
        SimCseTrainer trainer = new(options, output)
        {
            DataSource = ("sentences", "0"),
            Evaluate = evaluate ?? ((encoder, at) => new DevelopmentScore(-Evaluation.Geometry.Uniformity(encoder.Encode(Sentences()[..50], at)))),
        };
        return trainer.Run(checkpoint, tokenizer, corpus, resume, progress, token ?? TestContext.Current.CancellationToken);
    }

    private sealed class Collect(List<TrainingProgress> into) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value) => into.Add(value);
    }

    private sealed class StopAfter(int step, CancellationTokenSource source) : IProgress<TrainingProgress>
    {
        public void Report(TrainingProgress value)
        {
            if (value.Step >= step && value.Metrics is not null)
            {
                source.Cancel();
            }
        }
    }
}
