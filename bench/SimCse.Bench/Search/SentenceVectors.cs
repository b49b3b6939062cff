using SimCse.Data;

namespace SimCse.Bench.Search;

/// <summary>
/// Real sentences' vectors, kept in artifacts/bench/search/sentences.npy, and as many more as are asked for: each a real one turned by noise to a cosine of 0.8 with it. The last of the real ones are
/// the queries, and not among those searched.
/// </summary>
internal static class SentenceVectors
{
    public const int Queries = 1000;
    private const int SentencesEmbedded = 100_000;
    private const double CosineOfCopies = 0.8;

    public static string Folder { get; } = Path.Combine(Repository.Artifacts, "search");

    private static string Sentences => Path.Combine(Folder, "sentences.npy");

    /// <summary>Makes what is not there: the sentences' vectors take minutes, once.</summary>
    /// <returns>A line for the report.</returns>
    public static string Prepare(int count)
    {
        Directory.CreateDirectory(Folder);
        if (!File.Exists(Sentences))
        {
            Embed();
        }

        EmbeddingMatrix real = NpyFile.Read(Sentences);
        int searched = real.Count - Queries;
        return $"input: {Math.Min(count, searched)} vectors of {real.Dimensions} components of real sentences{(count > searched ? $", and {count - searched} copies of them turned by noise to a cosine of {CosineOfCopies}" : "")}; {Queries} other sentences' vectors as queries";
    }

    /// <summary>The vectors to search, and the queries.</summary>
    public static (EmbeddingMatrix Vectors, EmbeddingMatrix Queries) Read(int count)
    {
        EmbeddingMatrix real = NpyFile.Read(Sentences);
        int searched = real.Count - Queries, h = real.Dimensions;
        float[] values = new float[count * h];
        real.Values[..(Math.Min(count, searched) * h)].CopyTo(values);
        double noise = Math.Sqrt((1 / (CosineOfCopies * CosineOfCopies)) - 1);
        Parallel.For(searched, Math.Max(searched, count), row =>
        {
            // A Gaussian direction of length one, near enough: its length is 1 ± 0.04 at 384 components.
            Random random = new(row);
            ReadOnlySpan<float> original = real[row % searched];
            float length = System.Numerics.Tensors.TensorPrimitives.Norm(original);
            for (int i = 0; i < h; i++)
            {
                double gaussian = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
                values[(row * h) + i] = original[i] + (float)(noise * length * gaussian / Math.Sqrt(h));
            }
        });
        return (new EmbeddingMatrix(values, count, h), new EmbeddingMatrix(real.Values[(searched * h)..].ToArray(), Queries, h));
    }

    /// <summary>How many of the hits are among the true ones, of all true ones.</summary>
    public static double Recall(int[][] found, int[][] truth) => found.Zip(truth, (mine, right) => mine.Intersect(right).Count()).Sum() / (double)truth.Sum(right => right.Length);

    private static void Embed()
    {
        string? model = Repository.Shared("models", "all-MiniLM-L6-v2");
        if (SampleTexts.Wikipedia is null)
        {
            throw new InvalidDataException("needs shared/data/text/wiki_en_250k.txt.gz beside the repository, or artifacts/bench/search/sentences.npy, an n × H matrix as simcse embed writes it");
        }

        Console.Error.WriteLine($"embedding {SentencesEmbedded} sentences, once, for {Sentences}");
        using SentenceEncoder encoder = SentenceEncoder.Load(model ?? Path.Combine(Repository.Root, "models", "simcse-base"), new SentenceEncoderOptions { MaxLength = 64 });
        using VectorWriter writer = VectorWriter.Create(Sentences, encoder.Dimensions);
        foreach (string[] batch in SampleTexts.All().Take(SentencesEmbedded).Chunk(2048))
        {
            EmbeddingMatrix vectors = encoder.Encode(batch);
            for (int row = 0; row < batch.Length; row++)
            {
                writer.Write(batch[row], vectors[row]);
            }
        }

        writer.Complete();
    }
}
