namespace SimCse.Search;

/// <summary>Consecutive rows as int8 codes, wherever they lie, and their scan.</summary>
/// <param name="codes">n × Width(H) bytes.</param>
/// <param name="scales">n scales.</param>
/// <param name="sums">n sums of codes.</param>
/// <param name="width">Width(H).</param>
internal readonly unsafe struct Int8Stretch(sbyte* codes, float* scales, int* sums, int width)
{
    /// <summary>Offers the score of every row from <paramref name="first"/> to before <paramref name="end"/> to the best of each query.</summary>
    /// <param name="queries">Of the same width.</param>
    /// <param name="first">Counted from the stretch's first row.</param>
    /// <param name="end">Counted from the stretch's first row.</param>
    /// <param name="rowOfFirst">What the stretch's first row is called in hits.</param>
    /// <param name="allowed">The rows, as they are called in hits, that may be hits; null for all.</param>
    /// <param name="best">One for each query.</param>
    public void Scan(Int8Queries queries, int first, int end, int rowOfFirst, RowSet? allowed, TopHits[] best)
    {
        Span<int> found = stackalloc int[8];
        fixed (byte* shifted = queries.Shifted)
        {
            int q = 0;
            for (; q < queries.Count - 1; q += 2)
            {
                byte* pair = shifted + ((long)q * width);
                int row = first;
                for (; row <= end - 4; row += 4)
                {
                    Int8Products.TwoByFour(pair, codes + ((long)row * width), width, found);
                    Offer(best[q], queries.Scales[q], found, row, rowOfFirst, allowed);
                    Offer(best[q + 1], queries.Scales[q + 1], found[4..], row, rowOfFirst, allowed);
                }

                ScanRest(pair, queries.Scales[q], best[q], row, end, rowOfFirst, allowed);
                ScanRest(pair + width, queries.Scales[q + 1], best[q + 1], row, end, rowOfFirst, allowed);
            }

            if (q < queries.Count)
            {
                byte* last = shifted + ((long)q * width);
                int row = first;
                for (; row <= end - 4; row += 4)
                {
                    sbyte* a = codes + ((long)row * width);
                    Int8Products.OneByFour(last, a, a + width, a + (2 * width), a + (3 * width), width, found);
                    Offer(best[q], queries.Scales[q], found, row, rowOfFirst, allowed);
                }

                ScanRest(last, queries.Scales[q], best[q], row, end, rowOfFirst, allowed);
            }
        }
    }

    private void ScanRest(byte* query, float scale, TopHits best, int first, int end, int rowOfFirst, RowSet? allowed)
    {
        for (int row = first; row < end; row++)
        {
            OfferOne(best, scale * scales[row] * Int8Products.One(query, codes + ((long)row * width), sums[row], width), rowOfFirst + row, allowed);
        }
    }

    private void Offer(TopHits best, float scale, ReadOnlySpan<int> found, int row, int rowOfFirst, RowSet? allowed)
    {
        for (int i = 0; i < 4; i++)
        {
            OfferOne(best, scale * scales[row + i] * (found[i] - Int8Products.Excess(sums[row + i])), rowOfFirst + row + i, allowed);
        }
    }

    private static void OfferOne(TopHits best, float score, int row, RowSet? allowed)
    {
        if (score > best.Floor && (allowed is null || allowed.Contains(row)))
        {
            best.Offer(row, score);
        }
    }
}

/// <summary>Queries as int8 codes, shifted for the products.</summary>
internal sealed class Int8Queries
{
    public Int8Queries(EmbeddingMatrix queries)
    {
        int width = Int8Products.Width(queries.Dimensions);
        Shifted = new byte[queries.Count * width];
        Scales = new float[queries.Count];
        sbyte[] codes = new sbyte[width];
        for (int q = 0; q < queries.Count; q++)
        {
            Scales[q] = Int8Products.Quantize(queries[q], codes).Scale;
            Int8Products.Shifted(codes, Shifted.AsSpan(q * width, width));
        }
    }

    public int Count => Scales.Length;

    /// <summary>Q × Width(H).</summary>
    public byte[] Shifted { get; }

    public float[] Scales { get; }
}
