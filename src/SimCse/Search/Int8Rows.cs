namespace SimCse.Search;

/// <summary>Where the int8 record of every row lies: offsets from an address that may change.</summary>
/// <param name="dimensions">H.</param>
internal sealed unsafe class Int8Rows(int dimensions)
{
    private byte* _origin;
    private long[] _offsets = [];

    /// <summary>The number of rows.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes of the codes of a row.</summary>
    public int Width { get; } = Int8Products.Width(dimensions);

    /// <summary>Bytes of a record.</summary>
    public int Stride { get; } = Int8Products.Stride(dimensions);

    /// <summary>The record of row <paramref name="row"/>.</summary>
    public byte* this[int row] => _origin + _offsets[row];

    /// <summary>Adds rows whose records lie side by side from <paramref name="offset"/> on.</summary>
    public void Append(long offset, int count)
    {
        if (Count + count > _offsets.Length)
        {
            Array.Resize(ref _offsets, Math.Max(Count + count, _offsets.Length * 2));
        }

        for (int i = 0; i < count; i++)
        {
            _offsets[Count++] = offset + ((long)i * Stride);
        }
    }

    /// <summary>The address that offsets count from.</summary>
    public void MoveTo(byte* origin) => _origin = origin;
}
