namespace SimCse.Search;

/// <summary>
/// Search by cosine that compares every query with every vector. Keeps the matrix as it is (no copy), one number a row, and with another precision than float32 the
/// codes. May be searched from several threads at once.
/// </summary>
/// <remarks>
/// <para>score(q, x) = q·x / (‖q‖ ‖x‖) in float32; 0 where either has no length. Hits come best first, and of equal scores the lower row first, whatever the
/// number of threads or of queries in a call.</para>
/// <para><see cref="VectorPrecision.Int8"/> and <see cref="VectorPrecision.Bit"/> read codes in a first pass, a quarter and a thirty-second of the memory, and keep k times the
/// oversampling candidates; these are scored in float32. What the first pass does not keep is not found, so the hits are nearly always, not always, the best ones.</para>
/// </remarks>
public sealed class ExactIndex
{
    // 128 rows of 384 components are 192 KiB: they stay in the second cache while each query of a call passes over them.
    private const int BlockValues = 128 * 384;

    // Below this number of products a second thread costs more than it brings.
    private const long ParallelFrom = 1L << 18;

    private const int Int8Oversampling = 2, BitOversampling = 32;

    private readonly EmbeddingMatrix _vectors;
    private readonly float[] _inverseLengths;
    private readonly int _oversampling;
    private readonly byte[]? _records; // int8: n × Stride(H)
    private readonly SignCodes? _signs;

    /// <summary>Makes the rows of <paramref name="vectors"/> searchable.</summary>
    /// <param name="vectors">n × H; kept, not copied.</param>
    /// <param name="precision">What the first pass reads.</param>
    /// <param name="oversampling">Candidates of the first pass that are scored in float32, for each hit asked for; null for 2 (int8) or 32 (bit). Without meaning for float32.</param>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public ExactIndex(EmbeddingMatrix vectors, VectorPrecision precision = VectorPrecision.Float32, int? oversampling = null)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (oversampling is { } given)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(given, 1, nameof(oversampling));
        }

        _vectors = vectors;
        _inverseLengths = VectorLengths.Inverse(vectors, "row");
        Precision = precision;
        switch (precision)
        {
            case VectorPrecision.Float32:
                _oversampling = 1;
                break;
            case VectorPrecision.Int8:
                _oversampling = oversampling ?? Int8Oversampling;
                _records = Records(vectors, _inverseLengths);
                break;
            case VectorPrecision.Bit:
                _oversampling = oversampling ?? BitOversampling;
                _signs = new SignCodes(vectors, _inverseLengths);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(precision), precision, "no such precision");
        }
    }

    /// <summary>The number of vectors.</summary>
    public int Count => _vectors.Count;

    /// <summary>H, the number of components of a vector.</summary>
    public int Dimensions => _vectors.Dimensions;

    /// <summary>What the first pass reads.</summary>
    public VectorPrecision Precision { get; }

    /// <summary>The <paramref name="k"/> rows most like <paramref name="query"/>, or all where there are fewer.</summary>
    /// <param name="query">H components.</param>
    /// <param name="k">At least 1.</param>
    /// <param name="cancellationToken">Checked every few thousand rows.</param>
    /// <exception cref="ArgumentException">The query does not have H components.</exception>
    /// <exception cref="InvalidDataException">The query has a component or a length that is not finite.</exception>
    public IReadOnlyList<SearchHit> Search(ReadOnlySpan<float> query, int k, CancellationToken cancellationToken = default)
    {
        if (query.Length != Dimensions)
        {
            throw new ArgumentException($"the query has {query.Length} components, the vectors have {Dimensions}", nameof(query));
        }

        return Search(new EmbeddingMatrix(query.ToArray(), 1, query.Length), k, cancellationToken)[0];
    }

    /// <summary>For each of <paramref name="queries"/>, the <paramref name="k"/> rows most like it, or all where there are fewer.</summary>
    /// <param name="queries">Q × H; one call with many is much faster than many calls.</param>
    /// <param name="k">At least 1.</param>
    /// <param name="cancellationToken">Checked every few thousand rows.</param>
    /// <returns>Q lists of hits.</returns>
    /// <exception cref="ArgumentException">The queries do not have H components.</exception>
    /// <exception cref="InvalidDataException">A query has a component or a length that is not finite.</exception>
    public IReadOnlyList<SearchHit>[] Search(EmbeddingMatrix queries, int k, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (queries.Dimensions != Dimensions)
        {
            throw new ArgumentException($"the queries have {queries.Dimensions} components, the vectors have {Dimensions}", nameof(queries));
        }

        k = Math.Min(k, Count);
        int candidates = (int)Math.Min(Count, (long)k * _oversampling);
        float[] inverseLengths = VectorLengths.Inverse(queries, "query");
        Int8Queries? codes = _records is null ? null : new Int8Queries(queries, inverseLengths);
        ulong[]? signs = _signs?.Encode(queries, inverseLengths);
        int blockRows = Math.Max(1, BlockValues / Dimensions);
        int blocks = (int)(((long)Count + blockRows - 1) / blockRows);
        bool parallel = (long)Count * Dimensions * queries.Count >= ParallelFrom;
        int workers = parallel ? Math.Min(Environment.ProcessorCount, Math.Max(1, blocks)) : 1;

        // Each worker keeps the best of its own stretch of rows; the best of those are the best of all.
        TopHits[][] best = new TopHits[workers][];
        Parallel.For(0, workers, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = workers }, worker =>
        {
            TopHits[] mine = best[worker] = NewTopHits(queries.Count, candidates);
            int firstBlock = (int)((long)blocks * worker / workers);
            int endBlock = (int)((long)blocks * (worker + 1) / workers);
            for (int block = firstBlock; block < endBlock; block++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int first = block * blockRows;
                int end = (int)Math.Min(Count, (long)first + blockRows);
                if (codes is not null)
                {
                    ScanRecords(codes, first, end, mine);
                }
                else if (_signs is not null)
                {
                    for (int q = 0; q < queries.Count; q++)
                    {
                        _signs.Scan(_signs.Of(signs!, q), first, end, mine[q]);
                    }
                }
                else
                {
                    ScanFloats(queries, inverseLengths, first, end, mine);
                }
            }
        });

        IReadOnlyList<SearchHit>[] found = new IReadOnlyList<SearchHit>[queries.Count];
        for (int q = 0; q < found.Length; q++)
        {
            TopHits all = new(candidates);
            foreach (TopHits[] worker in best)
            {
                all.Offer(worker[q]);
            }

            found[q] = Precision == VectorPrecision.Float32 ? all.Sorted() : Rescored(queries[q], inverseLengths[q], all, k);
        }

        return found;
    }

    private static TopHits[] NewTopHits(int queries, int k) => [.. Enumerable.Range(0, queries).Select(_ => new TopHits(k))];

    private static byte[] Records(EmbeddingMatrix vectors, float[] inverseLengths)
    {
        int stride = Int8Products.Stride(vectors.Dimensions);
        if ((long)vectors.Count * stride > Array.MaxLength)
        {
            throw new ArgumentException($"{vectors.Count} × {vectors.Dimensions} vectors are {(long)vectors.Count * stride} bytes of codes; expected at most {Array.MaxLength}: use SentenceIndex, or several indexes", nameof(vectors));
        }

        byte[] records = new byte[vectors.Count * stride];
        Parallel.For(0, vectors.Count, row => Int8Products.WriteRecord(vectors[row], inverseLengths[row], records.AsSpan(row * stride, stride)));
        return records;
    }

    private unsafe void ScanRecords(Int8Queries queries, int first, int end, TopHits[] best)
    {
        fixed (byte* records = _records)
        {
            Int8Scan.Run(queries, records + ((long)first * queries.Stride), end - first, first, allowed: null, best);
        }
    }

    private unsafe void ScanFloats(EmbeddingMatrix queries, float[] inverseLengths, int first, int end, TopHits[] best)
    {
        const int Tile = FloatProducts.Tile;
        Span<float> products = stackalloc float[Tile * Tile];
        fixed (float* query = queries.Values, rows = _vectors.Values)
        {
            int q = 0;
            for (; q <= queries.Count - Tile; q += Tile)
            {
                int row = first;
                for (; row <= end - Tile; row += Tile)
                {
                    FloatProducts.FourByFour(query + ((long)q * Dimensions), rows + ((long)row * Dimensions), Dimensions, products);
                    for (int i = 0; i < products.Length; i++)
                    {
                        Offer(best[q + (i / Tile)], row + (i % Tile), products[i] * inverseLengths[q + (i / Tile)]);
                    }
                }

                for (; row < end; row++)
                {
                    for (int i = 0; i < Tile; i++)
                    {
                        Offer(best[q + i], row, FloatProducts.One(query + ((long)(q + i) * Dimensions), rows + ((long)row * Dimensions), Dimensions) * inverseLengths[q + i]);
                    }
                }
            }

            for (; q < queries.Count; q++)
            {
                int row = first;
                for (; row <= end - Tile; row += Tile)
                {
                    FloatProducts.OneByFour(query + ((long)q * Dimensions), rows + ((long)row * Dimensions), Dimensions, products);
                    for (int i = 0; i < Tile; i++)
                    {
                        Offer(best[q], row + i, products[i] * inverseLengths[q]);
                    }
                }

                for (; row < end; row++)
                {
                    Offer(best[q], row, FloatProducts.One(query + ((long)q * Dimensions), rows + ((long)row * Dimensions), Dimensions) * inverseLengths[q]);
                }
            }
        }
    }

    private void Offer(TopHits best, int row, float product)
    {
        float score = product * _inverseLengths[row];
        if (score > best.Floor) // rows ascend: a later one with an equal score is not better
        {
            best.Offer(row, score);
        }
    }

    private unsafe SearchHit[] Rescored(ReadOnlySpan<float> query, float inverseLength, TopHits candidates, int k)
    {
        TopHits best = new(k);
        fixed (float* q = query, rows = _vectors.Values)
        {
            foreach (SearchHit candidate in candidates.Kept)
            {
                best.Offer(candidate.Row, FloatProducts.One(q, rows + ((long)candidate.Row * Dimensions), Dimensions) * inverseLength * _inverseLengths[candidate.Row]);
            }
        }

        return best.Sorted();
    }
}
