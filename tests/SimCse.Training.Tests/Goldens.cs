using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;

namespace SimCse.Training.Tests;

/// <summary>
/// The values that the reference repository's own model code gave (princeton-nlp/SimCSE at 49fa580, PyTorch 2.13, float32, dropout 0): tests/fixtures for the
/// tiny models, the shared folder for all-MiniLM-L6-v2.
/// </summary>
internal sealed class Goldens : IDisposable
{
    private readonly JsonNode _json;

    private Goldens(string model, string goldens)
    {
        Checkpoint = Checkpoint.Open(model);
        Tensors = SafetensorsFile.Open(Path.Combine(goldens, "goldens.safetensors"));
        _json = JsonNode.Parse(File.ReadAllText(Path.Combine(goldens, "goldens.json")))!;
    }

    public Checkpoint Checkpoint { get; }

    public SafetensorsFile Tensors { get; }

    public JsonNode Trajectory => _json["trajectory"]!;

    public IEnumerable<string> CaseNames => _json["cases"]!.AsObject().Select(c => c.Key);

    public static Goldens Of(string model) => string.Equals(model, "all-MiniLM-L6-v2", StringComparison.Ordinal)
        ? new(RepositoryPaths.Shared("models", model), RepositoryPaths.Shared("reference", model))
        : new(RepositoryPaths.Fixture(model), RepositoryPaths.Fixture(model));

    public GoldenCase Case(string name) => new(_json["cases"]![name]!);

    /// <summary>The 27 sentences as token ids.</summary>
    public int[][] Batch() => Rows("batch.input_ids", "batch.attention_mask");

    /// <summary>A case's rows, [view][row].</summary>
    public int[][][] Views(string name)
    {
        long[] shape = Tensors.Find($"{name}.input_ids")!.Shape;
        int[][] flat = Rows($"{name}.input_ids", $"{name}.attention_mask"); // row after row, each with its views
        int n = (int)shape[0], views = (int)shape[1];
        return [.. Enumerable.Range(0, views).Select(v => Enumerable.Range(0, n).Select(r => flat[(r * views) + v]).ToArray())];
    }

    /// <summary>The corrupted rows of the masked pass, view after view, and what is predicted.</summary>
    public List<(int[] Ids, IReadOnlyList<(int Position, int Token)> Labels)> Corrupted(string name)
    {
        long[] shape = Tensors.Find($"{name}.mlm_input_ids")!.Shape;
        int[][] flat = Rows($"{name}.mlm_input_ids", $"{name}.attention_mask");
        long[] labels = Tensors.ReadIntegers($"{name}.mlm_labels");
        int n = (int)shape[0], views = (int)shape[1], length = (int)shape[2];
        List<(int[], IReadOnlyList<(int, int)>)> rows = [];
        for (int v = 0; v < views; v++)
        {
            for (int r = 0; r < n; r++)
            {
                int row = (r * views) + v;
                rows.Add((flat[row], [.. Enumerable.Range(0, length).Where(t => labels[(row * length) + t] >= 0).Select(t => (t, (int)labels[(row * length) + t]))]));
            }
        }

        return rows;
    }

    public SimCseModel Model(Pooling pooling, bool withHead)
    {
        SimCseModel model = SimCseModel.FromCheckpoint(Checkpoint, Checkpoint.Config with { HiddenDropout = 0, AttentionDropout = 0 }, pooling, mlpOnlyTrain: false, seed: 1);
        if (withHead)
        {
            model.Parameters.Write("mlp.dense.weight", Tensors.ReadFloats("head.mlp.dense.weight"));
            model.Parameters.Write("mlp.dense.bias", Tensors.ReadFloats("head.mlp.dense.bias"));
        }

        return model;
    }

    public void Dispose()
    {
        Checkpoint.Dispose();
        Tensors.Dispose();
    }

    private int[][] Rows(string ids, string mask)
    {
        long[] values = Tensors.ReadIntegers(ids), real = Tensors.ReadIntegers(mask);
        int length = (int)Tensors.Find(ids)!.Shape[^1];
        return [.. Enumerable.Range(0, values.Length / length).Select(r =>
            Enumerable.Range(0, length).Where(t => real[(r * length) + t] == 1).Select(t => (int)values[(r * length) + t]).ToArray())];
    }
}

internal sealed record GoldenCase(JsonNode Json)
{
    public Pooling Pooling => PoolingNames.Parse(Json["pooler"]!.GetValue<string>());

    public ContrastiveLoss Loss => new(Json["temp"]?.GetValue<double>() ?? 0.05, Json["hard_negative_weight"]?.GetValue<double>() ?? 0);

    public bool MaskedLanguage => Json["do_mlm"]?.GetValue<bool>() ?? false;

    public double ExpectedLoss => Json["loss"]!.GetValue<double>();

    public double ExpectedGradientNorm => Json["grad_norm"]!.GetValue<double>();

    public IReadOnlyDictionary<string, double> ExpectedGradientNorms => Json["grad_norms"].Deserialize<Dictionary<string, double>>()!;
}
