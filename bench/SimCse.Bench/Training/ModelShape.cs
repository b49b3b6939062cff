using SimCse.Checkpoints;

namespace SimCse.Bench.Training;

/// <summary>The model of a training benchmark.</summary>
/// <param name="Name">As in the benchmark's name.</param>
/// <param name="Config">Layers, sizes, dropout.</param>
/// <param name="Published">A folder beside the repository that holds a model of that shape; null where there is none.</param>
/// <param name="Steps">Steps of one side in one round.</param>
internal sealed record ModelShape(string Name, EncoderConfig Config, string? Published, int Steps)
{
    private const int Seed = 1;

    /// <summary>6 × 384, 12 heads, 22.7 M parameters: all-MiniLM-L6-v2 and its like.</summary>
    public static ModelShape Small { get; } = new("small", Bert(384, 6), Repository.Shared("models", "minilm-l6-mlm"), Steps: 3);

    /// <summary>12 × 768, 12 heads, 109 M parameters: bert-base-uncased.</summary>
    public static ModelShape Base { get; } = new("base", Bert(768, 12), Published: null, Steps: 1);

    /// <summary>A directory with the weights: the published one, or one drawn at random from a fixed seed the first time it is asked for.</summary>
    public string Directory()
    {
        if (Published is not null)
        {
            return Published;
        }

        string directory = Path.Combine(Repository.Artifacts, $"random-{Name}-{Config.Layers}x{Config.HiddenSize}-seed{Seed}");
        if (!Path.Exists(directory))
        {
            WriteRandom(directory);
        }

        return directory;
    }

    private void WriteRandom(string directory)
    {
        System.IO.Directory.CreateDirectory(Repository.Artifacts);
        string beside = $"{directory}.{Guid.NewGuid():N}";
        System.IO.Directory.CreateDirectory(beside);
        File.WriteAllBytes(Path.Combine(beside, "config.json"), Config.ToJson());
        NormalSource normal = new(Seed);
        SafetensorsFile.Write(Path.Combine(beside, "model.safetensors"), EncoderTensors.For(Config).Select(t => TensorToWrite.FromFloats(t.Name, t.Shape, () => Draw(t, normal))));
        System.IO.Directory.Move(beside, directory);
    }

    private ReadOnlyMemory<float> Draw(TensorEntry tensor, NormalSource normal)
    {
        int count = checked((int)tensor.Shape.Aggregate(1L, (a, b) => a * b));
        return tensor.Name.EndsWith("LayerNorm.weight", StringComparison.Ordinal) ? Enumerable.Repeat(1f, count).ToArray()
            : tensor.Name.EndsWith(".bias", StringComparison.Ordinal) ? new float[count]
            : normal.Draw(count, Config.InitializerRange);
    }

    private static EncoderConfig Bert(int hidden, int layers) => new()
    {
        Family = ModelFamily.Bert,
        VocabularySize = 30522,
        HiddenSize = hidden,
        Layers = layers,
        Heads = 12,
        IntermediateSize = 4 * hidden,
        MaxPositions = 512,
    };
}

/// <summary>Normally distributed numbers from a seed, the same on every machine.</summary>
internal sealed class NormalSource(int seed)
{
    private readonly Random _random = new(seed);

    public float[] Draw(int count, double deviation)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = (float)(Next() * deviation);
        }

        return values;
    }

    /// <summary>One draw from N(0, 1), by Box and Muller.</summary>
    public double Next() => Math.Sqrt(-2 * Math.Log(1 - _random.NextDouble())) * Math.Cos(2 * Math.PI * _random.NextDouble());
}
