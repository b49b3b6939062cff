using System.Text.Json;
using SimCse.Bench.Plain;
using SimCse.Checkpoints;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Bench.Tests;

/// <summary>The peer of the training benchmarks gives what the reference repository's code gave on PyTorch: tests/fixtures/tiny-bert/goldens.*.</summary>
public sealed class PlainPeerTests : IDisposable
{
    private readonly SafetensorsFile _goldens = SafetensorsFile.Open(RepositoryPaths.Fixture("tiny-bert", "goldens.safetensors"));
    private readonly JsonElement _cases = JsonDocument.Parse(File.ReadAllText(RepositoryPaths.Fixture("tiny-bert", "goldens.json"))).RootElement;

    public void Dispose() => _goldens.Dispose();

    [Theory]
    [InlineData("unsup_cls", 0)]
    [InlineData("pair_cls", 0)]
    [InlineData("triplet_cls_alpha1", 0)]
    [InlineData("triplet_cls_alphae", 1)]
    public void Loss_logits_and_every_gradient_equal_the_reference(string name, double hardNegativeWeight)
    {
        using DisposeScope scope = NewDisposeScope();
        using BertForContrastiveLearning model = Model(hardNegativeWeight);
        JsonElement expected = _cases.GetProperty("cases").GetProperty(name);
        (Tensor ids, Tensor mask, Tensor types) = Batch([.. expected.GetProperty("rows").EnumerateArray()]);

        (Tensor loss, Tensor logits) = model.call(ids, mask, types);
        loss.backward();

        Assert.Equal(expected.GetProperty("loss").GetDouble(), loss.item<float>(), 1e-4 * expected.GetProperty("loss").GetDouble());
        AssertNear(_goldens.ReadFloats($"{name}.logits"), logits, 1e-4, "logits");
        Dictionary<string, Tensor?> gradients = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.grad, StringComparer.Ordinal);
        foreach (JsonProperty norm in expected.GetProperty("grad_norms").EnumerateObject())
        {
            Tensor gradient = gradients[norm.Name] ?? throw new InvalidDataException($"no gradient of {norm.Name}");
            Assert.Equal(norm.Value.GetDouble(), gradient.norm().item<float>(), 1e-6 + (1e-4 * norm.Value.GetDouble()));
            if (_goldens.Find($"{name}.grad.{norm.Name}") is not null)
            {
                AssertNear(_goldens.ReadFloats($"{name}.grad.{norm.Name}"), gradient, 1e-4, norm.Name);
            }
        }
    }

    [Fact]
    public void Twenty_steps_of_AdamW_equal_the_reference()
    {
        using DisposeScope scope = NewDisposeScope();
        using BertForContrastiveLearning model = Model(hardNegativeWeight: 0);
        JsonElement trajectory = _cases.GetProperty("trajectory");
        int steps = trajectory.GetProperty("steps").GetInt32();
        JsonElement[] rows = [.. _cases.GetProperty("cases").GetProperty("triplet_cls_alpha1").GetProperty("rows").EnumerateArray()];
        using PlainTrainer trainer = new(model, trajectory.GetProperty("learning_rate").GetDouble(), steps);

        for (int step = 0; step < steps; step++)
        {
            (Tensor ids, Tensor mask, Tensor types) = Batch([.. Enumerable.Range(step, 4).Select(i => rows[i % rows.Length])]);
            (float loss, double norm) = trainer.Step(ids, mask, types);
            double expectedLoss = trajectory.GetProperty("losses")[step].GetDouble(), expectedNorm = trajectory.GetProperty("grad_norms_before_clip")[step].GetDouble();
            Assert.True(Math.Abs(expectedLoss - loss) <= 1e-3 * Math.Max(0.1, expectedLoss), $"step {step}: loss {loss}, expected {expectedLoss}");
            Assert.True(Math.Abs(expectedNorm - norm) <= 5e-3 * Math.Max(0.1, expectedNorm), $"step {step}: gradient norm {norm}, expected {expectedNorm}");
        }

        Dictionary<string, double> norms = model.named_parameters().ToDictionary(p => p.name, p => (double)p.parameter.norm().item<float>(), StringComparer.Ordinal);
        foreach (JsonProperty expected in trajectory.GetProperty("final_param_norms").EnumerateObject())
        {
            Assert.Equal(expected.Value.GetDouble(), norms[expected.Name], 1e-3 * Math.Max(1, expected.Value.GetDouble()));
        }
    }

    [Fact]
    public void Dropout_makes_two_passes_differ()
    {
        using DisposeScope scope = NewDisposeScope();
        using BertForContrastiveLearning model = Model(hardNegativeWeight: 0, dropout: 0.1);
        (Tensor ids, Tensor mask, Tensor types) = Batch([.. _cases.GetProperty("cases").GetProperty("unsup_cls").GetProperty("rows").EnumerateArray()]);

        float first = model.call(ids, mask, types).Loss.item<float>(), second = model.call(ids, mask, types).Loss.item<float>();

        Assert.NotEqual(first, second);
    }

    private BertForContrastiveLearning Model(double hardNegativeWeight, double dropout = 0)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        return new BertForContrastiveLearning(
            checkpoint, checkpoint.Config with { HiddenDropout = dropout, AttentionDropout = dropout },
            _goldens.ReadFloats("head.mlp.dense.weight"), _goldens.ReadFloats("head.mlp.dense.bias"), hardNegativeWeight: hardNegativeWeight);
    }

    /// <summary>The rows' sentences as the goldens' padded token ids, (N, n, L) each.</summary>
    private (Tensor Ids, Tensor Mask, Tensor Types) Batch(JsonElement[] rows)
    {
        string[] sentences = [.. _cases.GetProperty("sentences").EnumerateArray().Select(s => s.GetString()!)];
        long[] places = [.. rows.SelectMany(r => r.EnumerateArray()).Select(s => (long)Array.IndexOf(sentences, s.GetString()))];
        Tensor Pick(string name) => tensor(_goldens.ReadIntegers(name), _goldens.Find(name)!.Shape).index_select(0, tensor(places)).view(rows.Length, places.Length / rows.Length, -1);
        return (Pick("batch.input_ids"), Pick("batch.attention_mask"), Pick("batch.token_type_ids"));
    }

    private static void AssertNear(float[] expected, Tensor actual, double relative, string what)
    {
        float[] values = actual.detach().contiguous().data<float>().ToArray();
        Assert.Equal(expected.Length, values.Length);
        double largest = expected.Max(Math.Abs), tolerance = 1e-6 + (relative * largest);
        for (int i = 0; i < values.Length; i++)
        {
            Assert.True(Math.Abs(expected[i] - values[i]) <= tolerance, $"{what}[{i}] is {values[i]}, expected {expected[i]}");
        }
    }
}
