namespace SimCse.Evaluation.Rivals;

/// <summary>
/// All-but-the-top: y = (x − μ) − Σ uᵢ uᵢᵀ (x − μ) over the D directions in which the vectors vary most: the mean and the top principal components, which all
/// vectors share, are taken out.
/// </summary>
/// <remarks>Mu and Viswanath, All-but-the-Top: Simple and Effective Postprocessing for Word Representations (ICLR 2018), section 2.</remarks>
/// <param name="Directions">D, from 0 (the mean alone) to H − 1; that paper advises about H / 100.</param>
public sealed record AllButTheTop(int Directions) : PostProcessing
{
    /// <inheritdoc/>
    public override string Name => $"all-but-the-top {Directions}";

    private protected override double[][] Rows(double[] variances, double[][] directions)
    {
        int h = directions.Length;
        if (Directions < 0 || Directions >= h)
        {
            throw new InvalidDataException($"{Directions} directions cannot be taken out of vectors of {h} components; expected 0 to {h - 1}");
        }

        // I − Σ u uᵀ
        double[][] rows = [.. Enumerable.Range(0, h).Select(i => new double[h])];
        for (int i = 0; i < h; i++)
        {
            rows[i][i] = 1;
            foreach (double[] u in directions.AsSpan(0, Directions))
            {
                System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(u, -u[i], rows[i], rows[i]);
            }
        }

        return rows;
    }
}
