using CsCheck;
using SimCse.Search;
using static SimCse.Tests.Search.IndexVectors;

namespace SimCse.Tests.Search;

public sealed class SentenceIndexTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void The_graph_finds_95_of_100_true_neighbours_and_scores_them(bool keepFloats)
    {
        EmbeddingMatrix vectors = Clustered(6000, 96, seed: 1), queries = Clustered(50, 96, seed: 2);
        using SentenceIndex index = Build(vectors, keepFloats: keepFloats);
        Assert.InRange(index.GraphCount, 5800, 6000);

        IReadOnlyList<IndexHit>[] found = index.Search(queries, new IndexSearchOptions(10), Cancellation);
        int right = 0;
        for (int q = 0; q < queries.Count; q++)
        {
            double tenth = Enumerable.Range(0, vectors.Count).Select(row => Cosine(queries[q], vectors[row])).OrderDescending().ElementAt(9);
            foreach (IndexHit hit in found[q])
            {
                double cosine = Cosine(queries[q], vectors[Row(hit)]);
                Assert.Equal(cosine, hit.Score, keepFloats ? 1e-5 : 5e-3);
                right += cosine >= tenth - 1e-6 ? 1 : 0;
            }

            Assert.Equal(found[q].OrderByDescending(hit => hit.Score), found[q]);
        }

        Assert.InRange(right / 500.0, 0.95, 1);
    }

    [Fact]
    public void The_graph_is_the_same_whatever_the_calls_that_added_its_rows()
    {
        EmbeddingMatrix vectors = Clustered(3000, 32, seed: 3);
        string[] directories = [RepositoryPaths.NewTemporaryDirectory(), RepositoryPaths.NewTemporaryDirectory()];
        foreach ((string directory, int atOnce) in directories.Zip([3000, 77]))
        {
            using SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(32));
            for (int first = 0; first < 3000; first += atOnce)
            {
                int count = Math.Min(atOnce, 3000 - first);
                index.Add(Entries(first, count), Rows(vectors, first, count), Cancellation);
            }
        }

        const int HeaderBytes = 64; // holds the identity, which is drawn for each index
        Assert.Equal(
            File.ReadAllBytes(Path.Combine(directories[0], "graph"))[HeaderBytes..],
            File.ReadAllBytes(Path.Combine(directories[1], "graph"))[HeaderBytes..]);
    }

    [Fact]
    public void Filters_find_what_a_double_loop_over_the_accepted_finds()
    {
        EmbeddingMatrix vectors = Clustered(8000, 64, seed: 4), queries = Clustered(20, 64, seed: 5);
        using SentenceIndex index = Build(vectors);
        foreach ((IndexFilter filter, Func<int, bool> accepts) in new (IndexFilter, Func<int, bool>)[]
        {
            (IndexFilter.Parse("third=1"), row => row % 3 == 1), // a walk over the graph
            (IndexFilter.Parse("row<200"), row => row < 200), // a scan of the few accepted
            (new IndexFilter.All([IndexFilter.Parse("row>=7000"), IndexFilter.Parse("even=true")]), row => row >= 7000 && row % 2 == 0),
            (new IndexFilter.Not(new IndexFilter.Any([IndexFilter.Parse("third=0"), IndexFilter.Parse("third=1")])), row => row % 3 == 2),
        })
        {
            IReadOnlyList<IndexHit>[] found = index.Search(queries, new IndexSearchOptions(10) { Filter = filter }, Cancellation);
            int right = 0;
            for (int q = 0; q < queries.Count; q++)
            {
                Assert.Equal(10, found[q].Count);
                Assert.All(found[q], hit => Assert.True(accepts(Row(hit)), $"{filter} does not accept {hit.Entry.Id}"));
                double tenth = Enumerable.Range(0, vectors.Count).Where(accepts).Select(row => Cosine(queries[q], vectors[row])).OrderDescending().ElementAt(9);
                right += found[q].Count(hit => hit.Score >= tenth - 1e-5);
            }

            Assert.InRange(right / 200.0, 0.95, 1);
        }

        Assert.Empty(index.Search(queries[0], new IndexSearchOptions(3) { Filter = IndexFilter.Parse("absent=1") }, Cancellation));
    }

    [Fact]
    public void Deleted_and_replaced_entries_are_not_found_and_the_rest_still_is()
    {
        EmbeddingMatrix vectors = Clustered(6000, 48, seed: 6);
        string directory = RepositoryPaths.NewTemporaryDirectory();
        using (SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(48)))
        {
            index.Add(Entries(0, 6000), vectors, Cancellation);
            Assert.Equal(2000, index.Delete([.. Enumerable.Range(0, 6000).Where(row => row % 3 == 0).Select(Id), "absent"], Cancellation)); // beyond a tenth: the graph is repaired
            Assert.Equal(0, index.Delete([Id(0)], Cancellation));
            index.Add([new IndexEntry(Id(1), "new text")], Rows(vectors, 0, 1), Cancellation);
            Check(index);
        }

        using (SentenceIndex again = SentenceIndex.Open(directory, readOnly: true))
        {
            Check(again);
            Assert.Equal(2001, again.DeletedCount);
        }

        SentenceIndex.Compact(directory, cancellationToken: Cancellation);
        using SentenceIndex compact = SentenceIndex.Open(directory);
        Check(compact);
        Assert.Equal(0, compact.DeletedCount);

        void Check(SentenceIndex index)
        {
            Assert.Equal(4000, index.Count);
            Assert.Equal(4000, index.Entries().Count());
            Assert.Null(index.Find(Id(3)));
            Assert.Equal("text 2", index.Find(Id(2))!.Text);
            Assert.Equal("new text", index.Search(vectors[0], new IndexSearchOptions(1), Cancellation)[0].Entry.Text);
            int self = Enumerable.Range(0, 200).Select(i => (30 * i) + 2).Count(row => Row(index.Search(vectors[row], new IndexSearchOptions(1), Cancellation)[0]) == row);
            Assert.InRange(self, 198, 200);
        }
    }

    [Fact]
    public void Whatever_is_done_the_index_holds_what_a_dictionary_holds()
    {
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 40], Gen.Int[1, 12]).Array[1, 25].Sample(steps =>
        {
            string directory = RepositoryPaths.NewTemporaryDirectory();
            SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(8) { KeepFloats = steps.Length % 2 == 0 });
            Dictionary<string, string> expected = [];
            EmbeddingMatrix vectors = Random(60, 8, seed: 1);
            int version = 0;
            foreach ((int kind, int first, int count) in steps)
            {
                switch (kind)
                {
                    case 0:
                        version++;
                        index.Add([.. Enumerable.Range(first, count).Select(i => new IndexEntry(Id(i), $"{i} in version {version}"))], Rows(vectors, first, count), Cancellation);
                        foreach (int i in Enumerable.Range(first, count))
                        {
                            expected[Id(i)] = $"{i} in version {version}";
                        }

                        break;
                    case 1:
                        string[] ids = [.. Enumerable.Range(first, count).Select(Id)];
                        Assert.Equal(ids.Count(expected.Remove), index.Delete(ids, Cancellation));
                        break;
                    default:
                        index.Dispose();
                        index = SentenceIndex.Open(directory);
                        break;
                }
            }

            Assert.Equal(expected.OrderBy(e => e.Key, StringComparer.Ordinal), index.Entries().Select(e => KeyValuePair.Create(e.Id, e.Text)).OrderBy(e => e.Key, StringComparer.Ordinal));
            Assert.Equal(Math.Min(100, expected.Count), index.Search(vectors[0], new IndexSearchOptions(100), Cancellation).Count);
            index.Dispose();
            Directory.Delete(directory, recursive: true);
        }, iter: 60, threads: 1);
    }

    [Fact]
    public async Task Searches_beside_a_call_that_adds_find_whole_entries()
    {
        EmbeddingMatrix vectors = Clustered(4000, 32, seed: 8);
        using SentenceIndex index = SentenceIndex.Create(RepositoryPaths.NewTemporaryDirectory(), new SentenceIndexOptions(32));
        index.Add(Entries(0, 100), Rows(vectors, 0, 100), Cancellation);
        Task adding = Task.Run(() =>
        {
            for (int first = 100; first < 4000; first += 100)
            {
                index.Add(Entries(first, 100), Rows(vectors, first, 100), Cancellation);
            }
        }, Cancellation);
        for (int i = 0; !adding.IsCompleted; i++)
        {
            IndexHit hit = index.Search(vectors[i % 100], new IndexSearchOptions(1), Cancellation)[0];
            Assert.Equal($"text {Row(hit)}", hit.Entry.Text);
        }

        await adding;
        Assert.Equal(4000, index.Count);
    }

    [Fact]
    public void One_process_writes_at_a_time_and_readers_see_what_was_committed_when_they_opened()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        using SentenceIndex writer = SentenceIndex.Create(directory, new SentenceIndexOptions(8));
        writer.Add(Entries(0, 5), Random(5, 8, seed: 1), Cancellation);
        Assert.Contains("another process writes", Assert.ThrowsAny<IOException>(() => SentenceIndex.Open(directory)).Message, StringComparison.Ordinal);
        using SentenceIndex reader = SentenceIndex.Open(directory, readOnly: true);
        writer.Add(Entries(5, 5), Random(5, 8, seed: 2), Cancellation);
        Assert.Equal((5, 10), (reader.Count, writer.Count));
        Assert.Throws<InvalidOperationException>(() => reader.Delete([Id(0)], Cancellation));
    }

    [Fact]
    public void What_cannot_be_added_or_searched_is_refused()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceIndex.Create(directory, new SentenceIndexOptions(0)));
        Assert.Contains("no index", Assert.Throws<FileNotFoundException>(() => SentenceIndex.Open(directory)).Message, StringComparison.Ordinal);
        using SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(4));
        Assert.ThrowsAny<IOException>(() => SentenceIndex.Create(directory, new SentenceIndexOptions(4)));
        Assert.Throws<ArgumentException>(() => index.Add(Entries(0, 2), Random(1, 4, seed: 1), Cancellation));
        Assert.Throws<ArgumentException>(() => index.Add(Entries(0, 1), Random(1, 5, seed: 1), Cancellation));
        Assert.Throws<ArgumentException>(() => index.Add([new IndexEntry("a", "x"), new IndexEntry("a", "y")], Random(2, 4, seed: 1), Cancellation));
        Assert.Throws<ArgumentException>(() => index.Add([new IndexEntry("", "x")], Random(1, 4, seed: 1), Cancellation));
        Assert.Throws<InvalidDataException>(() => index.Add(Entries(0, 1), new EmbeddingMatrix([float.NaN, 0, 0, 0], 1, 4), Cancellation));
        Assert.Throws<ArgumentException>(() => index.Search(new float[3], cancellationToken: Cancellation));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Search(new float[4], new IndexSearchOptions(0), Cancellation));
        Assert.Throws<ArgumentOutOfRangeException>(() => index.Search(new float[4], new IndexSearchOptions(10) { Breadth = 9 }, Cancellation));
        Assert.ThrowsAny<OperationCanceledException>(() => index.Add(Entries(0, 1), Random(1, 4, seed: 1), new CancellationToken(canceled: true)));
        Assert.Equal(0, index.Count);
        Assert.Empty(index.Search(new float[4], cancellationToken: Cancellation));
    }

    private static SentenceIndex Build(EmbeddingMatrix vectors, bool keepFloats = true)
    {
        SentenceIndex index = SentenceIndex.Create(RepositoryPaths.NewTemporaryDirectory(), new SentenceIndexOptions(vectors.Dimensions) { KeepFloats = keepFloats });
        index.Add(Entries(0, vectors.Count), vectors, Cancellation);
        return index;
    }

    private static string Id(int row) => $"id {row}";

    private static int Row(IndexHit hit) => int.Parse(hit.Entry.Id.AsSpan("id ".Length), System.Globalization.CultureInfo.InvariantCulture);

    private static IndexEntry[] Entries(int first, int count) => [.. Enumerable.Range(first, count).Select(row => new IndexEntry(Id(row), $"text {row}")
    {
        Metadata = new Dictionary<string, MetadataValue> { ["row"] = row, ["third"] = $"{row % 3}", ["even"] = row % 2 == 0 },
    })];
}
