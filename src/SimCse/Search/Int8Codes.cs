namespace SimCse.Search;

/// <summary>The int8 codes of a matrix: see <see cref="Int8Products"/>. Scales are those of the rows at length one, so that scores are cosines.</summary>
internal sealed unsafe class Int8Codes
{
    private readonly int _width;
    private readonly sbyte[] _codes; // n × Width(H)
    private readonly float[] _scales; // n
    private readonly int[] _sums; // n

    public Int8Codes(EmbeddingMatrix vectors, float[] inverseLengths)
    {
        _width = Int8Products.Width(vectors.Dimensions);
        _codes = new sbyte[(long)vectors.Count * _width];
        _scales = new float[vectors.Count];
        _sums = new int[vectors.Count];
        Parallel.For(0, vectors.Count, row =>
        {
            (float scale, _sums[row]) = Int8Products.Quantize(vectors[row], _codes.AsSpan(row * _width, _width));
            _scales[row] = scale * inverseLengths[row];
        });
    }

    /// <summary>Offers the scores of the rows from <paramref name="first"/> to before <paramref name="end"/>.</summary>
    public void Scan(Int8Queries queries, int first, int end, TopHits[] best)
    {
        fixed (sbyte* codes = _codes)
        fixed (float* scales = _scales)
        fixed (int* sums = _sums)
        {
            new Int8Stretch(codes, scales, sums, _width).Scan(queries, first, end, rowOfFirst: 0, allowed: null, best);
        }
    }
}
