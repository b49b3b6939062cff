using SimCse.Checkpoints;

namespace SimCse.Evaluation.Rivals;

/// <summary>
/// A linear map that is fitted to a set of vectors, without labels, and applied to vectors afterwards: what the paper compares SimCSE with where it says
/// that the vectors of a language model can be mended without training.
/// </summary>
public abstract record PostProcessing
{
    private const int ChunkRows = 2048;

    /// <summary>What tables call it, such as <c>whitening 256</c>.</summary>
    public abstract string Name { get; }

    /// <summary>Fits y = W x + b.</summary>
    /// <param name="vectors">n × H, n ≥ 2, as the encoder gives them: raw.</param>
    /// <returns>W, (out, H), and b, without tanh: what <see cref="DenseHead.Apply(EmbeddingMatrix)"/> applies and a model's directory stores as 2_Dense.</returns>
    /// <exception cref="InvalidDataException">The vectors are too few, vary in too few directions, or hold a component that is not finite.</exception>
    public DenseHead Fit(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Count < 2)
        {
            throw new InvalidDataException($"{Name} is fitted to two vectors or more, not {vectors.Count}");
        }

        if (vectors.Values.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            throw new InvalidDataException($"{Name}: the vectors hold a component that is not a finite number");
        }

        double[] mean = Mean(vectors);
        (double[] variances, double[][] directions) = SymmetricEigen.ValuesAndVectors(Covariance(vectors, mean));
        double[][] rows = Rows(variances, directions); // (out, H)
        return new DenseHead(
            vectors.Dimensions,
            rows.Length,
            [.. rows.SelectMany(row => row).Select(value => (float)value)],
            [.. rows.Select(row => (float)-row.Zip(mean, (w, m) => w * m).Sum())], // b = −W μ
            Tanh: false);
    }

    /// <summary>Fits to vectors and maps them.</summary>
    /// <param name="vectors">As for <see cref="Fit"/>.</param>
    /// <param name="what">What the vectors are of, for messages.</param>
    /// <exception cref="InvalidDataException">As <see cref="Fit"/>.</exception>
    public EmbeddingMatrix FitAndApply(EmbeddingMatrix vectors, string what)
    {
        try
        {
            return Fit(vectors).Apply(vectors);
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{what}: {e.Message}", e);
        }
    }

    /// <summary>W by the principal components of the vectors.</summary>
    /// <param name="variances">λ, the eigenvalues of the covariance matrix, largest first.</param>
    /// <param name="directions">u, its eigenvectors.</param>
    private protected abstract double[][] Rows(double[] variances, double[][] directions);

    /// <summary>How many directions the vectors vary in: those whose variance is more than rounding of the largest.</summary>
    private protected static int Rank(double[] variances) => variances.Count(v => v > 1e-10 * variances[0]);

    private static double[] Mean(EmbeddingMatrix vectors)
    {
        double[] mean = new double[vectors.Dimensions];
        for (int row = 0; row < vectors.Count; row++)
        {
            ReadOnlySpan<float> x = vectors[row];
            for (int i = 0; i < x.Length; i++)
            {
                mean[i] += x[i];
            }
        }

        return [.. mean.Select(sum => sum / vectors.Count)];
    }

    /// <summary>Σ (x − μ)(x − μ)ᵀ / (n − 1), as <c>numpy.cov</c>.</summary>
    private static double[][] Covariance(EmbeddingMatrix vectors, double[] mean)
    {
        GramMatrix gram = new(vectors.Dimensions);
        foreach (int[] chunk in Enumerable.Range(0, vectors.Count).Chunk(ChunkRows))
        {
            gram.Add([.. chunk.Select(row =>
            {
                double[] centred = new double[mean.Length];
                ReadOnlySpan<float> x = vectors[row];
                for (int i = 0; i < centred.Length; i++)
                {
                    centred[i] = x[i] - mean[i];
                }

                return centred;
            })]);
        }

        return [.. gram.ToSymmetric().Select(row => row.Select(value => value / (vectors.Count - 1)).ToArray())];
    }
}
