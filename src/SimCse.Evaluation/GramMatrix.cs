using System.Numerics.Tensors;

namespace SimCse.Evaluation;

/// <summary>Σ x xᵀ over rows x, summed in double precision, over as many rows as come.</summary>
/// <param name="size">The components of a row.</param>
internal sealed class GramMatrix(int size)
{
    private const int Stripe = 16;
    private readonly double[][] _upper = [.. Enumerable.Range(0, size).Select(_ => new double[size])];

    /// <summary>Adds the outer products of rows.</summary>
    public void Add(double[][] rows) => Parallel.For(0, (size + Stripe - 1) / Stripe, stripe =>
    {
        int end = Math.Min(size, (stripe + 1) * Stripe);
        foreach (double[] row in rows)
        {
            for (int i = stripe * Stripe; i < end; i++)
            {
                Span<double> to = _upper[i].AsSpan(i);
                TensorPrimitives.MultiplyAdd(row.AsSpan(i), row[i], to, to);
            }
        }
    });

    /// <summary>The matrix, both triangles; it may be overwritten, and then nothing may be added.</summary>
    public double[][] ToSymmetric()
    {
        for (int i = 0; i < size; i++)
        {
            for (int j = 0; j < i; j++)
            {
                _upper[i][j] = _upper[j][i];
            }
        }

        return _upper;
    }
}
