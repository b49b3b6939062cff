namespace SimCse.Search;

/// <summary>The scan of consecutive int8 records.</summary>
internal static unsafe class Int8Scan
{
    /// <summary>Offers the score of every record to the best of each query.</summary>
    /// <param name="queries">Of the records' width.</param>
    /// <param name="records">The first of them.</param>
    /// <param name="count">How many there are.</param>
    /// <param name="firstRow">What the first is called in hits; the others follow.</param>
    /// <param name="allowed">The rows that may be hits; null for all.</param>
    /// <param name="best">One for each query.</param>
    public static void Run(Int8Queries queries, byte* records, int count, int firstRow, RowSet? allowed, TopHits[] best)
    {
        int width = queries.Width, stride = queries.Stride;
        Span<float> products = stackalloc float[8];
        fixed (byte* shifted = queries.Shifted)
        {
            for (int q = 0; q < queries.Count; q += 2)
            {
                byte* query = shifted + ((long)q * width);
                bool pair = q + 1 < queries.Count;
                int row = 0;
                for (; row <= count - 4; row += 4)
                {
                    byte* a = records + ((long)row * stride);
                    if (pair)
                    {
                        Int8Products.TwoByFour(query, a, width, stride, products);
                        Offer(best[q + 1], queries.Scales[q + 1], products[4..], firstRow + row, allowed);
                    }
                    else
                    {
                        Int8Products.OneByFour(query, a, a + stride, a + (2 * stride), a + (3 * stride), width, products);
                    }

                    Offer(best[q], queries.Scales[q], products[..4], firstRow + row, allowed);
                }

                for (; row < count; row++)
                {
                    products[0] = Int8Products.One(query, records + ((long)row * stride), width);
                    Offer(best[q], queries.Scales[q], products[..1], firstRow + row, allowed);
                    if (pair)
                    {
                        products[0] = Int8Products.One(query + width, records + ((long)row * stride), width);
                        Offer(best[q + 1], queries.Scales[q + 1], products[..1], firstRow + row, allowed);
                    }
                }
            }
        }
    }

    private static void Offer(TopHits best, float scale, ReadOnlySpan<float> products, int row, RowSet? allowed)
    {
        for (int i = 0; i < products.Length; i++)
        {
            float score = scale * products[i];
            if (score > best.Floor && (allowed is null || allowed.Contains(row + i))) // rows ascend: a later one with an equal score is not better
            {
                best.Offer(row + i, score);
            }
        }
    }
}
