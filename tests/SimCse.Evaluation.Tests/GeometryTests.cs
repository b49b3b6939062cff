using System.Text.Json;
using SimCse.Evaluation;

namespace SimCse.Tests;

public class GeometryTests
{
    private static readonly StsTask s_twoPairs = new("two", [new StsSubset("two", [new StsPair("a", "b", 4.5), new StsPair("b", "c", 4), new StsPair("c", "a", 0)])]);

    [Fact]
    public void Alignment_is_the_mean_squared_distance_of_unit_vectors()
    {
        // Orthogonal: 2; opposite: 4; the same direction at another length: 0.
        EmbeddingMatrix vectors = new([2, 0, 0, 3, -1, 0, 5, 0], 4, 2);
        Assert.Equal(2, Geometry.Alignment(vectors, [(0, 1)]), 1e-6);
        Assert.Equal(4, Geometry.Alignment(vectors, [(0, 2)]), 1e-6);
        Assert.Equal(2, Geometry.Alignment(vectors, [(0, 1), (0, 2), (0, 3)]), 1e-6);
        Assert.Throws<ArgumentException>(() => Geometry.Alignment(vectors, []));
    }

    [Fact]
    public void Uniformity_of_one_point_is_0_and_of_a_square_is_its_closed_form()
    {
        Assert.Equal(0, Geometry.Uniformity(new EmbeddingMatrix([1, 1, 2, 2, 7, 7], 3, 2)), 1e-6);

        // Four corners on the circle: four of the six pairs at squared distance 2, two at 4.
        double expected = Math.Log(((4 * Math.Exp(-4)) + (2 * Math.Exp(-8))) / 6);
        Assert.Equal(expected, Geometry.Uniformity(new EmbeddingMatrix([1, 0, 0, 2, -3, 0, 0, -4], 4, 2)), 1e-6);
        Assert.Throws<ArgumentException>(() => Geometry.Uniformity(new EmbeddingMatrix([1, 0], 1, 2)));
    }

    [Theory]
    [InlineData(5, 3)]
    [InlineData(130, 17)]
    [InlineData(517, 100)]
    public void Uniformity_and_mean_cosine_equal_the_plain_double_loop(int count, int dimensions)
    {
        EmbeddingMatrix vectors = Gaussian(count, dimensions, seed: count, shift: 0.3f);
        double sum = 0;
        double cosines = 0;
        for (int i = 0; i < count; i++)
        {
            for (int j = i + 1; j < count; j++)
            {
                double cosine = Cosine.Of(vectors[i], vectors[j]);
                cosines += cosine;
                sum += Math.Exp(-2 * (2 - (2 * cosine)));
            }
        }

        double pairs = count * (count - 1) / 2.0;
        Assert.Equal(Math.Log(sum / pairs), Geometry.Uniformity(vectors), 1e-5);
        Assert.Equal(cosines / pairs, Geometry.MeanCosine(vectors), 1e-6);
    }

    [Fact]
    public void Uniformity_counts_a_zero_vector_at_distance_1_from_the_unit_sphere() =>
        Assert.Equal(-2, Geometry.Uniformity(new EmbeddingMatrix([0, 0, 0, 5], 2, 2)), 1e-6);

    [Fact]
    public void A_vector_that_is_not_finite_is_refused_by_its_row()
    {
        EmbeddingMatrix vectors = new([1, 0, float.NaN, 1], 2, 2);
        Assert.Contains("vector 1 ", Assert.Throws<InvalidDataException>(() => Geometry.Uniformity(vectors)).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => Geometry.SingularSpectrum(vectors));
    }

    [Fact]
    public void Mean_cosine_of_an_orthogonal_frame_is_0_and_of_a_regular_simplex_is_minus_one_over_its_dimension()
    {
        Assert.Equal(0, Geometry.MeanCosine(new EmbeddingMatrix([1, 0, 0, 0, 2, 0, 0, 0, 3], 3, 3)), 1e-7);
        float h = MathF.Sqrt(3) / 2;
        Assert.Equal(-0.5, Geometry.MeanCosine(new EmbeddingMatrix([1, 0, -0.5f, h, -0.5f, -h], 3, 2)), 1e-6);
    }

    [Fact]
    public void Singular_values_of_a_rotated_diagonal_matrix_are_its_diagonal()
    {
        // U diag(8, 4, 2, 0) Vᵀ with U, V made of Householder reflections: the singular values are known.
        double[] diagonal = [8, 4, 2, 0];
        double[,] left = Reflection([1, 2, 3, 4, 5, 6]);
        double[,] right = Reflection([1, -1, 2, 3]);
        float[] values = new float[6 * 4];
        for (int i = 0; i < 6; i++)
        {
            for (int j = 0; j < 4; j++)
            {
                values[(i * 4) + j] = (float)Enumerable.Range(0, 4).Sum(k => left[i, k] * diagonal[k] * right[j, k]);
            }
        }

        AssertClose([1, 0.5, 0.25, 0], Geometry.SingularSpectrum(new EmbeddingMatrix(values, 6, 4)), 1e-4);

        // The transpose has the same.
        float[] transposed = [.. Enumerable.Range(0, 24).Select(i => values[(i % 6 * 4) + (i / 6)])];
        AssertClose([1, 0.5, 0.25, 0], Geometry.SingularSpectrum(new EmbeddingMatrix(transposed, 4, 6)), 1e-4);
    }

    [Fact]
    public void Singular_values_of_a_bidiagonal_matrix_of_ones_are_cosines()
    {
        // A of size n with ones on the diagonal and above: σ_k = 2 cos(kπ / (2n + 1)).
        const int n = 40;
        float[] values = new float[n * n];
        for (int i = 0; i < n; i++)
        {
            values[(i * n) + i] = 1;
            if (i + 1 < n)
            {
                values[(i * n) + i + 1] = 1;
            }
        }

        double[] expected = [.. Enumerable.Range(1, n).Select(k => Math.Cos(k * Math.PI / ((2 * n) + 1)) / Math.Cos(Math.PI / ((2 * n) + 1)))];
        AssertClose(expected, Geometry.SingularSpectrum(new EmbeddingMatrix(values, n, n)), 1e-7);
    }

    [Fact]
    public void The_squares_of_the_singular_values_sum_to_the_squared_norm()
    {
        // trace(XᵀX), and trace((XᵀX)²) = ‖XᵀX‖²: two sums over all eigenvalues that need no eigenvalue.
        EmbeddingMatrix vectors = Gaussian(300, 64, seed: 5, shift: 0.5f);
        double trace = 0;
        double squares = 0;
        for (int i = 0; i < 64; i++)
        {
            for (int j = 0; j < 64; j++)
            {
                double entry = Enumerable.Range(0, 300).Sum(r => (double)vectors[r][i] * vectors[r][j]);
                squares += entry * entry;
                trace += i == j ? entry : 0;
            }
        }

        double[] spectrum = Geometry.SingularSpectrum(vectors);
        double sum2 = spectrum.Sum(s => s * s);
        double sum4 = spectrum.Sum(s => s * s * s * s);
        Assert.Equal(squares / (trace * trace), sum4 / (sum2 * sum2), 1e-12);
    }

    [Fact]
    public void Spectra_without_extent_are_defined()
    {
        AssertClose([0, 0], Geometry.SingularSpectrum(new EmbeddingMatrix([0, 0, 0, 0, 0, 0], 3, 2)), 0);
        Assert.Equal(0, Geometry.EffectiveRank([0, 0]));
        double[] collapsed = Geometry.SingularSpectrum(new EmbeddingMatrix([.. Enumerable.Repeat(0.25f, 500 * 48)], 500, 48));
        Assert.Equal(1, collapsed[0]);
        Assert.All(collapsed.Skip(1), s => Assert.InRange(s, 0, 1e-6));
    }

    [Fact]
    public void Effective_rank_counts_equal_directions()
    {
        Assert.Equal(1, Geometry.EffectiveRank([3, 0, 0]), 1e-12);
        Assert.Equal(4, Geometry.EffectiveRank([0.5, 0.5, 0.5, 0.5, 0]), 1e-12);

        // p = (2/3, 1/3): e^H = 3 / 2^(2/3).
        Assert.Equal(3 / Math.Pow(2, 2.0 / 3), Geometry.EffectiveRank([2, 1]), 1e-12);
    }

    [Fact]
    public void An_analysis_writes_the_shape_of_the_command()
    {
        EmbeddingAnalysis analysis = EmbeddingAnalysis.Of(s_twoPairs, new EmbeddingMatrix([1, 0, 0, 1, -1, 0], 3, 2));
        Assert.Equal(1, analysis.PositivePairs);
        Assert.Equal(2, analysis.Alignment, 1e-6);
        using JsonDocument json = JsonDocument.Parse(new AnalysisReport("twoPairs", [new AnalyzedModel("m", "avg", analysis)]).ToJson());
        Assert.Equal(2, json.RootElement.GetProperty("alignment").GetDouble(), 1e-6);
        Assert.Equal(-1.0 / 3, json.RootElement.GetProperty("mean_cosine").GetDouble(), 1e-6);
        Assert.Equal(Math.Log(((2 * Math.Exp(-4)) + Math.Exp(-8)) / 3), json.RootElement.GetProperty("uniformity").GetDouble(), 1e-6);
        Assert.Equal(2, json.RootElement.GetProperty("singular_values").GetArrayLength());
        Assert.Equal(Math.Sqrt(0.5), json.RootElement.GetProperty("singular_values")[1].GetDouble(), 1e-6);
        Assert.Equal(Geometry.EffectiveRank([1, Math.Sqrt(0.5)]), json.RootElement.GetProperty("effective_rank").GetDouble(), 1e-4);
    }

    [Fact]
    public void An_analysis_of_a_set_without_positive_pairs_says_so()
    {
        StsTask task = new("flat", [new StsSubset("flat", [new StsPair("a", "b", 4)])]);
        Assert.Equal("flat: no pair is scored above 4, so there is nothing to measure alignment on",
            Assert.Throws<InvalidDataException>(() => EmbeddingAnalysis.Of(task, new EmbeddingMatrix([1, 0, 0, 1], 2, 2))).Message);
    }

    [Fact]
    public void Sts_benchmark_dev_has_the_pairs_and_sentences_that_the_reference_counts()
    {
        // shared/reference/scores/*.json: align_uniform_STSB-dev ends in 208, 2910.
        StsTask task = StsSuite.Load(RepositoryPaths.Shared("data"), "STSB-dev").Tasks[0];
        Assert.Equal(2910, task.Sentences.Count);
        Assert.Equal(208, task.PairsAbove(4).Count);
    }

    private static EmbeddingMatrix Gaussian(int count, int dimensions, int seed, float shift)
    {
        Random random = new(seed);
        float[] values = new float[count * dimensions];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = shift + (float)(Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
        }

        return new EmbeddingMatrix(values, count, dimensions);
    }

    private static double[,] Reflection(double[] v)
    {
        double norm = v.Sum(x => x * x);
        double[,] h = new double[v.Length, v.Length];
        for (int i = 0; i < v.Length; i++)
        {
            for (int j = 0; j < v.Length; j++)
            {
                h[i, j] = (i == j ? 1 : 0) - (2 * v[i] * v[j] / norm);
            }
        }

        return h;
    }

    private static void AssertClose(double[] expected, double[] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], tolerance);
        }
    }
}
