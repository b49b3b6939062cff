using System.Numerics.Tensors;

namespace SimCse.Evaluation;

/// <summary>
/// The directions in which vectors vary most: the eigenvectors of their covariance with the largest eigenvalues, by subspace iteration with a Rayleigh–Ritz step (Golub and Van Loan, Matrix Computations, section 8.2.4).
/// </summary>
public sealed class PrincipalComponents
{
    // More directions than are asked for go along: the iteration converges as the ratio of the first eigenvalue that is left out to the last one wanted.
    private const int Companions = 8;
    private const int MostIterations = 300;
    private const double Tolerance = 1e-10;

    private readonly double[] _mean;
    private readonly double[][] _axes;

    private PrincipalComponents(double[] mean, double[][] axes, double[] explained)
    {
        _mean = mean;
        _axes = axes;
        Explained = explained;
    }

    /// <summary>The share of the variance along each axis, largest first; 0 where the vectors do not vary.</summary>
    public IReadOnlyList<double> Explained { get; }

    /// <summary>The axes, k unit vectors of H components; the largest component of each is positive. Axes beyond the rank are 0.</summary>
    public IReadOnlyList<IReadOnlyList<double>> Axes => _axes;

    /// <summary>Finds the first axes.</summary>
    /// <param name="vectors">n × H.</param>
    /// <param name="count">k, at least 1.</param>
    /// <exception cref="ArgumentException">There is no vector.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static PrincipalComponents Of(EmbeddingMatrix vectors, int count)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        if (vectors.Count == 0)
        {
            throw new ArgumentException("there is no vector", nameof(vectors));
        }

        if (vectors.Values.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            throw new InvalidDataException("the vectors hold a component that is not a finite number");
        }

        int dimensions = vectors.Dimensions;
        double[] mean = new double[dimensions];
        for (int row = 0; row < vectors.Count; row++)
        {
            for (int i = 0; i < dimensions; i++)
            {
                mean[i] += vectors[row][i] / (double)vectors.Count;
            }
        }

        double[][] centred = [.. Enumerable.Range(0, vectors.Count).Select(row => Centred(vectors[row], mean))]; // (n, H)
        double total = centred.Sum(row => TensorPrimitives.SumOfSquares<double>(row));
        int size = Math.Min(count + Companions, dimensions);
        Random random = new(1);
        double[][] basis = [.. Enumerable.Range(0, size).Select(_ => Enumerable.Range(0, dimensions).Select(_ => random.NextDouble() - 0.5).ToArray())]; // (size, H)
        double[] variances = new double[size];
        for (int iteration = 0; iteration < MostIterations && total > 0; iteration++)
        {
            Orthonormalise(basis);
            double[][] scores = [.. centred.Select(row => basis.Select(axis => TensorPrimitives.Dot<double>(row, axis)).ToArray())]; // (n, size)
            double[][] ritz = new double[size][]; // the covariance within the basis, times n
            for (int i = 0; i < size; i++)
            {
                ritz[i] = [.. Enumerable.Range(0, size).Select(j => scores.Sum(row => row[i] * row[j]))];
            }

            (double[] values, double[][] rotations) = Jacobi(ritz);
            bool settled = Enumerable.Range(0, Math.Min(count, size)).All(i => Math.Abs(values[i] - variances[i]) <= Tolerance * total);
            variances = values;
            basis = [.. rotations.Select(rotation => Combine(rotation, basis, dimensions))];
            if (settled)
            {
                break;
            }

            // The next basis: XᵀX times this one.
            scores = [.. centred.Select(row => basis.Select(axis => TensorPrimitives.Dot<double>(row, axis)).ToArray())];
            if (iteration < MostIterations - 1)
            {
                double[][] next = [.. basis.Select(_ => new double[dimensions])];
                for (int row = 0; row < centred.Length; row++)
                {
                    for (int i = 0; i < size; i++)
                    {
                        TensorPrimitives.MultiplyAdd<double>(centred[row], scores[row][i], next[i], next[i]);
                    }
                }

                basis = next;
            }
        }

        double[][] axes = [.. Enumerable.Range(0, count).Select(i => i < size && variances[i] > Tolerance * total ? Signed(basis[i]) : new double[dimensions])];
        return new PrincipalComponents(mean, axes, [.. Enumerable.Range(0, count).Select(i => i < size && total > 0 ? Math.Max(variances[i], 0) / total : 0)]);
    }

    /// <summary>The place of each vector along the axes, from the mean of the vectors they were found on.</summary>
    /// <param name="vectors">n × H.</param>
    /// <returns>n rows of k.</returns>
    public double[][] Project(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        return [.. Enumerable.Range(0, vectors.Count).Select(row =>
        {
            double[] centred = Centred(vectors[row], _mean);
            return _axes.Select(axis => TensorPrimitives.Dot<double>(centred, axis)).ToArray();
        })];
    }

    private static double[] Centred(ReadOnlySpan<float> vector, double[] mean)
    {
        double[] centred = new double[mean.Length];
        for (int i = 0; i < centred.Length; i++)
        {
            centred[i] = vector[i] - mean[i];
        }

        return centred;
    }

    /// <summary>Gram and Schmidt, twice for the digits; a direction that is none is 0.</summary>
    private static void Orthonormalise(double[][] rows)
    {
        for (int i = 0; i < rows.Length; i++)
        {
            double before = TensorPrimitives.Norm<double>(rows[i]);
            for (int pass = 0; pass < 2; pass++)
            {
                for (int j = 0; j < i; j++)
                {
                    TensorPrimitives.MultiplyAdd<double>(rows[j], -TensorPrimitives.Dot<double>(rows[i], rows[j]), rows[i], rows[i]);
                }
            }

            double length = TensorPrimitives.Norm<double>(rows[i]);
            TensorPrimitives.Multiply<double>(rows[i], length > 1e-14 * before && length > 0 ? 1 / length : 0, rows[i]);
        }
    }

    /// <summary>Eigenvalues, largest first, and eigenvectors of a small symmetric matrix, by Jacobi's rotations (Golub and Van Loan, section 8.5).</summary>
    private static (double[] Values, double[][] Vectors) Jacobi(double[][] a)
    {
        int n = a.Length;
        double[][] vectors = [.. Enumerable.Range(0, n).Select(i => Enumerable.Range(0, n).Select(j => i == j ? 1.0 : 0).ToArray())];
        for (int sweep = 0; sweep < 50; sweep++)
        {
            double off = 0;
            for (int p = 0; p < n; p++)
            {
                for (int q = p + 1; q < n; q++)
                {
                    if (a[p][q] == 0)
                    {
                        continue;
                    }

                    off += a[p][q] * a[p][q];
                    double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                    double t = Math.CopySign(1, theta) / (Math.Abs(theta) + double.Hypot(theta, 1)), c = 1 / double.Hypot(t, 1), s = t * c;
                    for (int k = 0; k < n; k++)
                    {
                        (a[k][p], a[k][q]) = ((c * a[k][p]) - (s * a[k][q]), (s * a[k][p]) + (c * a[k][q]));
                    }

                    for (int k = 0; k < n; k++)
                    {
                        (a[p][k], a[q][k]) = ((c * a[p][k]) - (s * a[q][k]), (s * a[p][k]) + (c * a[q][k]));
                        (vectors[p][k], vectors[q][k]) = ((c * vectors[p][k]) - (s * vectors[q][k]), (s * vectors[p][k]) + (c * vectors[q][k]));
                    }
                }
            }

            if (off <= 1e-30 * a.Select((row, i) => row[i] * row[i]).Sum())
            {
                break;
            }
        }

        int[] order = [.. Enumerable.Range(0, n).OrderByDescending(i => a[i][i])];
        return ([.. order.Select(i => a[i][i])], [.. order.Select(i => vectors[i])]);
    }

    private static double[] Combine(double[] weights, double[][] rows, int dimensions)
    {
        double[] sum = new double[dimensions];
        for (int i = 0; i < rows.Length; i++)
        {
            TensorPrimitives.MultiplyAdd<double>(rows[i], weights[i], sum, sum);
        }

        return sum;
    }

    private static double[] Signed(double[] axis)
    {
        if (axis[TensorPrimitives.IndexOfMaxMagnitude<double>(axis)] < 0)
        {
            TensorPrimitives.Negate<double>(axis, axis);
        }

        return axis;
    }
}
