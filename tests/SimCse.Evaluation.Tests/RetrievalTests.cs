using SimCse.Evaluation;

namespace SimCse.Tests;

public class RetrievalTests
{
    [Fact]
    public void Recall_and_reciprocal_rank_follow_the_rank_of_the_relevant_text()
    {
        // Texts at 0°, 10°, 20°, …, 190°. Queries at 0°: relevant texts at rank 1, 2, 4, 10, 11.
        float[] corpus = [.. Enumerable.Range(0, 20).SelectMany(i => new[] { MathF.Cos(i * MathF.PI / 18), MathF.Sin(i * MathF.PI / 18) })];
        float[] queries = [.. Enumerable.Range(0, 5).SelectMany(_ => new[] { 3f, -0.1f })];
        RetrievalTask task = new(["a", "b", "c", "d", "e"], [.. Enumerable.Range(0, 20).Select(i => $"{i}")], [0, 1, 3, 9, 10]);

        RetrievalResult result = task.Score(new EmbeddingMatrix(queries, 5, 2), new EmbeddingMatrix(corpus, 20, 2));

        Assert.Equal(0.2, result.RecallAt1, 1e-12);
        Assert.Equal(0.8, result.RecallAt10, 1e-12);
        Assert.Equal((1 + 0.5 + 0.25 + 0.1) / 5, result.MeanReciprocalRankAt10, 1e-12);
        Assert.Equal((5, 20), (result.Queries, result.Corpus));
    }

    [Fact]
    public void Ties_rank_in_the_order_of_the_corpus_whatever_the_block_they_fall_in()
    {
        // 600 equal texts: text i has rank i + 1.
        EmbeddingMatrix corpus = new([.. Enumerable.Range(0, 600 * 11).Select(i => 0.1f + (i % 11 * 0.3f))], 600, 11);
        RetrievalTask task = new(["q", "r", "s"], [.. Enumerable.Repeat("t", 600)], [0, 9, 599]);
        RetrievalResult result = task.Score(new EmbeddingMatrix([.. Enumerable.Range(0, 33).Select(i => (float)i)], 3, 11), corpus);
        Assert.Equal(1.0 / 3, result.RecallAt1, 1e-12);
        Assert.Equal(2.0 / 3, result.RecallAt10, 1e-12);
        Assert.Equal(1.1 / 3, result.MeanReciprocalRankAt10, 1e-12);
    }

    [Fact]
    public void Many_queries_rank_as_the_plain_double_loop_ranks_them()
    {
        Random random = new(11);
        const int queries = 150, texts = 700, dimensions = 21;
        EmbeddingMatrix q = Matrix(queries), c = Matrix(texts);
        int[] relevant = [.. Enumerable.Range(0, queries).Select(i => Enumerable.Range(0, texts).OrderByDescending(t => Cosine.Of(q[i], c[t])).ElementAt(i % 14))];
        RetrievalTask task = new([.. Enumerable.Repeat("q", queries)], [.. Enumerable.Repeat("t", texts)], relevant);

        RetrievalResult result = task.Score(q, c);

        int[] ranks = [.. Enumerable.Range(0, queries).Select(i => (i % 14) + 1)];
        Assert.Equal(ranks.Count(r => r == 1) / (double)queries, result.RecallAt1, 1e-12);
        Assert.Equal(ranks.Count(r => r <= 10) / (double)queries, result.RecallAt10, 1e-12);
        Assert.Equal(ranks.Where(r => r <= 10).Sum(r => 1.0 / r) / queries, result.MeanReciprocalRankAt10, 1e-12);

        EmbeddingMatrix Matrix(int count) => new([.. Enumerable.Range(0, count * dimensions).Select(_ => (float)(random.NextDouble() - 0.5))], count, dimensions);
    }

    [Fact]
    public void A_task_that_does_not_fit_is_refused()
    {
        Assert.Throws<ArgumentException>(() => new RetrievalTask([], ["t"], []));
        Assert.Throws<ArgumentException>(() => new RetrievalTask(["q"], ["t"], [1]));
        Assert.Throws<ArgumentException>(() => new RetrievalTask(["q"], ["t"], [0, 0]));
        Assert.Throws<ArgumentException>(() => new RetrievalTask(["q"], ["t"], [0]).Score(new EmbeddingMatrix([1], 1, 1), new EmbeddingMatrix([1, 2], 2, 1)));
    }
}
