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

    /// <summary>The sentences of the check that precedes all timing.</summary>
    public int[][] CheckBatch { get; init; } = Batches[0];

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
    /// Floating-point operations of the encoder's matrix products in one training step, each sentence as two rows, forward and backward (three times the forward): a token takes 8H² + 4HI in each layer's
    /// linear layers, and a row of L tokens 4L²H in its attention. Ours computes less: in the last layer only keys and values of every token (4H²), and queries, attention, projection and feed-forward of [CLS].
    /// </summary>
    public static FlopCount Flops(int[][] batch, EncoderConfig config)
    {
        double hidden = config.HiddenSize, square = hidden * hidden, linear = (8 * square) + (4 * hidden * config.IntermediateSize);
        int longest = batch.Max(s => s.Length);
        return new FlopCount(batch.Length * Rows(config.Layers * Layer(longest)), batch.Sum(s => Rows(config.Layers * Layer(s.Length))),
            batch.Sum(s => Rows(((config.Layers - 1) * Layer(s.Length)) + LastLayer(s.Length))));

        double Layer(double tokens) => (tokens * linear) + (4 * tokens * tokens * hidden);
        double LastLayer(double tokens) => (tokens * 4 * square) + linear - (4 * square) + (4 * tokens * hidden);
        static double Rows(double forward) => 2 * 3 * forward;
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
}
