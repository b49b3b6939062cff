using SimCse.Search;
using static SimCse.Tests.Search.IndexVectors;

namespace SimCse.Tests.Search;

public sealed class MiningTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void Paraphrases_are_the_pairs_that_a_double_loop_finds()
    {
        EmbeddingMatrix vectors = Clustered(1500, 24, seed: 1); // more than one batch of queries
        (int First, int Second, double Score)[] all =
        [
            .. Enumerable.Range(0, 1500).SelectMany(a => Enumerable.Range(a + 1, 1499 - a).Select(b => (a, b, Cosine(vectors[a], vectors[b])))).OrderByDescending(pair => pair.Item3).Take(400),
        ];

        IReadOnlyList<SimilarPair> found = ParaphraseMining.Find(vectors, neighbours: 100, mostPairs: 400, cancellationToken: Cancellation);
        Assert.Equal(400, found.Count);
        Assert.All(found, pair => Assert.True(pair.First < pair.Second));
        Assert.Equal(400, found.DistinctBy(pair => (pair.First, pair.Second)).Count());
        Assert.All(all.Zip(found), pair => Assert.Equal(pair.First.Score, pair.Second.Score, 1e-5));
        Assert.InRange(found.Count(pair => all.Any(right => right.First == pair.First && right.Second == pair.Second)), 396, 400);

        IReadOnlyList<SimilarPair> above = ParaphraseMining.Find(vectors, leastScore: (float)all[9].Score - 1e-6f, cancellationToken: Cancellation);
        Assert.Equal(10, above.Count);
    }

    [Theory]
    [InlineData(0.75f, 2)]
    [InlineData(0.6f, 5)]
    [InlineData(0.5f, 10)]
    public void Communities_are_those_of_the_reference_algorithm_written_out(float threshold, int leastMembers)
    {
        EmbeddingMatrix vectors = Clustered(900, 24, seed: 2);

        // sentence-transformers, util.community_detection, line by line over the whole matrix.
        List<int[]> extracted = [];
        for (int row = 0; row < vectors.Count; row++)
        {
            int[] near = [.. Enumerable.Range(0, vectors.Count).Select(other => (other, Score: Cosine(vectors[row], vectors[other]))).Where(pair => pair.Score >= threshold).OrderByDescending(pair => pair.Score).ThenBy(pair => pair.other).Select(pair => pair.other)];
            if (near.Length >= leastMembers)
            {
                extracted.Add(near);
            }
        }

        List<int[]> expected = [];
        HashSet<int> taken = [];
        foreach (int[] community in extracted.OrderByDescending(members => members.Length))
        {
            int[] left = [.. community.Where(row => !taken.Contains(row))];
            if (left.Length >= leastMembers)
            {
                expected.Add(left);
                taken.UnionWith(left);
            }
        }

        IReadOnlyList<IReadOnlyList<int>> found = CommunityDetection.Find(vectors, threshold, leastMembers, cancellationToken: Cancellation);
        Assert.NotEmpty(found);
        Assert.Equal(expected.OrderByDescending(members => members.Length).Select(members => members.Order()), found.Select(members => members.Order()));
    }

    [Fact]
    public void Duplicates_are_texts_equal_but_for_case_and_space_and_vectors_nearer_than_the_threshold()
    {
        string[] texts = ["A man plays.", "other", "a  man plays. ", "near to the second", "alone"];
        float[] values = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0.1f, -1, -1, -1];
        Assert.Equal([[0, 2], [1, 3]], DuplicateDetection.Find(texts, new EmbeddingMatrix(values, 5, 3), 0.99f, cancellationToken: Cancellation));
        Assert.Throws<ArgumentException>(() => DuplicateDetection.Find(texts, new EmbeddingMatrix(values[..3], 1, 3), cancellationToken: Cancellation));
    }

    [Fact]
    public void Hard_negatives_are_the_nearest_that_ranks_scores_and_margins_leave()
    {
        // On the unit circle: cosines with the anchor at 0° are those of the angles.
        string[] corpus = ["pos", "anchor", "at 10", "at 20", "at 30", "at 40", "at 50", "pos 2"];
        double[] angles = [25, 0, 10, 20, 30, 40, 50, 5];
        EmbeddingMatrix Circle(params double[] degrees) => new([.. degrees.SelectMany(d => new[] { (float)Math.Cos(d * Math.PI / 180), (float)Math.Sin(d * Math.PI / 180) })], degrees.Length, 2);
        string[] Mine(HardNegativeOptions options) =>
        [
            .. HardNegativeMining.Find(["anchor", "anchor"], ["pos", "pos 2"], corpus, Circle(0, 0), Circle(25, 5), Circle(angles), options, cancellationToken: Cancellation)
                .Where(triplet => triplet.Pair == 0).Select(triplet => corpus[triplet.Negative]),
        ];

        Assert.Equal(["at 10"], Mine(new HardNegativeOptions())); // neither the anchor nor a positive of it
        Assert.Equal(["at 10", "at 20", "at 30"], Mine(new HardNegativeOptions { Negatives = 3 }));
        Assert.Equal(["at 20", "at 30"], Mine(new HardNegativeOptions { Negatives = 3, RangeMin = 1, RangeMax = 3 }));
        Assert.Equal(["at 30", "at 40"], Mine(new HardNegativeOptions { Negatives = 2, MaxScore = 0.9f })); // cos 25.8° = 0.9
        Assert.Equal(["at 10", "at 20"], Mine(new HardNegativeOptions { Negatives = 5, MinScore = 0.9f }));
        Assert.Equal(["at 40"], Mine(new HardNegativeOptions { AbsoluteMargin = 0.1f })); // cos 25° − 0.1 = cos 36.3°
        Assert.Equal(["at 40"], Mine(new HardNegativeOptions { RelativeMargin = 0.1f })); // 0.9 cos 25° = cos 35.3°
        string[] drawn = Mine(new HardNegativeOptions { Negatives = 2, Random = true, Seed = 3 });
        Assert.Equal(drawn, Mine(new HardNegativeOptions { Negatives = 2, Random = true, Seed = 3 }));
        Assert.Equal(2, drawn.Intersect(["at 10", "at 20", "at 30", "at 40", "at 50"]).Count());
        Assert.Throws<ArgumentOutOfRangeException>(() => Mine(new HardNegativeOptions { RangeMin = 3, RangeMax = 3 }));
    }
}
