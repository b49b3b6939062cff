namespace SimCse.Evaluation.Tests;

public class PrincipalComponentsTests
{
    [Fact]
    public void Axes_are_those_the_points_were_laid_out_along()
    {
        // Points at ±6 along a, ±3 along b, ±1 along c, about a centre that is not the origin: the covariance has the axes a, b, c.
        double[] a = [0.6, 0.8, 0, 0], b = [-0.8, 0.6, 0, 0], c = [0, 0, 0.6, 0.8], centre = [5, -3, 2, 1];
        float[] values = [.. new[] { (a, 6.0), (a, -6.0), (b, 3.0), (b, -3.0), (c, 1.0), (c, -1.0) }.SelectMany(point => point.Item1.Zip(centre, (axis, middle) => (float)((point.Item2 * axis) + middle)))];
        EmbeddingMatrix vectors = new(values, 6, 4);
        PrincipalComponents components = PrincipalComponents.Of(vectors, 2);
        Assert.All(Enumerable.Range(0, 4), i => Assert.Equal(a[i], components.Axes[0][i], 1e-6));
        Assert.All(Enumerable.Range(0, 4), i => Assert.Equal(-b[i], components.Axes[1][i], 1e-6)); // the largest component of an axis is positive
        Assert.Equal(72.0 / 92, components.Explained[0], 1e-6);
        Assert.Equal(18.0 / 92, components.Explained[1], 1e-6);
        double[][] places = components.Project(vectors);
        Assert.Equal(6, places[0][0], 1e-5);
        Assert.Equal(-6, places[1][0], 1e-5);
        Assert.Equal(-3, places[2][1], 1e-5);
        Assert.Equal(0, places[4][0], 1e-5);
    }

    [Fact]
    public void The_variances_are_the_squares_of_the_singular_values_of_centred_vectors()
    {
        Random random = new(3);
        float[] values = [.. Enumerable.Range(0, 60 * 24).Select(i => (float)((random.NextDouble() - 0.5) * (1 + (i % 24))))];
        for (int column = 0; column < 24; column++)
        {
            float mean = Enumerable.Range(0, 60).Average(row => values[(row * 24) + column]);
            for (int row = 0; row < 60; row++)
            {
                values[(row * 24) + column] -= mean;
            }
        }

        EmbeddingMatrix vectors = new(values, 60, 24);
        double[] squares = [.. Geometry.SingularSpectrum(vectors).Select(s => s * s)];
        IReadOnlyList<double> explained = PrincipalComponents.Of(vectors, 5).Explained;
        Assert.All(Enumerable.Range(0, 5), i => Assert.Equal(squares[i] / squares.Sum(), explained[i], 1e-6));
    }

    [Fact]
    public void Vectors_that_do_not_vary_have_no_axes_and_few_vectors_have_few()
    {
        PrincipalComponents same = PrincipalComponents.Of(new EmbeddingMatrix([1, 2, 1, 2, 1, 2], 3, 2), 2);
        Assert.Equal([0, 0], same.Explained);
        Assert.All(same.Project(new EmbeddingMatrix([1, 2], 1, 2))[0], place => Assert.Equal(0, place));
        PrincipalComponents line = PrincipalComponents.Of(new EmbeddingMatrix([0, 0, 0, 3, 4, 0], 2, 3), 3);
        Assert.Equal(1, line.Explained[0], 1e-9);
        Assert.Equal(0, line.Explained[1], 1e-9);
        Assert.Equal([0.6, 0.8, 0], line.Axes[0].Select(x => Math.Round(x, 9)));
        Assert.Throws<ArgumentException>(() => PrincipalComponents.Of(new EmbeddingMatrix([], 0, 3), 1));
        Assert.Throws<InvalidDataException>(() => PrincipalComponents.Of(new EmbeddingMatrix([float.NaN], 1, 1), 1));
    }
}
