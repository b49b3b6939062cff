using System.Text.Json;
using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Evaluation.Rivals;

namespace SimCse.Tests;

public class RivalsTests
{
    private const int Count = 500;
    private const int Size = 12;

    [Fact]
    public void Eigenvectors_put_a_symmetric_matrix_together_again()
    {
        foreach (int n in new[] { 1, 2, 3, 17, 60 })
        {
            Random random = new(n);
            double[][] a = [.. Enumerable.Range(0, n).Select(_ => new double[n])];
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j <= i; j++)
                {
                    // Of low rank for the largest: many eigenvalues are one and the same.
                    a[i][j] = a[j][i] = n == 60 ? (i % 5) * (j % 5) : random.NextDouble() - 0.5;
                }
            }

            (double[] values, double[][] vectors) = SymmetricEigen.ValuesAndVectors([.. a.Select(row => row.ToArray())]);
            Assert.Equal(values.OrderDescending(), values);
            for (int i = 0; i < n; i++)
            {
                for (int j = 0; j < n; j++)
                {
                    Assert.Equal(a[i][j], Enumerable.Range(0, n).Sum(k => values[k] * vectors[k][i] * vectors[k][j]), 1e-10 * n);
                    Assert.Equal(i == j ? 1 : 0, vectors[i].Zip(vectors[j], (x, y) => x * y).Sum(), 1e-12 * n);
                }
            }
        }
    }

    [Theory]
    [InlineData(Size)]
    [InlineData(5)]
    public void Whitened_vectors_have_mean_0_and_the_identity_as_covariance(int components)
    {
        EmbeddingMatrix vectors = Made();
        EmbeddingMatrix white = new Whitening(components).FitAndApply(vectors, "made");
        Assert.Equal(components, white.Dimensions);
        for (int i = 0; i < components; i++)
        {
            Assert.Equal(0, Enumerable.Range(0, Count).Average(row => white[row][i]), 1e-4);
            for (int j = 0; j < components; j++)
            {
                Assert.Equal(i == j ? 1 : 0, Enumerable.Range(0, Count).Sum(row => (double)white[row][i] * white[row][j]) / (Count - 1), 1e-3);
            }
        }
    }

    [Fact]
    public void Whitening_of_an_ellipse_along_the_axes_makes_it_a_circle()
    {
        // Variances, n − 1 in the denominator: 6 and 2/3.
        DenseHead map = new Whitening(2).Fit(new EmbeddingMatrix([8, 7, 2, 7, 5, 8, 5, 6], 4, 2));
        float[] y = new float[2];
        map.Apply([8, 7], y);
        Assert.Equal((3 / Math.Sqrt(6), 0), (Math.Abs(y[0]), y[1]), new Near(1e-5));
        map.Apply([5, 8], y);
        Assert.Equal((0, 1 / Math.Sqrt(2 / 3.0)), (y[0], Math.Abs(y[1])), new Near(1e-5));
    }

    [Fact]
    public void All_but_the_top_takes_out_the_mean_and_the_directions_of_most_variance_and_leaves_the_others()
    {
        EmbeddingMatrix vectors = Made();
        EmbeddingMatrix left = new AllButTheTop(3).FitAndApply(vectors, "made");
        double[] before = Spectrum(new AllButTheTop(0).FitAndApply(vectors, "made")), after = Spectrum(left);
        Assert.Equal(before[3..], after[..^3], new NearNumber(1e-3));
        Assert.All(after[^3..], value => Assert.Equal(0, value, 1e-3));
        Assert.All(Enumerable.Range(0, Size), i => Assert.Equal(0, Enumerable.Range(0, Count).Average(row => left[row][i]), 1e-4));

        // The singular values of the vectors as they are, not scaled.
        double[] Spectrum(EmbeddingMatrix x)
        {
            double largest = Math.Sqrt(SymmetricEigen.Values(Gram(x)).Max());
            return [.. Geometry.SingularSpectrum(x).Select(s => s * largest)];
        }
    }

    [Fact]
    public void What_cannot_be_fitted_says_why()
    {
        // Three vectors vary in two directions.
        EmbeddingMatrix three = new([1, 0, 0, 0, 1, 0, 0, 0, 1], 3, 3);
        Assert.Contains("vary in 2 directions; expected 1 to 2", Assert.Throws<InvalidDataException>(() => new Whitening(3).FitAndApply(three, "STS12")).Message, StringComparison.Ordinal);
        Assert.Contains("expected 0 to 2", Assert.Throws<InvalidDataException>(() => new AllButTheTop(3).Fit(three)).Message, StringComparison.Ordinal);
        Assert.Contains("not a finite number", Assert.Throws<InvalidDataException>(() => new Whitening(1).Fit(new EmbeddingMatrix([1, float.NaN], 2, 1))).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => new Whitening(1).Fit(new EmbeddingMatrix([1, 2], 1, 2)));
    }

    [Theory]
    [InlineData(Pooling.Avg)]
    [InlineData(Pooling.ClsBeforePooler)]
    public void A_model_is_written_with_the_map_in_it_and_gives_the_mapped_vectors_from_weights_and_from_ONNX(Pooling pooling)
    {
        string model = RepositoryPaths.Fixture("tiny-bert"), folder = RepositoryPaths.NewTemporaryDirectory(), written = Path.Combine(folder, "white"), onnx = Path.Combine(folder, "onnx");
        using JsonDocument goldens = JsonDocument.Parse(File.ReadAllText(Path.Combine(model, "goldens.json")));
        string[] sentences = [.. goldens.RootElement.GetProperty("sentences").EnumerateArray().Select(s => s.GetString()!)];
        EmbeddingMatrix expected;
        using (SentenceEncoder plain = SentenceEncoder.Load(model, new SentenceEncoderOptions { Pooling = pooling }))
        {
            EmbeddingMatrix vectors = plain.Encode(sentences, TestContext.Current.CancellationToken);
            DenseHead map = new Whitening(8).Fit(vectors);
            expected = map.Apply(vectors);
            PostProcessedModel.Write(model, pooling, map, "whitened", written);
        }

        OnnxExport.WriteDirectory(written, onnx);
        foreach (string directory in new[] { written, onnx })
        {
            using SentenceEncoder encoder = SentenceEncoder.Load(directory);
            Assert.Equal(8, encoder.Dimensions);
            Assert.Equal(expected.Values.ToArray(), encoder.Encode(sentences, TestContext.Current.CancellationToken).Values.ToArray(), (a, b) => Math.Abs(a - b) < 2e-3);
        }

        Assert.Contains("\"activation_function\": \"torch.nn.modules.linear.Identity\"", File.ReadAllText(Path.Combine(written, "2_Dense", "config.json")), StringComparison.Ordinal);
        Assert.Contains("a dense module follows", Assert.Throws<InvalidDataException>(() =>
            PostProcessedModel.Write(written, pooling == Pooling.Avg ? Pooling.Avg : Pooling.Cls, new DenseHead(8, 1, new float[8], [0], false), "again", Path.Combine(folder, "again"))).Message, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Vectors around (5, 5, …) whose components mix, with variances from 1 to 144.</summary>
    private static EmbeddingMatrix Made()
    {
        Random random = new(3);
        float[] values = new float[Count * Size];
        for (int row = 0; row < Count; row++)
        {
            double[] z = [.. Enumerable.Range(1, Size).Select(i => i * (random.NextDouble() + random.NextDouble() + random.NextDouble() - 1.5))];
            for (int i = 0; i < Size; i++)
            {
                values[(row * Size) + i] = (float)(5 + z[i] + (0.5 * z[(i + 1) % Size]));
            }
        }

        return new EmbeddingMatrix(values, Count, Size);
    }

    private static double[][] Gram(EmbeddingMatrix x) =>
        [.. Enumerable.Range(0, x.Dimensions).Select(i => Enumerable.Range(0, x.Dimensions).Select(j => Enumerable.Range(0, x.Count).Sum(row => (double)x[row][i] * x[row][j])).ToArray())];

    private sealed class NearNumber(double tolerance) : IEqualityComparer<double>
    {
        public bool Equals(double x, double y) => Math.Abs(x - y) <= tolerance * Math.Max(1, Math.Abs(x));

        public int GetHashCode(double obj) => 0;
    }

    private sealed class Near(double tolerance) : IEqualityComparer<(double, double)>
    {
        public bool Equals((double, double) x, (double, double) y) => Math.Abs(x.Item1 - y.Item1) <= tolerance && Math.Abs(x.Item2 - y.Item2) <= tolerance;

        public int GetHashCode((double, double) obj) => 0;
    }
}
