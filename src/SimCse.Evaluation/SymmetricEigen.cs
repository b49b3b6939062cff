using System.Numerics.Tensors;

namespace SimCse.Evaluation;

/// <summary>
/// Eigenvalues and eigenvectors of a real symmetric matrix: Householder reduction to tridiagonal form, then QL steps with implicit Wilkinson shifts
/// (Golub and Van Loan, Matrix Computations, sections 8.3.1 and 8.3.3). 4/3 n³ operations for the values, about 6 n³ more with vectors; absolute error
/// about n · 1e-16 of the largest.
/// </summary>
internal static class SymmetricEigen
{
    /// <summary>The eigenvalues alone.</summary>
    /// <param name="a">n rows of n; overwritten.</param>
    /// <returns>In no order.</returns>
    public static double[] Values(double[][] a) => Decompose(a, vectors: null);

    /// <summary>Eigenvalues, largest first, and their eigenvectors: a = Σ λᵢ vᵢ vᵢᵀ.</summary>
    /// <param name="a">n rows of n; overwritten.</param>
    /// <returns>n values, and n vectors of length one, orthogonal to each other.</returns>
    public static (double[] Values, double[][] Vectors) ValuesAndVectors(double[][] a)
    {
        double[][] vectors = [.. Enumerable.Range(0, a.Length).Select(_ => new double[a.Length])];
        double[] values = Decompose(a, vectors);
        int[] order = [.. Enumerable.Range(0, a.Length).OrderByDescending(i => values[i])];
        return ([.. order.Select(i => values[i])], [.. order.Select(i => vectors[i])]);
    }

    /// <param name="a">n rows of n; overwritten.</param>
    /// <param name="vectors">Receives an eigenvector a row; null where they are not asked for.</param>
    private static double[] Decompose(double[][] a, double[][]? vectors)
    {
        int n = a.Length;
        double[] diagonal = new double[n];
        double[] off = new double[n]; // off[i] couples i and i + 1
        double[] betas = new double[n]; // of the reflections, 0 where there was none
        double[] p = new double[n];

        for (int k = 0; k < n; k++)
        {
            diagonal[k] = a[k][k];
            if (k == n - 1)
            {
                break;
            }

            // The Householder vector v of row k right of the diagonal: H = I − β v vᵀ maps that row to (α, 0, …, 0).
            int m = n - k - 1;
            Span<double> v = a[k].AsSpan(k + 1, m);
            double norm = TensorPrimitives.Norm<double>(v);
            double alpha = v[0] > 0 ? -norm : norm;
            off[k] = alpha;
            if (norm == 0 || m == 1)
            {
                off[k] = v[0];
                continue;
            }

            v[0] -= alpha;
            double beta = 2 / TensorPrimitives.SumOfSquares<double>(v);
            betas[k] = beta;

            // The rest becomes A − v wᵀ − w vᵀ with w = β A v − (β² vᵀA v / 2) v.
            Span<double> w = p.AsSpan(0, m);
            for (int i = 0; i < m; i++)
            {
                w[i] = beta * TensorPrimitives.Dot<double>(a[k + 1 + i].AsSpan(k + 1, m), v);
            }

            double half = beta * TensorPrimitives.Dot<double>(w, v) / 2;
            TensorPrimitives.MultiplyAdd(v, -half, w, w);
            for (int i = 0; i < m; i++)
            {
                Span<double> row = a[k + 1 + i].AsSpan(k + 1, m);
                TensorPrimitives.MultiplyAdd(w, -v[i], row, row);
                TensorPrimitives.MultiplyAdd(v, -w[i], row, row);
            }
        }

        if (vectors is not null)
        {
            // A = Q T Qᵀ with Q = H₀ H₁ …; the rows of Qᵀ are turned into eigenvectors along with T. Qᵀ = … H₁ H₀: from the last reflection
            // on, each is multiplied from the right into what is not yet the identity alone.
            for (int i = 0; i < n; i++)
            {
                vectors[i][i] = 1;
            }

            for (int k = n - 2; k >= 0; k--)
            {
                if (betas[k] == 0)
                {
                    continue;
                }

                ReadOnlySpan<double> v = a[k].AsSpan(k + 1);
                for (int i = k + 1; i < n; i++)
                {
                    Span<double> row = vectors[i].AsSpan(k + 1);
                    TensorPrimitives.MultiplyAdd(v, -betas[k] * TensorPrimitives.Dot(row, v), row, row);
                }
            }
        }

        Diagonalise(diagonal, off, vectors);
        return diagonal;
    }

    /// <summary>QL with implicit shifts on a tridiagonal matrix; <paramref name="d"/> becomes the eigenvalues, and the rows of <paramref name="vectors"/> turn along.</summary>
    private static void Diagonalise(double[] d, double[] e, double[][]? vectors)
    {
        int n = d.Length;
        double[] turned = new double[vectors is null ? 0 : n];

        // Couplings below rounding of the whole matrix are nothing; without this floor a matrix of low rank would iterate on its noise.
        double floor = 0;
        for (int i = 0; i < n; i++)
        {
            floor = Math.Max(floor, Math.Abs(d[i]) + Math.Abs(e[i]));
        }

        floor *= 1e-17;
        for (int l = 0; l < n; l++)
        {
            while (true)
            {
                int m = l;
                while (m < n - 1 && Math.Abs(e[m]) > Math.Max(floor, 1.1e-16 * (Math.Abs(d[m]) + Math.Abs(d[m + 1]))))
                {
                    m++;
                }

                if (m == l)
                {
                    break;
                }

                double g = (d[l + 1] - d[l]) / (2 * e[l]);
                double r = double.Hypot(g, 1);
                g = d[m] - d[l] + (e[l] / (g + Math.CopySign(r, g)));
                double s = 1, c = 1, shift = 0;
                int i = m - 1;
                for (; i >= l; i--)
                {
                    double f = s * e[i];
                    double b = c * e[i];
                    r = double.Hypot(f, g);
                    e[i + 1] = r;
                    if (r == 0)
                    {
                        d[i + 1] -= shift;
                        e[m] = 0;
                        break;
                    }

                    s = f / r;
                    c = g / r;
                    g = d[i + 1] - shift;
                    r = ((d[i] - g) * s) + (2 * c * b);
                    shift = s * r;
                    d[i + 1] = g + shift;
                    g = (c * r) - b;
                    if (vectors is not null)
                    {
                        Turn(vectors[i], vectors[i + 1], c, s, turned);
                    }
                }

                if (i >= l)
                {
                    continue;
                }

                d[l] -= shift;
                e[l] = g;
                e[m] = 0;
            }
        }
    }

    /// <summary>(x, y) ← (c x − s y, s x + c y).</summary>
    private static void Turn(double[] x, double[] y, double c, double s, double[] turned)
    {
        TensorPrimitives.Multiply(x, s, turned);
        TensorPrimitives.MultiplyAdd(y, c, turned, turned); // s x + c y
        TensorPrimitives.Multiply(x, c, x);
        TensorPrimitives.MultiplyAdd(y, -s, x, x);
        turned.CopyTo(y, 0);
    }
}
