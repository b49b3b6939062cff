using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Cli.Tests;

/// <summary>A tiny model of tests/fixtures and what the reference repository's code gives for its 27 sentences (princeton-nlp/SimCSE at 49fa580).</summary>
internal sealed class TinyModel
{
    public TinyModel(string name)
    {
        Directory = RepositoryPaths.Fixture(name);
        JsonNode json = JsonNode.Parse(File.ReadAllText(Path.Combine(Directory, "goldens.json")))!;
        Sentences = [.. json["sentences"]!.AsArray().Select(s => s!.GetValue<string>())];
        Tokens = [.. json["tokens"]!.AsArray().Select(row => row!.AsArray().Select(t => t!.GetValue<string>()).ToArray())];
    }

    public static TinyModel Bert { get; } = new("tiny-bert");

    public static TinyModel Roberta { get; } = new("tiny-roberta");

    public string Directory { get; }

    public string[] Sentences { get; }

    public string[][] Tokens { get; }

    /// <summary>The sentences as a .jsonl file's text: some hold what would end a line.</summary>
    public string SentencesAsJsonLines => string.Concat(Sentences.Select(s => JsonSerializer.Serialize(s) + "\n"));

    public float[][] Pooled(string pooling)
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Directory, "goldens.safetensors"));
        return [.. file.ReadFloats($"pooled.{pooling}").Chunk((int)file.Find($"pooled.{pooling}")!.Shape[1])];
    }

    public long[][] Ids()
    {
        using SafetensorsFile file = SafetensorsFile.Open(Path.Combine(Directory, "goldens.safetensors"));
        int width = (int)file.Find("batch.input_ids")!.Shape[1];
        long[][] mask = [.. file.ReadIntegers("batch.attention_mask").Chunk(width)];
        return [.. file.ReadIntegers("batch.input_ids").Chunk(width).Select((row, r) => row.Where((_, c) => mask[r][c] == 1).ToArray())];
    }

    public static double Cosine(float[] a, float[] b)
    {
        double product = 0, first = 0, second = 0;
        for (int i = 0; i < a.Length; i++)
        {
            product += (double)a[i] * b[i];
            first += (double)a[i] * a[i];
            second += (double)b[i] * b[i];
        }

        return product / Math.Sqrt(first * second);
    }
}
