using System.Numerics.Tensors;

namespace SimCse.Evaluation;

/// <summary>How sentence vectors lie on the unit sphere: the measures of the SimCSE paper's section 3 and appendices F and G, without labels beyond positive pairs.</summary>
public static class Geometry
{
    /// <summary>Rows that are multiplied with each other at once: two such blocks stay in the second-level cache.</summary>
    private const int Block = 128;

    /// <summary>
    /// ℓ_align = mean over positive pairs of ‖f(x) − f(x⁺)‖², f of unit length (Wang and Isola 2020, α = 2). Lower is better; 0 to 4.
    /// </summary>
    /// <param name="vectors">n × H, raw or normalised.</param>
    /// <param name="positives">Pairs of row numbers; in the paper the STS-B dev pairs scored above 4.</param>
    /// <exception cref="ArgumentException">There is no pair.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static double Alignment(EmbeddingMatrix vectors, IReadOnlyList<(int First, int Second)> positives)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentNullException.ThrowIfNull(positives);
        if (positives.Count == 0)
        {
            throw new ArgumentException("alignment needs at least one positive pair", nameof(positives));
        }

        UnitVectors unit = new(vectors);
        double sum = 0;
        foreach ((int first, int second) in positives)
        {
            ReadOnlySpan<float> x = unit[first];
            ReadOnlySpan<float> y = unit[second];
            for (int i = 0; i < x.Length; i++)
            {
                double difference = (double)x[i] - y[i];
                sum += difference * difference;
            }
        }

        return sum / positives.Count;
    }

    /// <summary>
    /// ℓ_uniform = log mean over pairs of distinct rows of e^(−2 ‖f(x) − f(y)‖²), f of unit length (Wang and Isola 2020, t = 2). Lower is more
    /// uniform; 0 where all vectors are one, about −4 for a uniform sphere of many dimensions.
    /// </summary>
    /// <param name="vectors">n × H with n ≥ 2, raw or normalised; in the paper every sentence of STS-B dev, each once.</param>
    /// <exception cref="ArgumentException">Fewer than two vectors.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static double Uniformity(EmbeddingMatrix vectors)
    {
        RequireTwo(vectors);
        UnitVectors unit = new(vectors);
        float[] minusTwiceSquares = [.. Enumerable.Range(0, unit.Count).Select(i => -2 * TensorPrimitives.Dot(unit[i], unit[i]))];
        int blocks = (unit.Count + Block - 1) / Block;
        double[] sums = new double[blocks];
        Parallel.For(0, blocks, block =>
        {
            // −2‖x−y‖² = 4 x·y − 2‖x‖² − 2‖y‖²
            Span<float> exponents = stackalloc float[Block];
            int rowEnd = Math.Min(unit.Count, (block + 1) * Block);
            double sum = 0;
            for (int columnBlock = block; columnBlock < blocks; columnBlock++)
            {
                int columnEnd = Math.Min(unit.Count, (columnBlock + 1) * Block);
                for (int row = block * Block; row < rowEnd; row++)
                {
                    int first = Math.Max(columnBlock * Block, row + 1);
                    if (first >= columnEnd)
                    {
                        continue;
                    }

                    Span<float> part = exponents[..(columnEnd - first)];
                    unit.Dot(unit[row], first, part);
                    TensorPrimitives.MultiplyAdd(part, 4, minusTwiceSquares.AsSpan(first, part.Length), part);
                    TensorPrimitives.Add(part, minusTwiceSquares[row], part);
                    TensorPrimitives.Exp(part, part);
                    sum += TensorPrimitives.Sum(part);
                }
            }

            sums[block] = sum;
        });
        return Math.Log(sums.Sum() / (0.5 * unit.Count * (unit.Count - 1)));
    }

    /// <summary>
    /// The mean cosine of pairs of distinct rows, by (‖Σ f(x)‖² − Σ ‖f(x)‖²) / (n (n − 1)): how narrow the cone is that holds all vectors.
    /// </summary>
    /// <param name="vectors">n × H with n ≥ 2.</param>
    /// <exception cref="ArgumentException">Fewer than two vectors.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static double MeanCosine(EmbeddingMatrix vectors)
    {
        RequireTwo(vectors);
        UnitVectors unit = new(vectors);
        double[] total = new double[unit.Dimensions];
        double own = 0;
        for (int row = 0; row < unit.Count; row++)
        {
            ReadOnlySpan<float> x = unit[row];
            for (int i = 0; i < x.Length; i++)
            {
                total[i] += x[i];
                own += (double)x[i] * x[i];
            }
        }

        return (TensorPrimitives.SumOfSquares<double>(total) - own) / ((double)unit.Count * (unit.Count - 1));
    }

    /// <summary>
    /// The singular values of the n × H matrix, largest first, the largest scaled to 1 (the paper's appendix G). Computed as the roots of the
    /// eigenvalues of the smaller Gram matrix in double precision: exact to about 1e-8 of the largest.
    /// </summary>
    /// <param name="vectors">n × H, as the encoder gives them: raw.</param>
    /// <returns>min(n, H) values in [0, 1]; all 0 for a zero matrix.</returns>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static double[] SingularSpectrum(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Values.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            throw new InvalidDataException("the vectors hold a component that is not a finite number");
        }

        double[] eigenvalues = SymmetricEigen.Values(Gram(vectors));
        Array.Sort(eigenvalues, (a, b) => b.CompareTo(a));
        double largest = eigenvalues.Length > 0 ? Math.Max(eigenvalues[0], 0) : 0;
        return [.. eigenvalues.Select(e => largest > 0 ? Math.Sqrt(Math.Max(e, 0) / largest) : 0)];
    }

    /// <summary>
    /// The effective rank: e to the entropy −Σ p_i ln p_i of p_i = σ_i / Σ σ (Roy and Vetterli 2007). 1 where one direction holds everything, k where
    /// k directions hold equal parts.
    /// </summary>
    /// <param name="singularValues">Not negative, on any scale.</param>
    /// <returns>0 where all values are 0.</returns>
    public static double EffectiveRank(ReadOnlySpan<double> singularValues)
    {
        double sum = TensorPrimitives.Sum(singularValues);
        if (sum == 0)
        {
            return 0;
        }

        double entropy = 0;
        foreach (double value in singularValues)
        {
            double p = value / sum;
            entropy -= p > 0 ? p * Math.Log(p) : 0;
        }

        return Math.Exp(entropy);
    }

    /// <summary>XᵀX (H × H), or XXᵀ (n × n) where n is smaller: both have the same eigenvalues but for zeros.</summary>
    private static double[][] Gram(EmbeddingMatrix vectors)
    {
        bool byColumns = vectors.Count >= vectors.Dimensions;
        int size = byColumns ? vectors.Dimensions : vectors.Count;
        int terms = byColumns ? vectors.Count : vectors.Dimensions;

        // terms × size: the Gram matrix is the sum of the outer products of these rows.
        double[][] rows = new double[terms][];
        for (int term = 0; term < terms; term++)
        {
            rows[term] = new double[size];
            for (int i = 0; i < size; i++)
            {
                rows[term][i] = byColumns ? vectors[term][i] : vectors[i][term];
            }
        }

        GramMatrix gram = new(size);
        gram.Add(rows);
        return gram.ToSymmetric();
    }

    private static void RequireTwo(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Count < 2)
        {
            throw new ArgumentException($"needs at least two vectors, not {vectors.Count}", nameof(vectors));
        }
    }
}
