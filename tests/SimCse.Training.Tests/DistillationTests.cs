using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Distillation;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

[Collection(nameof(ThreadCount))]
public class DistillationTests
{
    private static readonly string[] s_texts = [.. from s in (string[])["a man", "the dog", "a child", "nobody"] from v in (string[])["reads", "is playing", "cuts", "deletes"] from o in (string[])["the guitar", "an onion", "the snow"] select $"{s} {v} {o}."];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void The_loss_is_the_formula_in_double_precision()
    {
        const int N = 5, H = 4;
        const double Weight = 0.7, Temperature = 0.1;
        float[] z = new CounterRandom(1, 1).Normal(N * H, 1), t = new CounterRandom(2, 1).Normal(N * H, 3);
        double expected = 0;
        for (int i = 0; i < N; i++)
        {
            expected += (1 - Cosine(z, i, t, i)) / N;
            double sumQ = 0, sumP = 0;
            for (int j = 0; j < N; j++)
            {
                (sumQ, sumP) = i == j ? (sumQ, sumP) : (sumQ + Math.Exp(Cosine(z, i, z, j) / Temperature), sumP + Math.Exp(Cosine(t, i, t, j) / Temperature));
            }

            for (int j = 0; j < N; j++)
            {
                double p = Math.Exp(Cosine(t, i, t, j) / Temperature) / sumP, q = Math.Exp(Cosine(z, i, z, j) / Temperature) / sumQ;
                expected += i == j ? 0 : Weight * p * Math.Log(p / q) / N;
            }
        }

        using DisposeScope scope = NewDisposeScope();
        Assert.Equal(expected, Loss(z, t), 1e-5);
        Assert.Equal(0, Loss(t, [.. t.Select(x => 5 * x)]), 1e-5); // only directions count

        double Loss(float[] student, float[] teacher) => new DistillationLoss(Weight, Temperature).Of(tensor(student, [N, H]), tensor(teacher, [N, H])).item<float>();

        static double Cosine(float[] a, int i, float[] b, int j)
        {
            double dot = 0, first = 0, second = 0;
            for (int c = 0; c < H; c++)
            {
                (double x, double y) = (a[(i * H) + c], b[(j * H) + c]);
                (dot, first, second) = (dot + (x * y), first + (x * x), second + (y * y));
            }

            return dot / Math.Sqrt(first * second);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Gradients_are_the_slopes_of_the_loss_and_pieces_give_those_of_the_whole_batch(int columns)
    {
        using Goldens goldens = Goldens.Of("tiny-bert");
        using DisposeScope scope = NewDisposeScope();
        using SimCseModel model = goldens.Model(Pooling.Avg, withHead: false);
        using AdamW optimizer = new(model.Parameters);
        int[][] rows = goldens.Batch()[..12];
        int h = model.Config.HiddenSize;
        ContrastiveBatch batch = new([.. rows.Chunk(12 / columns)], new EmbeddingMatrix(new CounterRandom(9, 1).Normal(12 * h, 1), 12, h));
        double Loss() => new ContrastiveStep(model, optimizer, new ContrastiveLoss(), seed: 1) { TeacherWeight = 2 }.Gradients(batch, 0, null).Loss;
        Loss();
        float[] gradients = model.Parameters.FlatGradients.Floats().ToArray();

        const string Name = "encoder.layer.0.output.dense.bias";
        float[] values = model.Parameters.Read(Name);
        const float Step = 1e-2f;
        for (int i = 0; i < 8; i++)
        {
            double above = At(i, Step), below = At(i, -Step);
            Assert.Equal((above - below) / (2 * Step), gradients[model.Parameters.GradientStart(Name) + i], 2e-3);
        }

        model.Parameters.Write(Name, values);
        new ContrastiveStep(model, optimizer, new ContrastiveLoss(), seed: 1) { TeacherWeight = 2, MicroBatchSize = 2 }.Gradients(batch, 0, null);
        float[] pieces = model.Parameters.FlatGradients.Floats().ToArray();
        double norm = Math.Sqrt(gradients.Sum(g => (double)g * g)), difference = Math.Sqrt(gradients.Zip(pieces).Sum(p => Math.Pow(p.First - p.Second, 2)));
        Assert.True(difference <= 1e-5 * norm, $"the gradients are {difference} apart, their norm is {norm}");

        double At(int i, float step)
        {
            float[] moved = [.. values];
            moved[i] += step;
            model.Parameters.Write(Name, moved);
            return Loss();
        }
    }

    [Fact]
    public void A_teachers_vectors_are_what_it_says_and_are_computed_once_and_go_on_where_they_stopped()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory(), path = Path.Combine(folder, "teacher.bin"), teacher = Teacher(folder);
        string[] texts = [.. Enumerable.Range(0, 2500).Select(i => $"{s_texts[i % s_texts.Length]} {i}")];
        using (TeacherVectors vectors = TeacherVectors.Compute(path, teacher, () => texts, cancellationToken: Cancellation))
        {
            using SentenceEncoder encoder = SentenceEncoder.Load(teacher, new SentenceEncoderOptions { Normalize = true });
            float[] vector = new float[vectors.Dimensions];
            foreach (int text in new[] { 0, 1023, 1024, 2499 })
            {
                vectors.Read(text, vector);
                float[] said = encoder.Encode(texts[text]);
                Assert.All(said.Zip(vector), pair => Assert.Equal(pair.First, pair.Second, 1e-3f)); // 11 bits
            }
        }

        byte[] whole = File.ReadAllBytes(path);
        List<long> reports = [];
        foreach (int cut in new[] { 0, 5, whole.Length / 2, whole.Length - 1 })
        {
            File.WriteAllBytes(path, whole[..cut]);
            TeacherVectors.Compute(path, teacher, () => texts, cancellationToken: Cancellation).Dispose();
            Assert.Equal(whole, File.ReadAllBytes(path));
        }

        TeacherVectors.Compute(path, teacher, () => texts, progress: new Reports(reports), cancellationToken: Cancellation).Dispose();
        Assert.Empty(reports); // nothing was computed
        byte[] broken = [.. whole];
        broken[whole.Length / 2] ^= 1;
        File.WriteAllBytes(path, broken);
        TeacherVectors.Compute(path, teacher, () => texts, cancellationToken: Cancellation).Dispose();
        Assert.Equal(whole, File.ReadAllBytes(path));

        Assert.Contains("other texts", Assert.Throws<InvalidDataException>(() => TeacherVectors.Compute(path, teacher, () => texts[1..], cancellationToken: Cancellation)).Message, StringComparison.Ordinal);
        File.AppendAllText(Path.Combine(teacher, "vocab.txt"), "\n");
        Assert.Contains("another teacher", Assert.Throws<InvalidDataException>(() => TeacherVectors.Compute(path, teacher, () => texts, cancellationToken: Cancellation)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Targets_keep_the_teachers_products_as_far_as_the_students_width_allows()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        using TeacherVectors vectors = TeacherVectors.Compute(Path.Combine(folder, "teacher.bin"), Teacher(folder), () => s_texts, cancellationToken: Cancellation);
        long[] all = [.. Enumerable.Range(0, s_texts.Length).Select(i => (long)i)];
        float[] a = new float[vectors.Dimensions], b = new float[vectors.Dimensions];
        foreach (int width in new[] { vectors.Dimensions + 8, vectors.Dimensions, vectors.Dimensions / 4 })
        {
            TeacherTargets targets = TeacherTargets.Create(vectors, width);
            EmbeddingMatrix y = targets.Of(all);
            Assert.Equal(width, y.Dimensions);
            double lost = 0;
            for (int i = 1; i < y.Count; i++)
            {
                vectors.Read(i - 1, a);
                vectors.Read(i, b);
                double difference = System.Numerics.Tensors.TensorPrimitives.Dot<float>(a, b) - System.Numerics.Tensors.TensorPrimitives.Dot(y[i - 1], y[i]);
                Assert.Equal(0, difference, width >= vectors.Dimensions ? 1e-5 : 0.1);
                lost += 1 - System.Numerics.Tensors.TensorPrimitives.SumOfSquares(y[i]);
            }

            Assert.Equal(1 - targets.Kept, lost / (y.Count - 1), 0.01);
            Assert.True(width < vectors.Dimensions ? targets.Kept is > 0.9 and < 1 : targets.Kept is 1, $"kept {targets.Kept}");
        }
    }

    [Theory]
    [InlineData(0, Pooling.Avg)]
    [InlineData(1, Pooling.StaticFirstLast)]
    public void A_new_student_learns_its_teacher_and_resumes_to_the_same_bits_and_is_stored_as_it_was_trained(int layers, Pooling pooling)
    {
        string folder = RepositoryPaths.NewTemporaryDirectory(), teacher = Teacher(folder), untrained = Path.Combine(folder, "untrained");
        using TeacherVectors vectors = TeacherVectors.Compute(Path.Combine(folder, "teacher.bin"), teacher, () => s_texts, cancellationToken: Cancellation);
        PretrainingOptions shape = new() { Layers = layers, HiddenSize = 16, Heads = 2, IntermediateSize = 32, MaxPositions = 32, MaxLength = 32, Pooling = pooling, BatchSize = 16, LearningRate = 5e-3, WarmUpSteps = 0, MaxSteps = 30, EvalSteps = 10 };
        TeacherTargets targets = TeacherTargets.Create(vectors, shape.HiddenSize);
        StudentModel.Write(untrained, teacher, shape, teacher, Path.Combine(folder, "words.bin"), targets, Cancellation);
        if (layers > 0)
        {
            string other = Path.Combine(folder, "other");
            using Checkpoint source = Checkpoint.Open(untrained);
            StudentModel.Write(other, shape with { Seed = 7 }, source);
            using Checkpoint written = Checkpoint.Open(other);
            Assert.Equal(source.ReadEncoderTensor(EncoderTensors.WordEmbeddings), written.ReadEncoderTensor(EncoderTensors.WordEmbeddings));
            Assert.NotEqual(source.ReadEncoderTensor("encoder.layer.0.output.dense.weight"), written.ReadEncoderTensor("encoder.layer.0.output.dense.weight"));
            Assert.Contains("16 components", Assert.Throws<InvalidDataException>(() => StudentModel.Write(other, shape with { HiddenSize = 32 }, source)).Message, StringComparison.Ordinal);
        }

        string whole = Path.Combine(folder, "whole"), halves = Path.Combine(folder, "halves");
        List<float[]> trained = [];
        Run(whole, resume: false, stopAfter: int.MaxValue);
        Assert.Throws<OperationCanceledException>(() => Run(halves, resume: false, stopAfter: 13));
        Run(halves, resume: true, stopAfter: int.MaxValue);
        Assert.Equal(File.ReadAllBytes(Path.Combine(whole, "model.safetensors")), File.ReadAllBytes(Path.Combine(halves, "model.safetensors")));

        IReadOnlyList<MetricsLine> metrics = MetricsLog.Read(whole);
        Assert.True(metrics[^1].Loss < 0.5 * metrics.First(m => m.Step == 1).Loss, $"{metrics.First(m => m.Step == 1).Loss} to {metrics[^1].Loss}");
        using SentenceEncoder stored = SentenceEncoder.Load(whole);
        Assert.Equal(pooling, stored.Pooling);
        Assert.All(stored.Encode(s_texts, Cancellation).Values.ToArray().Zip(trained[^1]), pair => Assert.Equal(pair.Second, pair.First, 1e-5f));

        void Run(string output, bool resume, int stopAfter)
        {
            using Checkpoint checkpoint = Checkpoint.Open(untrained);
            Tokenizer tokenizer = Tokenizer.Load(untrained);
            using TrainingCorpus corpus = TrainingCorpus.Tokenize(s_texts.Select(t => (IReadOnlyList<string>)[t]), tokenizer, shape.MaxLength, Cancellation);
            using CancellationTokenSource source = new();
            SimCseTrainer trainer = new(shape.Distillation(similarityWeight: 1) with { SaveSteps = 5 }, output)
            {
                DataSource = ("sentences", "0"),
                Teacher = targets,
                Evaluate = (encoder, token) =>
                {
                    trained.Add(encoder.Encode(s_texts, token).Values.ToArray());
                    return new DevelopmentScore(trained.Count);
                },
            };
            trainer.Run(checkpoint, tokenizer, corpus, resume, new StopAfter(stopAfter, source), source.Token);
        }
    }

    [Fact]
    public void Poolings_of_a_layer_are_refused_where_there_is_none()
    {
        Assert.Contains("avg_top2", Assert.Throws<InvalidDataException>(() => Pooling.AvgTop2.RequireLayers(0)).Message, StringComparison.Ordinal);
        Pooling.Avg.RequireLayers(0);
        Pooling.AvgFirstLast.RequireLayers(1);
        Assert.Contains("--layers is 0", Assert.Throws<ArgumentException>(() => new MaskedLanguageTrainer(new PretrainingOptions { Layers = 0 }, "none") { DataSource = ("", "") }).Message, StringComparison.Ordinal);
    }

    /// <summary>The tiny BERT as a sentence encoder: averaged.</summary>
    private static string Teacher(string folder)
    {
        string directory = Path.Combine(folder, "teacher");
        using Checkpoint tiny = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        CheckpointWriter.Write(directory, new CheckpointContents
        {
            Source = tiny.Directory,
            Tensors = [.. tiny.Tensors.Select(t => tiny.Unchanged(t.Name))],
            Modules = new SentenceModules(Pooling.Avg, Head: null, Normalize: false, MaxSequenceLength: null, LowerCase: null),
        });
        return directory;
    }

    private sealed class Reports(List<long> into) : IProgress<long>
    {
        public void Report(long value) => into.Add(value);
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
