using CsCheck;
using SimCse.Evaluation;

namespace SimCse.Tests;

public class CorrelationTests
{
    [Fact]
    public void Spearman_without_ties_is_the_textbook_formula()
    {
        // 1 − 6 Σ d² / (n (n² − 1)) with d = 1, 1, 0, 1, 1 → 1 − 24/120.
        Assert.Equal(0.8, Correlation.Spearman([1, 2, 3, 4, 5], [20, 10, 30, 50, 40]), 1e-15);
        Assert.Equal(-1, Correlation.Spearman([1, 2, 3], [9, 5, 1]), 1e-15);
    }

    [Fact]
    public void Tied_values_share_the_average_of_their_ranks()
    {
        Assert.Equal([1, 2.5, 2.5, 4, 6, 6, 6], Correlation.AverageRanks([-1, 0, 0, 2, 7, 7, 7]));

        // Ranks 1.5 1.5 3 4 against 1 2 3.5 3.5: Σ(dx dy) = 4, Σdx² = Σdy² = 4.5.
        Assert.Equal(4 / 4.5, Correlation.Spearman([1, 1, 2, 3], [1, 2, 5, 5]), 1e-15);
    }

    [Fact]
    public void Pearson_of_a_line_is_one_and_of_known_points_its_closed_form()
    {
        Assert.Equal(1, Correlation.Pearson([1, 2, 3], [12, 14, 16]), 1e-15);
        Assert.Equal(0.5, Correlation.Pearson([1, 2, 3], [1, 3, 2]), 1e-15);
    }

    [Fact]
    public void A_constant_list_correlates_with_nothing()
    {
        Assert.Equal(0, Correlation.Spearman([2, 2, 2], [1, 2, 3]));
        Assert.Equal(0, Correlation.Pearson([1, 2, 3], [7, 7, 7]));
        Assert.Equal(0, Correlation.Spearman([5], [1]));
        Assert.Equal(0, Correlation.Spearman([], []));
    }

    [Fact]
    public void Lists_that_cannot_be_correlated_are_refused()
    {
        Assert.Throws<ArgumentException>(() => Correlation.Spearman([1, 2], [1]));
        Assert.Contains("value 1 is NaN", Assert.Throws<ArgumentException>(() => Correlation.Spearman([1, double.NaN], [1, 2])).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Spearman_only_sees_order() =>
        Gen.Select(Gen.Int[-50, 50].Array[3, 40], Gen.Int[-50, 50].Array[40]).Sample((wholeX, wholeY) =>
        {
            double[] x = Array.ConvertAll(wholeX, v => (double)v);
            double[] y = Array.ConvertAll(wholeY[..x.Length], v => (double)v);
            double rho = Correlation.Spearman(x, y);
            Assert.Equal(rho, Correlation.Spearman([.. x.Select(v => v * v * v)], y), 1e-12);
            Assert.Equal(rho, Correlation.Spearman(y, x), 1e-12);
            Assert.Equal(-rho, Correlation.Spearman(x, [.. y.Select(v => -v)]), 1e-12);
            Assert.InRange(rho, -1, 1);
        }, iter: 200);

    [Fact]
    public void Cosine_is_that_of_the_angle_and_0_where_it_is_not_a_number()
    {
        Assert.Equal(0.6, Cosine.Of([3, 4], [10, 0]), 1e-15);
        Assert.Equal(-1, Cosine.Of([1e30f, 0], [-1e-30f, 0]), 1e-15);
        Assert.Equal(1, Cosine.Of([float.Epsilon, 0], [float.MaxValue, 0]), 1e-15);
        Assert.Equal(0, Cosine.Of([0, 0], [1, 2]));
        Assert.Equal(0, Cosine.Of([float.NaN, 1], [1, 2]));
        Assert.Equal(0, Cosine.Of([float.PositiveInfinity, 1], [1, 2]));
        Assert.Throws<ArgumentException>(() => Cosine.Of([1], [1, 2]));
    }
}
