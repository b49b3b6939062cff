namespace SimCse.Search;

/// <summary>Some rows of a matrix as a matrix.</summary>
internal static class MatrixRows
{
    public static EmbeddingMatrix Slice(EmbeddingMatrix vectors, int first, int count)
    {
        float[] values = new float[count * vectors.Dimensions];
        for (int i = 0; i < count; i++)
        {
            vectors[first + i].CopyTo(values.AsSpan(i * vectors.Dimensions));
        }

        return new EmbeddingMatrix(values, count, vectors.Dimensions);
    }
}
