using SimCse.Checkpoints;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

/// <summary>The hand-written forward and backward against libtorch's operations and autograd, dropout on.</summary>
[Collection(nameof(ThreadCount))]
public class NativeEncoderTests
{
    public static TheoryData<string, Pooling, bool> Cases
    {
        get
        {
            TheoryData<string, Pooling, bool> cases = [];
            foreach (string model in new[] { "tiny-bert", "tiny-roberta" })
            {
                foreach (Pooling pooling in Enum.GetValues<Pooling>())
                {
                    cases.Add(model, pooling, true);
                    cases.Add(model, pooling, false);
                }
            }

            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Vectors_and_gradients_equal_those_of_autograd(string name, Pooling pooling, bool dropout)
    {
        using Goldens goldens = Goldens.Of(name);
        using DisposeScope scope = NewDisposeScope();
        using SimCseModel model = Model(goldens, dropout);
        using AutogradEncoder autograd = new(model.Config, model.Parameters);
        using PackedBatch batch = model.Pack(goldens.Batch());
        DropoutMasks? masks = dropout ? new DropoutMasks(3, 5, [.. Enumerable.Range(0, batch.Rows)]) : null;
        (float[] expected, float[] gradients) = Run(autograd, model, batch, masks, pooling);
        (float[] actual, float[] own) = Run(model.Encoder, model, batch, masks, pooling);
        Assert.All(Enumerable.Range(0, expected.Length), i => Assert.Equal(expected[i], actual[i], 2e-5f));
        double norm = Math.Sqrt(gradients.Sum(g => (double)g * g)), difference = Math.Sqrt(gradients.Zip(own).Sum(p => Math.Pow(p.First - p.Second, 2)));
        Assert.True(difference <= 2e-6 * norm, $"the gradients are {difference} apart, their norm is {norm}");
    }

    [Theory]
    [InlineData(Pooling.Cls)]
    [InlineData(Pooling.Avg)]
    public void The_bits_do_not_depend_on_the_number_of_threads(Pooling pooling)
    {
        using Goldens goldens = Goldens.Of("tiny-bert");
        int before = get_num_threads();
        try
        {
            List<float[]> gradients = [];
            foreach (int threads in new[] { 1, 2, 3 })
            {
                set_num_threads(threads);
                using DisposeScope scope = NewDisposeScope();
                using SimCseModel model = Model(goldens, dropout: true);
                int[][] rows = goldens.Batch();
                using PackedBatch batch = model.Pack([.. rows, .. rows, .. rows, .. rows]); // several blocks
                gradients.Add(Run(model.Encoder, model, batch, new DropoutMasks(3, 5, [.. Enumerable.Range(0, batch.Rows)]), pooling).Gradients);
            }

            Assert.All(gradients, g => Assert.Equal(gradients[0], g));
        }
        finally
        {
            set_num_threads(before);
        }
    }

    [Theory]
    [InlineData("unsup_cls")]
    [InlineData("triplet_cls_alphae")]
    [InlineData("triplet_avg_first_last")]
    [InlineData("triplet_cls_mlm")]
    public void Micro_batches_give_the_gradients_of_the_whole_batch(string caseName)
    {
        using Goldens goldens = Goldens.Of("tiny-bert");
        GoldenCase golden = goldens.Case(caseName);
        ContrastiveBatch batch = new(goldens.Views(caseName));
        (double wholeLoss, float[] whole) = Gradients(null);
        foreach (int size in new[] { 1, 2, 4, batch.Rows })
        {
            (double loss, float[] pieces) = Gradients(size);
            Assert.Equal(wholeLoss, loss, 1e-5 * wholeLoss);
            double norm = Math.Sqrt(whole.Sum(g => (double)g * g)), difference = Math.Sqrt(whole.Zip(pieces).Sum(p => Math.Pow(p.First - p.Second, 2)));
            Assert.True(difference <= 2e-6 * norm, $"micro-batches of {size}: the gradients are {difference} apart, their norm is {norm}");
        }

        (double Loss, float[] Gradients) Gradients(int? size)
        {
            using DisposeScope scope = NewDisposeScope();
            using SimCseModel model = SimCseModel.FromCheckpoint(goldens.Checkpoint, goldens.Checkpoint.Config, golden.Pooling, mlpOnlyTrain: golden.Pooling == Pooling.Cls, seed: 7);
            if (golden.MaskedLanguage)
            {
                model.AddMaskedLanguageHead(goldens.Checkpoint.ReadMaskedLanguageHead(), seed: 1);
            }

            using AdamW optimizer = new(model.Parameters);
            ContrastiveStep step = new(model, optimizer, golden.Loss, seed: 1) { MicroBatchSize = size };
            (double loss, _) = step.Gradients(batch, 3, golden.MaskedLanguage ? goldens.Corrupted(caseName) : null);
            return (loss, model.Parameters.FlatGradients.Floats().ToArray());
        }
    }

    [Fact]
    public void Bfloat16_gradients_point_where_those_of_float32_do()
    {
        if (!Precisions.HasBf16)
        {
            Assert.Skip("this processor has no AVX512_BF16");
        }

        using Goldens goldens = Goldens.Of("tiny-bert");
        ContrastiveBatch batch = new(goldens.Views("triplet_cls_alpha1"));
        float[][] gradients = [.. new[] { Precision.Fp32, Precision.Bf16 }.Select(precision =>
        {
            using DisposeScope scope = NewDisposeScope();
            using SimCseModel model = SimCseModel.FromCheckpoint(goldens.Checkpoint, goldens.Checkpoint.Config, Pooling.Cls, mlpOnlyTrain: true, seed: 7, precision);
            using AdamW optimizer = new(model.Parameters);
            new ContrastiveStep(model, optimizer, new ContrastiveLoss(), seed: 1).Gradients(batch, 3, null);
            return model.Parameters.FlatGradients.Floats().ToArray();
        })];
        double dot = gradients[0].Zip(gradients[1]).Sum(p => (double)p.First * p.Second), a = gradients[0].Sum(g => (double)g * g), b = gradients[1].Sum(g => (double)g * g);
        Assert.True(dot / Math.Sqrt(a * b) > 0.995, $"the cosine of the two is {dot / Math.Sqrt(a * b)}"); // 8 bits of mantissa: relative rounding 2⁻⁹ a factor
        Assert.NotEqual(gradients[0], gradients[1]);
    }

    private static SimCseModel Model(Goldens goldens, bool dropout)
    {
        double p = dropout ? 0.1 : 0;
        return SimCseModel.FromCheckpoint(goldens.Checkpoint, goldens.Checkpoint.Config with { HiddenDropout = p, AttentionDropout = p }, Pooling.Avg, mlpOnlyTrain: false, seed: 1);
    }

    /// <summary>The pooled vectors, and the gradient of a fixed linear function of them.</summary>
    private static (float[] Vectors, float[] Gradients) Run(IEncoder encoder, SimCseModel model, PackedBatch batch, DropoutMasks? masks, Pooling pooling)
    {
        using DisposeScope scope = NewDisposeScope();
        model.Parameters.ClearGradients();
        model.Parameters.TouchAll(EncoderTensors.WordEmbeddings);
        EncoderPass pass = encoder.Forward(batch, masks, pooling.HiddenStates(model.Config.Layers), pooling.ReadsFirstTokenOnly(), forGradient: true);
        Tensor vectors = Pooler.Pool(pass, batch, pooling, model.Config.Layers);
        Tensor weights = tensor(new CounterRandom(5, 9).Normal((int)vectors.numel(), 1), vectors.shape);
        (vectors * weights).sum().backward();
        pass.Backward();
        return (vectors.detach().contiguous().Floats().ToArray(), model.Parameters.FlatGradients.Floats().ToArray());
    }
}
