using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

public class ObjectiveTests
{
    /// <summary>The authors' own code (LeJEPA) on ordinary, narrow, collapsed and wide inputs.</summary>
    [Theory]
    [InlineData("gauss")]
    [InlineData("narrow")]
    [InlineData("collapsed")]
    [InlineData("wide")]
    public void Sigreg_equals_its_authors_value_and_gradient(string name)
    {
        using DisposeScope scope = NewDisposeScope();
        using SafetensorsFile file = SafetensorsFile.Open(RepositoryPaths.Fixture("sigreg.safetensors"));
        JsonNode expected = JsonNode.Parse(File.ReadAllText(RepositoryPaths.Fixture("sigreg.json")))![name]!;
        Tensor x = tensor(file.ReadFloats(name + ".x"), file.Find(name + ".x")!.Shape).requires_grad_(true);
        Tensor loss = SigReg.Loss(x, tensor(file.ReadFloats(name + ".directions"), file.Find(name + ".directions")!.Shape));
        loss.backward();
        double value = expected["value"]!.GetValue<double>();
        Assert.Equal(value, loss.item<float>(), 1e-5 * value);
        float[] gradient = file.ReadFloats(name + ".grad"), own = x.grad!.data<float>().ToArray();
        double scale = gradient.Max(Math.Abs);
        Assert.All(gradient.Zip(own), pair => Assert.Equal(pair.First, pair.Second, 1e-5 * scale));
    }

    [Fact]
    public void Directions_are_of_unit_length_and_others_each_step()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor first = SigReg.Draw(16, 1, 0, CPU), again = SigReg.Draw(16, 1, 0, CPU), next = SigReg.Draw(16, 1, 1, CPU);
        Assert.Equal([16, SigReg.Directions], first.shape);
        Assert.All(first.norm(0).data<float>().ToArray(), length => Assert.Equal(1, length, 1e-5));
        Assert.Equal(first.data<float>().ToArray(), again.data<float>().ToArray());
        Assert.True((first * next).sum([0]).abs().mean().item<float>() < 0.4, "the directions of two steps are alike");
    }

    [Fact]
    public void Jepa_is_prediction_plus_the_distance_from_a_gaussian()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = randn(8, 6), b = randn(8, 6);
        float prediction = Loss(JepaViews.Dropout, 0, a, b), regular = Loss(JepaViews.Dropout, 1, a, b);
        Assert.Equal((0.7 * prediction) + (0.3 * regular), Loss(JepaViews.Dropout, 0.3, a, b), 1e-4 * regular);
        Assert.Equal(0, Loss(JepaViews.Dropout, 0, a, a), 1e-6);
        Assert.True(Loss(JepaViews.MaskedSpans, 0, a, a) > 0, "an untrained predictor does not know the vector of the whole");
        Assert.Equal(regular, Loss(JepaViews.MaskedSpans, 1, a, b), 1e-5 * regular);

        static float Loss(JepaViews views, double weight, Tensor first, Tensor second)
        {
            using ParameterSet parameters = new();
            return new JepaObjective(parameters, 6, views, weight, width: 4, seed: 3).Loss([first, second], 0).item<float>();
        }
    }

    /// <summary>Closed form: two rows of one dot product each.</summary>
    [Fact]
    public void The_dot_product_is_not_divided_by_lengths()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = tensor(new float[] { 2, 0, 0, 1 }, 2, 2), b = tensor(new float[] { 3, 1, 0, 1 }, 2, 2);
        Tensor dots = new ContrastiveLoss(2, 0, Similarity.Dot).Logits(a, b);
        Assert.Equal([3f, 0f, 0.5f, 0.5f], dots.data<float>().ToArray());
        double expected = (Math.Log(Math.Exp(3) + 1) - 3 + Math.Log(2)) / 2;
        Assert.Equal(expected, new ContrastiveLoss(2, 0, Similarity.Dot).Loss([a, b], 0).item<float>(), 1e-6);
    }

    /// <summary>A row that says the same as i is as if it were not in i's denominator.</summary>
    [Fact]
    public void Duplicates_are_no_negatives_of_each_other()
    {
        using DisposeScope scope = NewDisposeScope();
        ContrastiveLoss loss = new(0.05);
        Tensor z1 = randn(3, 5), z2 = randn(3, 5);
        Tensor same = tensor(new float[] { 0, 1, 0, 1, 0, 0, 0, 0, 0 }, 3, 3);
        float[] cosines = loss.Logits(z1, z2).data<float>().ToArray();
        double expected = (Row(0, [0, 2]) + Row(1, [1, 2]) + Row(2, [0, 1, 2])) / 3;
        Assert.Equal(expected, loss.Loss([z1, z2], 0, same).item<float>(), 1e-4);

        double Row(int i, int[] others) => Math.Log(others.Sum(j => Math.Exp(cosines[(i * 3) + j]))) - cosines[(i * 3) + i];
    }

    [Fact]
    public void Fixed_dropout_gives_both_views_one_vector()
    {
        using Goldens goldens = Goldens.Of("tiny-bert");
        ContrastiveBatch batch = new([goldens.Views("unsup_cls")[0]]);
        Assert.Equal(0, Step(fixedDropout: true).Alignment!.Value, 1e-5);
        Assert.True(Step(fixedDropout: false).Alignment > 0.01);

        StepResult Step(bool fixedDropout)
        {
            using SimCseModel model = Model(goldens, dropout: 0.1);
            using AdamW optimizer = new(model.Parameters);
            return new ContrastiveStep(model, optimizer, new ContrastiveLoss(), seed: 1) { FixedDropout = fixedDropout }.Run(batch, 0, 1e-4);
        }
    }

    /// <summary>Without noise two encoders of the same weights give the loss of one; each has its own part of the gradient, and the parts add up to the one encoder's.</summary>
    [Fact]
    public void Two_encoders_share_the_gradient_of_one_and_learn_apart()
    {
        using Goldens goldens = Goldens.Of("tiny-bert");
        ContrastiveBatch batch = new([.. goldens.Views("pair_cls").Take(2)]);
        using DisposeScope scope = NewDisposeScope();
        using SimCseModel one = Model(goldens, dropout: 0), two = Model(goldens, dropout: 0);
        two.AddSecondEncoder(goldens.Checkpoint, seed: 1);
        using AdamW optimizer = new(one.Parameters), optimizerOfTwo = new(two.Parameters);
        (double expected, _) = new ContrastiveStep(one, optimizer, new ContrastiveLoss(), seed: 1).Gradients(batch, 0, null);
        (double actual, _) = new ContrastiveStep(two, optimizerOfTwo, new ContrastiveLoss(), seed: 1) { MicroBatchSize = 2 }.Gradients(batch, 0, null);
        Assert.Equal(expected, actual, 1e-5);
        foreach (string name in one.Parameters.Names)
        {
            float[] whole = one.Parameters[name].grad!.contiguous().data<float>().ToArray(), sum = [.. two.Parameters[name].grad!.contiguous().data<float>().ToArray()
                .Zip(two.Parameters["second." + name].grad!.contiguous().data<float>().ToArray()).Select(p => p.First + p.Second)];
            double scale = Math.Max(1e-4, whole.Max(Math.Abs));
            Assert.All(whole.Zip(sum), pair => Assert.Equal(pair.First, pair.Second, 1e-4 * scale));
        }

        optimizerOfTwo.Step(1e-3);
        Assert.NotEqual(two.Parameters.Read(EncoderTensors.WordEmbeddings), two.Parameters.Read("second." + EncoderTensors.WordEmbeddings));
        Assert.DoesNotContain(two.TensorsFor(goldens.Checkpoint), t => t.Entry.Name.Contains("second.", StringComparison.Ordinal));
    }

    private static SimCseModel Model(Goldens goldens, double dropout) => SimCseModel.FromCheckpoint(
        goldens.Checkpoint, goldens.Checkpoint.Config with { HiddenDropout = dropout, AttentionDropout = dropout }, Pooling.Avg, mlpOnlyTrain: false, seed: 1);
}
