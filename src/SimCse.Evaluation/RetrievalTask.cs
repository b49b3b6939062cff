namespace SimCse.Evaluation;

/// <summary>What a model retrieves, as fractions from 0 to 1.</summary>
/// <param name="RecallAt1">The part of the queries whose relevant text comes first.</param>
/// <param name="RecallAt10">The part whose relevant text is among the first ten.</param>
/// <param name="MeanReciprocalRankAt10">The mean of 1/rank of the relevant text, 0 where it is not among the first ten.</param>
/// <param name="Queries">The number of queries.</param>
/// <param name="Corpus">The number of texts searched.</param>
public sealed record RetrievalResult(double RecallAt1, double RecallAt10, double MeanReciprocalRankAt10, int Queries, int Corpus);

/// <summary>Queries, the texts to search, and the one relevant text of each query; texts are ranked by cosine.</summary>
public sealed class RetrievalTask
{
    private const int Depth = 10;
    private readonly string[] _queries;
    private readonly string[] _corpus;
    private readonly int[] _relevant;

    /// <param name="queries">At least one.</param>
    /// <param name="corpus">The texts to search.</param>
    /// <param name="relevant">For each query the place of its relevant text in <paramref name="corpus"/>.</param>
    /// <exception cref="ArgumentException">No query, not one relevant text a query, or one outside the corpus.</exception>
    public RetrievalTask(IReadOnlyList<string> queries, IReadOnlyList<string> corpus, IReadOnlyList<int> relevant)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(corpus);
        ArgumentNullException.ThrowIfNull(relevant);
        if (queries.Count == 0 || queries.Count != relevant.Count)
        {
            throw new ArgumentException($"{queries.Count} queries with {relevant.Count} relevant texts; expected at least one query, and as many relevant texts", nameof(relevant));
        }

        if (relevant.Any(r => r < 0 || r >= corpus.Count))
        {
            throw new ArgumentException($"a relevant text lies outside the corpus of {corpus.Count}", nameof(relevant));
        }

        _queries = [.. queries];
        _corpus = [.. corpus];
        _relevant = [.. relevant];
    }

    /// <summary>The queries, in order.</summary>
    public IReadOnlyList<string> Queries => _queries;

    /// <summary>The texts that are searched, in order.</summary>
    public IReadOnlyList<string> Corpus => _corpus;

    /// <summary>Encodes queries and corpus and ranks.</summary>
    public RetrievalResult Evaluate(ISentenceEncoder encoder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return Score(encoder.Encode(_queries, cancellationToken), encoder.Encode(_corpus, cancellationToken));
    }

    /// <summary>Ranks with vectors that were made before. Texts whose cosines tie are ranked in the order of the corpus.</summary>
    /// <param name="queries">A row a query.</param>
    /// <param name="corpus">A row a text.</param>
    /// <exception cref="ArgumentException">The numbers of rows or components do not fit.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public RetrievalResult Score(EmbeddingMatrix queries, EmbeddingMatrix corpus)
    {
        ArgumentNullException.ThrowIfNull(queries);
        ArgumentNullException.ThrowIfNull(corpus);
        if (queries.Count != _queries.Length || corpus.Count != _corpus.Length || queries.Dimensions != corpus.Dimensions)
        {
            throw new ArgumentException($"expected {_queries.Length} and {_corpus.Length} vectors of equal length, not {queries.Count} × {queries.Dimensions} and {corpus.Count} × {corpus.Dimensions}");
        }

        UnitVectors unitQueries = new(queries);
        UnitVectors unitCorpus = new(corpus);
        int[] ranks = new int[queries.Count];

        // Blocks of queries against blocks of the corpus: a block of the corpus is read from memory once for many queries.
        const int QueryBlock = 64;
        const int CorpusBlock = 256;
        Parallel.For(0, (queries.Count + QueryBlock - 1) / QueryBlock, block =>
        {
            Span<float> cosines = stackalloc float[CorpusBlock];
            int from = block * QueryBlock;
            int to = Math.Min(queries.Count, from + QueryBlock);
            Span<float> relevant = stackalloc float[QueryBlock];
            for (int query = from; query < to; query++)
            {
                unitCorpus.Dot(unitQueries[query], _relevant[query], relevant.Slice(query - from, 1));
                ranks[query] = 1;
            }

            for (int first = 0; first < corpus.Count; first += CorpusBlock)
            {
                Span<float> part = cosines[..Math.Min(CorpusBlock, corpus.Count - first)];
                for (int query = from; query < to; query++)
                {
                    unitCorpus.Dot(unitQueries[query], first, part);
                    float own = relevant[query - from];
                    for (int i = 0; i < part.Length; i++)
                    {
                        if (part[i] > own || (part[i] == own && first + i < _relevant[query]))
                        {
                            ranks[query]++;
                        }
                    }
                }
            }
        });

        return new RetrievalResult(
            ranks.Count(r => r == 1) / (double)ranks.Length,
            ranks.Count(r => r <= Depth) / (double)ranks.Length,
            ranks.Sum(r => r <= Depth ? 1.0 / r : 0) / ranks.Length,
            queries.Count,
            corpus.Count);
    }
}
