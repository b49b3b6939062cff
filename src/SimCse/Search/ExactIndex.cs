using System.Numerics.Tensors;

namespace SimCse.Search;

/// <summary>
/// Exact search by cosine: every query is compared with every vector. Keeps the matrix as it is (no copy) and one number a row. May be
/// searched from several threads at once.
/// </summary>
/// <remarks>
/// score(q, x) = q·x / (‖q‖ ‖x‖) in float32; 0 where either has no length. Hits come best first, and of equal scores the lower row first, whatever the
/// number of threads or of queries in a call.
/// </remarks>
public sealed class ExactIndex
{
    // 128 rows of 384 components are 192 KiB: they stay in the second cache while each query of a call passes over them.
    private const int BlockValues = 128 * 384;

    // Below this number of products a second thread costs more than it brings.
    private const long ParallelFrom = 1L << 22;

    private readonly EmbeddingMatrix _vectors;
    private readonly float[] _inverseLengths;

    /// <summary>Makes the rows of <paramref name="vectors"/> searchable.</summary>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public ExactIndex(EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        _vectors = vectors;
        _inverseLengths = InverseLengths(vectors, "row");
    }

    /// <summary>The number of vectors.</summary>
    public int Count => _vectors.Count;

    /// <summary>H, the number of components of a vector.</summary>
    public int Dimensions => _vectors.Dimensions;

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
        float[] inverseLengths = InverseLengths(queries, "query");
        int blockRows = Math.Max(1, BlockValues / Dimensions);
        int blocks = (int)(((long)Count + blockRows - 1) / blockRows);
        bool parallel = (long)Count * Dimensions * queries.Count >= ParallelFrom;
        int workers = parallel ? Math.Min(Environment.ProcessorCount, Math.Max(1, blocks)) : 1;

        // Each worker keeps the best of its own stretch of rows; the best of those are the best of all.
        BestHits[][] best = new BestHits[workers][];
        Parallel.For(0, workers, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = workers }, worker =>
        {
            BestHits[] mine = best[worker] = [.. Enumerable.Range(0, queries.Count).Select(_ => new BestHits(k))];
            int firstBlock = (int)((long)blocks * worker / workers);
            int endBlock = (int)((long)blocks * (worker + 1) / workers);
            for (int block = firstBlock; block < endBlock; block++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int first = block * blockRows;
                int end = (int)Math.Min(Count, (long)first + blockRows);
                for (int q = 0; q < queries.Count; q++)
                {
                    ReadOnlySpan<float> query = queries[q];
                    for (int row = first; row < end; row++)
                    {
                        mine[q].Offer(row, TensorPrimitives.Dot(query, _vectors[row]) * inverseLengths[q] * _inverseLengths[row]);
                    }
                }
            }
        });

        IReadOnlyList<SearchHit>[] found = new IReadOnlyList<SearchHit>[queries.Count];
        for (int q = 0; q < found.Length; q++)
        {
            found[q] = [.. best.SelectMany(worker => worker[q].Hits).OrderByDescending(hit => hit.Score).ThenBy(hit => hit.Row).Take(k)];
        }

        return found;
    }

    private static float[] InverseLengths(EmbeddingMatrix vectors, string what)
    {
        float[] inverse = new float[vectors.Count];
        for (int row = 0; row < inverse.Length; row++)
        {
            float length = TensorPrimitives.Norm(vectors[row]);
            if (!float.IsFinite(length))
            {
                throw new InvalidDataException($"{what} {row} has a component or a length that is not finite");
            }

            inverse[row] = length > 0 ? 1 / length : 0;
        }

        return inverse;
    }

    /// <summary>The k best of the hits offered in the order of their rows: a heap with the worst of them on top.</summary>
    private sealed class BestHits(int k)
    {
        // A later row with the score of the worst kept one is not better; of two with the worst score the higher row goes first.
        private readonly PriorityQueue<SearchHit, (float Score, int MinusRow)> _heap = new(k);
        private float _worst = float.NegativeInfinity;

        public IEnumerable<SearchHit> Hits => _heap.UnorderedItems.Select(item => item.Element);

        public void Offer(int row, float score)
        {
            if (_heap.Count < k)
            {
                _heap.Enqueue(new SearchHit(row, score), (score, -row));
            }
            else if (score > _worst)
            {
                _heap.DequeueEnqueue(new SearchHit(row, score), (score, -row));
            }
            else
            {
                return;
            }

            if (_heap.Count == k)
            {
                _worst = _heap.Peek().Score;
            }
        }
    }
}
