using SimCse.Search;
using static SimCse.Tests.Search.IndexVectors;

namespace SimCse.Tests.Search;

public sealed class ExactIndexTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(7, 3, 10)]
    [InlineData(500, 33, 10)]
    [InlineData(20_000, 48, 100)] // many blocks, several threads
    [InlineData(3, 60_000, 2)] // one row is more than a block
    public void Hits_equal_a_double_loop_in_double_precision(int count, int dimensions, int k)
    {
        EmbeddingMatrix vectors = Random(count, dimensions, seed: 1);
        EmbeddingMatrix queries = Random(5, dimensions, seed: 2);

        IReadOnlyList<SearchHit>[] found = new ExactIndex(vectors).Search(queries, k, Cancellation);

        Assert.Equal(5, found.Length);
        for (int q = 0; q < found.Length; q++)
        {
            double[] cosines = [.. Enumerable.Range(0, count).Select(row => Cosine(queries[q], vectors[row]))];
            double[] best = [.. cosines.OrderDescending().Take(k)];
            Assert.Equal(Math.Min(k, count), found[q].Count);
            Assert.Equal(found[q].Count, found[q].DistinctBy(hit => hit.Row).Count());
            for (int i = 0; i < found[q].Count; i++)
            {
                Assert.Equal(best[i], found[q][i].Score, 1e-5);
                Assert.Equal(cosines[found[q][i].Row], found[q][i].Score, 1e-5);
            }
        }
    }

    [Fact]
    public void One_query_and_the_same_among_many_find_the_same()
    {
        EmbeddingMatrix vectors = Random(30_000, 64, seed: 3);
        EmbeddingMatrix queries = Random(9, 64, seed: 4);
        ExactIndex index = new(vectors);

        IReadOnlyList<SearchHit>[] together = index.Search(queries, 20, Cancellation);

        for (int q = 0; q < queries.Count; q++)
        {
            Assert.Equal(together[q], index.Search(queries[q], 20, Cancellation));
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(50_000)]
    public void Of_equal_scores_the_lower_row_comes_first(int k)
    {
        float[] values = new float[50_000 * 96];
        for (int row = 0; row < 50_000; row++)
        {
            values[(row * 96) + (row % 2)] = 1; // even rows point along the first axis, odd rows along the second
        }

        float[] query = new float[96];
        query[0] = 2;
        IReadOnlyList<SearchHit> hits = new ExactIndex(new EmbeddingMatrix(values, 50_000, 96)).Search(query, k, Cancellation);

        Assert.Equal(Enumerable.Range(0, 25_000).Select(i => new SearchHit(2 * i, 1)).Concat(Enumerable.Range(0, 25_000).Select(i => new SearchHit((2 * i) + 1, 0))).Take(k), hits);
    }

    [Fact]
    public void Length_does_not_matter_and_a_vector_without_length_scores_zero()
    {
        ExactIndex index = new(new EmbeddingMatrix([0.5f, 0, 0, 0, -MathF.ScaleB(1, -60), 0, MathF.ScaleB(1, 60), 0], 4, 2));

        Assert.Equal([new(0, 1), new(3, 1), new(1, 0), new(2, -1)], index.Search([2f, 0f], 4, Cancellation));
        Assert.Equal([0, 1, 2, 3], index.Search([0f, 0f], 4, Cancellation).Select(hit => hit.Row));
    }

    [Theory]
    [InlineData(VectorPrecision.Int8, 0.99)]
    [InlineData(VectorPrecision.Bit, 0.95)]
    public void Codes_find_nearly_all_that_a_double_loop_finds_and_score_them_in_float32(VectorPrecision precision, double least)
    {
        EmbeddingMatrix vectors = Clustered(20_000, 200, seed: 5), queries = Clustered(20, 200, seed: 6);
        IReadOnlyList<SearchHit>[] found = new ExactIndex(vectors, precision).Search(queries, 10, Cancellation);

        int right = 0;
        for (int q = 0; q < found.Length; q++)
        {
            Assert.Equal(10, found[q].Count);
            Assert.All(found[q], hit => Assert.Equal(Cosine(queries[q], vectors[hit.Row]), hit.Score, 1e-5));
            Assert.Equal(found[q].OrderByDescending(hit => hit.Score), found[q]);
            double tenth = Enumerable.Range(0, vectors.Count).Select(row => Cosine(queries[q], vectors[row])).OrderDescending().ElementAt(9);
            right += found[q].Count(hit => hit.Score >= tenth - 1e-6);
        }

        Assert.InRange(right / 200.0, least, 1);
    }

    [Theory]
    [InlineData(VectorPrecision.Int8)]
    [InlineData(VectorPrecision.Bit)]
    public void Codes_find_the_same_for_one_query_and_for_the_same_among_many(VectorPrecision precision)
    {
        EmbeddingMatrix vectors = Clustered(5003, 70, seed: 3), queries = Clustered(7, 70, seed: 4);
        ExactIndex index = new(vectors, precision, oversampling: 3);
        IReadOnlyList<SearchHit>[] together = index.Search(queries, 5, Cancellation);
        for (int q = 0; q < queries.Count; q++)
        {
            Assert.Equal(together[q], index.Search(queries[q], 5, Cancellation));
        }
    }

    [Fact]
    public void An_empty_matrix_gives_no_hits_and_no_queries_give_no_lists()
    {
        Assert.Empty(new ExactIndex(new EmbeddingMatrix([], 0, 4)).Search(new float[4], 3, Cancellation));
        Assert.Empty(new ExactIndex(Random(3, 4, seed: 1)).Search(new EmbeddingMatrix([], 0, 4), 3, Cancellation));
    }

    [Fact]
    public void What_cannot_be_searched_is_refused()
    {
        ExactIndex index = new(Random(3, 4, seed: 1));
        Assert.Throws<ArgumentException>(() => index.Search(new float[3], 1, Cancellation));
        Assert.Throws<ArgumentException>(() => index.Search(Random(2, 5, seed: 1), 1, Cancellation));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Search(new float[4], 0, Cancellation));
        Assert.Throws<InvalidDataException>(() => index.Search([float.NaN, 0, 0, 0], 1, Cancellation));
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => new ExactIndex(new EmbeddingMatrix([1, 2, 3, float.PositiveInfinity], 2, 2)));
        Assert.Contains("row 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Cancelling_stops_the_search()
    {
        ExactIndex index = new(Random(1000, 16, seed: 1));
        Assert.ThrowsAny<OperationCanceledException>(() => index.Search(new float[16], 1, new CancellationToken(canceled: true)));
    }
}
