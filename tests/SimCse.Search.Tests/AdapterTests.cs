using Npgsql;
using SimCse.Search.PostgreSql;
using SimCse.Search.Sqlite;
using SimCse.Tests.Search;
using static SimCse.Tests.Search.IndexVectors;

namespace SimCse.Search.Tests;

/// <summary>Every index does what <see cref="ISentenceIndex"/> says, on the real engines.</summary>
public sealed class AdapterTests
{
    private const int Dimensions = 16, Count = 300;
    private static readonly EmbeddingMatrix s_vectors = Random(Count, Dimensions, seed: 1), s_queries = Random(8, Dimensions, seed: 2);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_index_in_files_of_its_own_keeps_the_contract()
    {
        await using SentenceIndex index = SentenceIndex.Create(RepositoryPaths.NewTemporaryDirectory(), new SentenceIndexOptions(Dimensions));
        await CheckAsync(index);
    }

    [Fact]
    public async Task An_index_in_SQLite_keeps_the_contract()
    {
        string extension = Engines.SqliteVec(), path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "index.db");
        await using (SqliteSentenceIndex index = await SqliteSentenceIndex.OpenAsync(path, Dimensions, extension, cancellationToken: Cancellation))
        {
            await CheckAsync(index);
        }

        await using SqliteSentenceIndex again = await SqliteSentenceIndex.OpenAsync(path, Dimensions, extension, cancellationToken: Cancellation);
        Assert.Equal(Count - 2, await again.CountAsync(Cancellation));
        await Assert.ThrowsAsync<ArgumentException>(() => SqliteSentenceIndex.OpenAsync(path, Dimensions, extension, "x; DROP TABLE y", Cancellation));
    }

    [Fact]
    public async Task An_index_in_PostgreSQL_keeps_the_contract()
    {
        await using PostgresProcess postgres = await Engines.StartPostgresAsync();
        await using NpgsqlDataSource source = NpgsqlDataSource.Create(postgres.ConnectionString);
        await using PostgreSqlSentenceIndex index = await PostgreSqlSentenceIndex.OpenAsync(source, Dimensions, cancellationToken: Cancellation);
        await CheckAsync(index);

        // The same again over a graph, which was there before the entries.
        await using PostgreSqlSentenceIndex graph = await PostgreSqlSentenceIndex.OpenAsync(source, Dimensions, "with_graph", Cancellation);
        await graph.BuildGraphAsync(cancellationToken: Cancellation);
        await CheckAsync(graph);
    }

    private static async Task CheckAsync(ISentenceIndex index)
    {
        Assert.Equal(Dimensions, index.Dimensions);
        Assert.Equal(0, await index.CountAsync(Cancellation));
        await index.AddAsync(Entries(0, 200), Rows(0, 200), Cancellation);
        await index.AddAsync(Entries(200, 100), Rows(200, 100), Cancellation);
        Assert.Equal(Count, await index.CountAsync(Cancellation));
        await SearchesAsync(index, filter: null, _ => true);

        foreach ((string filter, Func<int, bool> accepts) in new (string, Func<int, bool>)[]
        {
            ("third=1", row => row % 3 == 1),
            ("third!=1", row => row % 3 != 1),
            ("row>=150", row => row >= 150),
            ("row<20", row => row < 20),
            ("row=7", row => row == 7),
            ("even=true", row => row % 2 == 0),
            ("quote=it's \"so\"", _ => true),
            ("absent=1", _ => false),
            ("absent!=1", _ => true),
            ("third>1", _ => false), // texts, not numbers
        })
        {
            await SearchesAsync(index, IndexFilter.Parse(filter), accepts);
        }

        await SearchesAsync(index, new IndexFilter.All([IndexFilter.Parse("row>10"), new IndexFilter.Any([IndexFilter.Parse("third=0"), IndexFilter.Parse("row<=12")])]), row => row > 10 && (row % 3 == 0 || row <= 12));

        Assert.Equal(2, await index.DeleteAsync([Id(0), Id(1), "absent"], Cancellation));
        Assert.Equal(Count - 2, await index.CountAsync(Cancellation));
        await SearchesAsync(index, filter: null, row => row > 1);

        IndexEntry replaced = new(Id(2), "größer\n\"new\"");
        await index.AddAsync([replaced], Rows(0, 1), Cancellation);
        Assert.Equal(Count - 2, await index.CountAsync(Cancellation));
        IndexHit hit = (await index.SearchAsync(Rows(0, 1), new IndexSearchOptions(1), Cancellation))[0][0];
        Assert.Equal((Id(2), "größer\n\"new\"", 0), (hit.Entry.Id, hit.Entry.Text, hit.Entry.Metadata.Count));
        Assert.Equal(1, hit.Score, 1e-5);

        await Assert.ThrowsAsync<ArgumentException>(async () => await index.AddAsync(Entries(0, 2), Rows(0, 1), Cancellation));
        await Assert.ThrowsAsync<InvalidDataException>(async () => await index.AddAsync(Entries(0, 1), new EmbeddingMatrix([float.NaN, .. new float[Dimensions - 1]], 1, Dimensions), Cancellation));
        await Assert.ThrowsAsync<ArgumentException>(async () => await index.SearchAsync(new EmbeddingMatrix(new float[3], 1, 3), new IndexSearchOptions(1), Cancellation));
    }

    /// <summary>The five nearest of the accepted rows, by a double loop.</summary>
    private static async Task SearchesAsync(ISentenceIndex index, IndexFilter? filter, Func<int, bool> accepts)
    {
        IReadOnlyList<IndexHit>[] found = await index.SearchAsync(s_queries, new IndexSearchOptions(5) { Filter = filter }, Cancellation);
        for (int q = 0; q < s_queries.Count; q++)
        {
            int query = q;
            (int Row, double Score)[] expected = [.. Enumerable.Range(0, Count).Where(accepts).Select(row => (row, Cosine(s_queries[query], s_vectors[row]))).OrderByDescending(pair => pair.Item2).Take(5)];
            Assert.Equal(expected.Select(pair => Id(pair.Row)), found[q].Select(hit => hit.Entry.Id));
            Assert.All(expected.Zip(found[q]), pair => Assert.Equal(pair.First.Score, pair.Second.Score, 1e-5));
            Assert.All(found[q], hit => Assert.Equal(4, hit.Entry.Metadata.Count));
        }
    }

    private static string Id(int row) => $"id {row}";

    private static IndexEntry[] Entries(int first, int count) => [.. Enumerable.Range(first, count).Select(row => new IndexEntry(Id(row), $"text {row}")
    {
        Metadata = new Dictionary<string, MetadataValue> { ["row"] = row, ["third"] = $"{row % 3}", ["even"] = row % 2 == 0, ["quote"] = "it's \"so\"" },
    })];

    private static EmbeddingMatrix Rows(int first, int count) => IndexVectors.Rows(s_vectors, first, count);
}
