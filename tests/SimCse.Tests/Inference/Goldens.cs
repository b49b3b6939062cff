using System.Text.Json;
using SimCse.Checkpoints;

namespace SimCse.Tests.Inference;

/// <summary>What the reference repository's own model code gives (tests/fixtures, or the shared folder's reference models).</summary>
internal sealed class Goldens : IDisposable
{
    private readonly SafetensorsFile _tensors;

    private Goldens(string modelDirectory, string goldensDirectory)
    {
        ModelDirectory = modelDirectory;
        _tensors = SafetensorsFile.Open(Path.Combine(goldensDirectory, "goldens.safetensors"));
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(Path.Combine(goldensDirectory, "goldens.json")));
        Sentences = [.. json.RootElement.GetProperty("sentences").EnumerateArray().Select(sentence => sentence.GetString()!)];
    }

    public string ModelDirectory { get; }

    public string[] Sentences { get; }

    public static Goldens Open(string model) => model.StartsWith("tiny-", StringComparison.Ordinal)
        ? new Goldens(RepositoryPaths.Fixture(model), RepositoryPaths.Fixture(model))
        : new Goldens(RepositoryPaths.Shared("models", model), RepositoryPaths.Shared("reference", model));

    public float[] Floats(string name) => _tensors.ReadFloats(name);

    public long[] Integers(string name) => _tensors.ReadIntegers(name);

    public long[] Shape(string name) => _tensors.Find(name)!.Shape;

    public void Dispose() => _tensors.Dispose();
}
