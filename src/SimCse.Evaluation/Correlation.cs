namespace SimCse.Evaluation;

/// <summary>Correlations of two lists of numbers, in double precision.</summary>
public static class Correlation
{
    /// <summary>
    /// Spearman's ρ: Pearson's r of the ranks, where equal values share the average of their ranks (SciPy's <c>spearmanr</c>).
    /// </summary>
    /// <param name="x">n values, none NaN.</param>
    /// <param name="y">n values, none NaN.</param>
    /// <returns>ρ in [−1, 1]; 0 where one list is constant (SciPy gives NaN there): an encoder that collapsed to one vector has no order to correlate.</returns>
    /// <exception cref="ArgumentException">The lists differ in length, or hold NaN.</exception>
    public static double Spearman(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        RequireSameLength(x, y);
        return Pearson(AverageRanks(x), AverageRanks(y));
    }

    /// <summary>Pearson's r = Σ(x−x̄)(y−ȳ) / √(Σ(x−x̄)² Σ(y−ȳ)²).</summary>
    /// <param name="x">n values.</param>
    /// <param name="y">n values.</param>
    /// <returns>r in [−1, 1]; 0 where one list is constant or there are fewer than two values.</returns>
    /// <exception cref="ArgumentException">The lists differ in length.</exception>
    public static double Pearson(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        RequireSameLength(x, y);
        double meanX = Mean(x);
        double meanY = Mean(y);
        double xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Length; i++)
        {
            double dx = x[i] - meanX;
            double dy = y[i] - meanY;
            xy += dx * dy;
            xx += dx * dx;
            yy += dy * dy;
        }

        return xx == 0 || yy == 0 ? 0 : Math.Clamp(xy / (Math.Sqrt(xx) * Math.Sqrt(yy)), -1, 1);
    }

    /// <summary>1-based ranks in ascending order; equal values get the mean of the ranks they take up.</summary>
    /// <exception cref="ArgumentException">A value is NaN.</exception>
    public static double[] AverageRanks(ReadOnlySpan<double> values)
    {
        double[] sorted = values.ToArray();
        int[] order = new int[values.Length];
        for (int i = 0; i < order.Length; i++)
        {
            if (double.IsNaN(sorted[i]))
            {
                throw new ArgumentException($"value {i} is NaN and has no rank", nameof(values));
            }

            order[i] = i;
        }

        Array.Sort(sorted, order);
        double[] ranks = new double[values.Length];
        for (int first = 0; first < sorted.Length;)
        {
            int last = first;
            while (last + 1 < sorted.Length && sorted[last + 1] == sorted[first])
            {
                last++;
            }

            double rank = ((first + last) / 2.0) + 1;
            for (int i = first; i <= last; i++)
            {
                ranks[order[i]] = rank;
            }

            first = last + 1;
        }

        return ranks;
    }

    private static double Mean(ReadOnlySpan<double> values)
    {
        double sum = 0;
        foreach (double value in values)
        {
            sum += value;
        }

        return values.Length == 0 ? 0 : sum / values.Length;
    }

    private static void RequireSameLength(ReadOnlySpan<double> x, ReadOnlySpan<double> y)
    {
        if (x.Length != y.Length)
        {
            throw new ArgumentException($"{x.Length} values cannot be correlated with {y.Length}");
        }
    }
}
