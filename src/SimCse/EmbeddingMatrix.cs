namespace SimCse;

/// <summary>n vectors of H float32 components, row after row in one block of memory.</summary>
public sealed class EmbeddingMatrix
{
    private readonly float[] _values;

    /// <summary>Takes over a block of <paramref name="count"/> × <paramref name="dimensions"/> values.</summary>
    /// <param name="values">Row-major, n × H; not copied.</param>
    /// <param name="count">n, the number of rows.</param>
    /// <param name="dimensions">H, at least 1.</param>
    /// <exception cref="ArgumentException">The block does not hold n × H values.</exception>
    public EmbeddingMatrix(float[] values, int count, int dimensions)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        if (values.Length != (long)count * dimensions)
        {
            throw new ArgumentException($"{count} × {dimensions} vectors need {(long)count * dimensions} values, not {values.Length}", nameof(values));
        }

        _values = values;
        Count = count;
        Dimensions = dimensions;
    }

    /// <summary>n, the number of rows.</summary>
    public int Count { get; }

    /// <summary>H, the number of components of a row.</summary>
    public int Dimensions { get; }

    /// <summary>All values, row-major.</summary>
    public ReadOnlySpan<float> Values => _values;

    /// <summary>Row <paramref name="row"/>, H values.</summary>
    public ReadOnlySpan<float> this[int row] => _values.AsSpan(checked(row * Dimensions), Dimensions);

    /// <summary>Row <paramref name="row"/> as memory, for callers that keep it.</summary>
    public ReadOnlyMemory<float> RowMemory(int row) => _values.AsMemory(checked(row * Dimensions), Dimensions);
}
