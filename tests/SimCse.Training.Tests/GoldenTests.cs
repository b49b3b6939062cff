using System.Text.Json;
using SimCse.Checkpoints;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

public class GoldenTests
{
    public static TheoryData<string> Models => ["tiny-bert", "tiny-roberta", "all-MiniLM-L6-v2"];

    [Theory]
    [MemberData(nameof(Models))]
    public void Every_pooler_gives_the_reference_vectors(string name)
    {
        using Goldens goldens = Goldens.Of(name);
        using IDisposable _ = no_grad();
        foreach (Pooling pooling in Enum.GetValues<Pooling>().Where(p => p != Pooling.Cls))
        {
            using DisposeScope scope = NewDisposeScope();
            using SimCseModel model = goldens.Model(pooling, withHead: false);
            using PackedBatch batch = model.Pack(goldens.Batch());
            Close(goldens.Tensors.ReadFloats("pooled." + pooling.ToName()), Floats(model.Represent(batch, null, training: false)), 1e-5, pooling.ToName());
        }
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void Every_layer_gives_the_reference_hidden_states(string name)
    {
        using Goldens goldens = Goldens.Of(name);
        using IDisposable _ = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using SimCseModel model = goldens.Model(Pooling.Avg, withHead: false);
        int[][] rows = goldens.Batch();
        using PackedBatch batch = model.Pack(rows);
        EncoderPass pass = model.Encoder.Forward(batch, null, [.. Enumerable.Range(0, model.Config.Layers + 1)], lastLayerAtFirstToken: false, forGradient: false);
        int width = model.Config.HiddenSize, padded = (int)goldens.Tensors.Find("hidden.0")!.Shape[1];
        for (int layer = 0; layer <= model.Config.Layers; layer++)
        {
            float[] expected = goldens.Tensors.ReadFloats($"hidden.{layer}"), actual = Floats(pass.Hidden(layer));
            int at = 0;
            foreach (int row in batch.Order)
            {
                int count = rows[row].Length * width;
                Close(expected.AsSpan(row * padded * width, count).ToArray(), actual.AsSpan(at, count).ToArray(), 1e-5, $"layer {layer}, row {row}");
                at += count;
            }
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Losses_logits_and_gradients_equal_the_reference(string name)
    {
        using Goldens goldens = Goldens.Of(name);
        foreach (string caseName in goldens.CaseNames)
        {
            GoldenCase golden = goldens.Case(caseName);
            using DisposeScope scope = NewDisposeScope();
            using SimCseModel model = goldens.Model(golden.Pooling, withHead: golden.Pooling == Pooling.Cls);
            if (golden.MaskedLanguage)
            {
                model.AddMaskedLanguageHead(ReferenceHead(goldens, caseName), seed: 1);
            }

            using AdamW optimizer = new(model.Parameters);
            ContrastiveStep step = new(model, optimizer, golden.Loss, seed: 1);
            (double loss, Tensor[] z) = step.Gradients(new ContrastiveBatch(goldens.Views(caseName)), 0, golden.MaskedLanguage ? goldens.Corrupted(caseName) : null);

            Relative(golden.ExpectedLoss, loss, 1e-4, $"{caseName}: loss");
            Close(goldens.Tensors.ReadFloats(caseName + ".logits"), Floats(golden.Loss.Logits(z[0], z[1], z.Length > 2 ? z[2] : null)), 2e-4, $"{caseName}: logits");
            double squares = 0;
            foreach ((string parameter, double norm) in golden.ExpectedGradientNorms)
            {
                string own = Own(parameter);
                Tensor gradient = model.Parameters[own].grad!;
                double actual = gradient.norm().item<float>();
                squares += actual * actual;
                AssertClose(norm, actual, (1e-4 * norm) + (1e-6 * golden.ExpectedGradientNorm), $"{caseName}: gradient norm of {parameter}");
                if (goldens.Tensors.Find($"{caseName}.grad.{parameter}") is not null)
                {
                    Close(goldens.Tensors.ReadFloats($"{caseName}.grad.{parameter}"), Floats(gradient), 1e-4 * Math.Max(norm, 0.01), $"{caseName}: gradient of {parameter}");
                }

                if (goldens.Tensors.Find($"{caseName}.grad_rows.{parameter}") is not null)
                {
                    using Tensor rows = tensor(goldens.Tensors.ReadIntegers($"{caseName}.grad_rows.{parameter}"));
                    Close(goldens.Tensors.ReadFloats($"{caseName}.grad_at_rows.{parameter}"), Floats(gradient.index_select(0, rows)), 1e-4 * Math.Max(norm, 0.01), $"{caseName}: rows of {parameter}");
                }
            }

            Relative(golden.ExpectedGradientNorm, Math.Sqrt(squares), 1e-4, $"{caseName}: gradient norm");
        }
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void Twenty_steps_follow_the_reference_trajectory(string name)
    {
        using Goldens goldens = Goldens.Of(name);
        using SimCseModel model = goldens.Model(Pooling.Cls, withHead: true);
        int[][][] views = goldens.Views("triplet_cls_alpha1");
        double[] losses = goldens.Trajectory["losses"].Deserialize<double[]>()!, norms = goldens.Trajectory["grad_norms_before_clip"].Deserialize<double[]>()!;
        LinearDecay schedule = new(goldens.Trajectory["learning_rate"]!.GetValue<double>(), losses.Length);
        using AdamW optimizer = new(model.Parameters);
        ContrastiveStep step = new(model, optimizer, new ContrastiveLoss(), seed: 1);
        for (int s = 0; s < losses.Length; s++)
        {
            ContrastiveBatch batch = new([.. views.Select(view => (IReadOnlyList<int[]>)[.. Enumerable.Range(0, 4).Select(i => view[(s + i) % 6])])]);
            StepResult result = step.Run(batch, s, schedule.At(s));
            AssertClose(losses[s], result.Loss, (1e-3 * losses[s]) + 1e-5, $"loss of step {s}");
            AssertClose(norms[s], result.GradientNorm, (2e-3 * norms[s]) + 1e-4, $"gradient norm of step {s}");
        }

        foreach ((string parameter, double norm) in goldens.Trajectory["final_param_norms"].Deserialize<Dictionary<string, double>>()!)
        {
            // A key's bias shifts all scores of a query alike, which softmax does not see: its gradient is rounding alone, and AdamW scales rounding up to whole steps.
            double tolerance = parameter.EndsWith("self.key.bias", StringComparison.Ordinal) ? 1e-2 : 1e-3;
            Relative(norm, Math.Sqrt(model.Parameters.Read(Own(parameter)).Sum(v => (double)v * v)), tolerance, $"final norm of {parameter}");
        }

        using IDisposable noGradient = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using PackedBatch all = model.Pack(goldens.Batch());
        Close(goldens.Tensors.ReadFloats("trajectory.final_embeddings"), Floats(model.Represent(all, null, training: false)), 1e-3, "final vectors");
    }

    private static MaskedLanguageHead ReferenceHead(Goldens goldens, string caseName)
    {
        string prefix = $"{caseName}.lm_head.";
        bool bert = goldens.Tensors.Find(prefix + "transform.dense.weight") is not null;
        float[] Read(string ofBert, string ofRoberta) => goldens.Tensors.ReadFloats(prefix + (bert ? ofBert : ofRoberta));
        return new MaskedLanguageHead(
            Read("transform.dense.weight", "dense.weight"), Read("transform.dense.bias", "dense.bias"),
            Read("transform.LayerNorm.weight", "layer_norm.weight"), Read("transform.LayerNorm.bias", "layer_norm.bias"),
            Read("bias", "bias"), Read("decoder.weight", "decoder.weight"));
    }

    /// <summary>A parameter of the reference under our name.</summary>
    private static string Own(string parameter) => parameter
        .Replace("roberta.", "", StringComparison.Ordinal).Replace("bert.", "", StringComparison.Ordinal)
        .Replace("lm_head.dense.", "lm_head.transform.dense.", StringComparison.Ordinal)
        .Replace("lm_head.layer_norm.", "lm_head.transform.LayerNorm.", StringComparison.Ordinal);

    private static float[] Floats(Tensor tensor) => tensor.detach().contiguous().data<float>().ToArray();

    private static void Close(float[] expected, float[] actual, double tolerance, string what)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            AssertClose(expected[i], actual[i], tolerance, $"{what}, value {i}");
        }
    }

    private static void Relative(double expected, double actual, double tolerance, string what) => AssertClose(expected, actual, tolerance * Math.Abs(expected), what);

    private static void AssertClose(double expected, double actual, double tolerance, string what) =>
        Assert.True(Math.Abs(expected - actual) <= tolerance, $"{what}: {actual}, expected {expected} ± {tolerance}");
}
