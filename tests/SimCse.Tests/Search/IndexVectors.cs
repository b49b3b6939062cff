namespace SimCse.Tests.Search;

/// <summary>Vectors as sentence vectors are: around centres, and all leaning in one direction.</summary>
internal static class IndexVectors
{
    /// <summary>The centres are the same for every seed.</summary>
    public static EmbeddingMatrix Clustered(int count, int dimensions, int seed)
    {
        EmbeddingMatrix centres = Random(300, dimensions, seed: 77), noise = Random(count, dimensions, seed);
        float[] values = new float[count * dimensions];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = 0.5f + centres[i / dimensions % 300][i % dimensions] + (0.7f * noise.Values[i]);
        }

        return new EmbeddingMatrix(values, count, dimensions);
    }

    public static EmbeddingMatrix Random(int count, int dimensions, int seed)
    {
        Random random = new(seed);
        return new EmbeddingMatrix([.. Enumerable.Range(0, count * dimensions).Select(_ => (random.NextSingle() * 2) - 1)], count, dimensions);
    }

    /// <summary>Some of the rows.</summary>
    public static EmbeddingMatrix Rows(EmbeddingMatrix vectors, int first, int count) =>
        new(vectors.Values.Slice(first * vectors.Dimensions, count * vectors.Dimensions).ToArray(), count, vectors.Dimensions);

    public static double Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        double dot = 0, aa = 0, bb = 0;
        for (int i = 0; i < a.Length; i++)
        {
            dot += (double)a[i] * b[i];
            aa += (double)a[i] * a[i];
            bb += (double)b[i] * b[i];
        }

        return aa * bb > 0 ? dot / Math.Sqrt(aa * bb) : 0;
    }
}
