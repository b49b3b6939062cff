using System.IO.Compression;
using System.Text.Json;
using SimCse.Checkpoints;

namespace SimCse.Bench.Training;

/// <summary>What both sides of a training benchmark read: the model's directory and the batches, as token ids.</summary>
/// <param name="Model">The directory with the weights.</param>
/// <param name="StepsARound">Steps of one side in one round.</param>
/// <param name="Batches">[batch][sentence] → token ids, special tokens included.</param>
internal sealed record TrainingInput(string Model, int StepsARound, int[][][] Batches)
{
    /// <summary>Of the unsupervised BERT-base run, and as many steps as its million sentences give.</summary>
    public const double LearningRate = 3e-5;
    public const int TotalSteps = 15_625;
    private const string FileName = "training.json";
    private const int HeadSeed = 2;

    public static TrainingInput Load(string folder) => JsonSerializer.Deserialize<TrainingInput>(File.ReadAllText(Path.Combine(folder, FileName)))!;

    public void Save(string folder) => File.WriteAllText(Path.Combine(folder, FileName), JsonSerializer.Serialize(this));

    /// <summary>The batches of a round, one a step.</summary>
    public IEnumerable<int[][]> BatchesOf(int round) => Enumerable.Range(0, StepsARound).Select(s => Batches[((round * StepsARound) + s) % Batches.Length]);

    /// <summary>The MLP head that both sides start from: N(0, 0.02²), bias 0.</summary>
    public static (float[] Weight, float[] Bias) Head(int hidden) => (new NormalSource(HeadSeed).Draw(hidden * hidden, 0.02), new float[hidden]);

    /// <summary>Tokens that a batch holds when it is padded to its longest, over the tokens it has.</summary>
    public static double PaddingFactor(IEnumerable<int[][]> batches)
    {
        double padded = 0, real = 0;
        foreach (int[][] batch in batches)
        {
            padded += batch.Length * batch.Max(s => s.Length);
            real += batch.Sum(s => s.Length);
        }

        return padded / real;
    }

    /// <summary>
    /// Floating-point operations of the encoder's matrix products in one training step, each sentence as two rows, forward and backward
    /// (three times the forward): a token takes 8H² + 4HI in each layer's linear layers, and a row of L tokens 4L²H in its attention.
    /// </summary>
    public static (double Padded, double Real) Flops(int[][] batch, EncoderConfig config)
    {
        int longest = batch.Max(s => s.Length);
        return (batch.Length * Row(longest), batch.Sum(s => Row(s.Length)));

        double Row(double tokens) => 2 * 3 * config.Layers * (
            (tokens * ((8.0 * config.HiddenSize * config.HiddenSize) + (4.0 * config.HiddenSize * config.IntermediateSize)))
            + (4.0 * tokens * tokens * config.HiddenSize));
    }

    /// <summary>Sentences whose lengths are lognormal with a mean of 19 tokens, cut to <paramref name="maxLength"/>; the ids are random. Padding then takes 1.6 times the tokens.</summary>
    public static IEnumerable<int[]> GeneratedSentences(int vocabulary, int maxLength)
    {
        const double Deviation = 0.5, Mean = 20;
        NormalSource normal = new(3);
        Random ids = new(4);
        while (true)
        {
            double length = Math.Exp(Math.Log(Mean) - (Deviation * Deviation / 2) + (Deviation * normal.Next()));
            int[] sentence = new int[Math.Clamp((int)Math.Round(length), 3, maxLength)];
            for (int i = 0; i < sentence.Length; i++)
            {
                sentence[i] = ids.Next(5, vocabulary);
            }

            yield return sentence;
        }
    }

    /// <summary>The lines of a gzipped text file.</summary>
    public static IEnumerable<string> Lines(string gzip)
    {
        using StreamReader reader = new(new GZipStream(File.OpenRead(gzip), CompressionMode.Decompress));
        while (reader.ReadLine() is string line)
        {
            yield return line;
        }
    }
}
