using System.Numerics.Tensors;

namespace SimCse.Search;

/// <summary>1/‖x‖ of each row of a matrix.</summary>
internal static class VectorLengths
{
    /// <summary>1/‖x‖ of each row; 0 where it has no length.</summary>
    /// <param name="vectors">n × H.</param>
    /// <param name="what">What an error calls a row.</param>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public static float[] Inverse(EmbeddingMatrix vectors, string what)
    {
        float[] inverse = new float[vectors.Count];
        for (int row = 0; row < inverse.Length; row++)
        {
            float length = TensorPrimitives.Norm(vectors[row]);
            if (!float.IsFinite(length))
            {
                throw new InvalidDataException($"{what} {row} has a component or a length that is not finite");
            }

            inverse[row] = length > 0 ? 1 / length : 0;
        }

        return inverse;
    }
}
