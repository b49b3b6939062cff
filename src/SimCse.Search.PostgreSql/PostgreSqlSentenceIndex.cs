using System.Globalization;
using System.Text;
using Npgsql;
using NpgsqlTypes;

namespace SimCse.Search.PostgreSql;

/// <summary>
/// Texts with their vectors in a table of a PostgreSQL database, searched by the pgvector extension (0.8 and later): for what does not fit on one machine, or must stand beside other data. Load first, then
/// <see cref="BuildGraphAsync"/>; without the graph a query is compared with every vector.
/// </summary>
/// <remarks>May be used by several callers at once; each call takes a connection of the data source.</remarks>
public sealed class PostgreSqlSentenceIndex : ISentenceIndex
{
    private const int RowsAtOnce = 1000;
    private const int MostBreadth = 1000; // of hnsw.ef_search

    private readonly NpgsqlDataSource _source;
    private readonly string _table;

    private PostgreSqlSentenceIndex(NpgsqlDataSource source, string table, int dimensions)
    {
        _source = source;
        _table = table;
        Dimensions = dimensions;
    }

    /// <inheritdoc/>
    public int Dimensions { get; }

    /// <summary>Makes the extension and the table (id, text, metadata, embedding) where they are not there.</summary>
    /// <param name="source">The database; the caller disposes it.</param>
    /// <param name="dimensions">H, at most 16,000; with a graph at most 2,000.</param>
    /// <param name="table">The name of the table.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <exception cref="ArgumentException">The table's name is not a word.</exception>
    /// <exception cref="PostgresException">The database refuses it.</exception>
    public static async Task<PostgreSqlSentenceIndex> OpenAsync(NpgsqlDataSource source, int dimensions, string table = "sentences", CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        TableName.Check(table);
        PostgreSqlSentenceIndex index = new(source, table, dimensions);
        await index.RunAsync("CREATE EXTENSION IF NOT EXISTS vector", cancellationToken);
        await index.RunAsync($"CREATE TABLE IF NOT EXISTS {table} (id text PRIMARY KEY, text text NOT NULL, metadata jsonb NOT NULL, embedding vector({dimensions}) NOT NULL)", cancellationToken);
        await index.RunAsync($"CREATE INDEX IF NOT EXISTS {table}_metadata ON {table} USING gin (metadata jsonb_path_ops)", cancellationToken);
        return index;
    }

    /// <summary>Builds pgvector's HNSW graph over the vectors, which then also takes up what is added. Faster after loading than before it.</summary>
    /// <param name="links">M: links that an entry makes on each level, 2 to 100.</param>
    /// <param name="constructionBreadth">efConstruction: candidates that an entry chooses its links from, at least 2 M, at most 1,000.</param>
    /// <param name="cancellationToken">Stops, and leaves no graph.</param>
    public Task BuildGraphAsync(int links = 16, int constructionBreadth = 64, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(links, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(constructionBreadth, 2 * links);
        return RunAsync(string.Create(CultureInfo.InvariantCulture,
            $"CREATE INDEX IF NOT EXISTS {_table}_graph ON {_table} USING hnsw (embedding vector_cosine_ops) WITH (m = {links}, ef_construction = {constructionBreadth})"), cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask<long> CountAsync(CancellationToken cancellationToken = default)
    {
        await using NpgsqlCommand command = _source.CreateCommand($"SELECT count(*) FROM {_table}");
        return (long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <inheritdoc/>
    public async ValueTask AddAsync(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, CancellationToken cancellationToken = default)
    {
        IndexInput.Check(entries, vectors, Dimensions);
        IndexInput.CheckVectors(vectors, "vector");
        await using NpgsqlConnection connection = await _source.OpenConnectionAsync(cancellationToken);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);
        for (int first = 0; first < entries.Count; first += RowsAtOnce)
        {
            int[] rows = [.. Enumerable.Range(first, Math.Min(RowsAtOnce, entries.Count - first))];

            // One statement for many rows; vectors as text, which needs no type of the extension to be known to the connection.
            await using NpgsqlCommand command = new(
                $"INSERT INTO {_table} (id, text, metadata, embedding) SELECT i, t, m::jsonb, e::vector FROM unnest($1, $2, $3, $4) AS given (i, t, m, e) ON CONFLICT (id) DO UPDATE SET text = excluded.text, metadata = excluded.metadata, embedding = excluded.embedding",
                connection, transaction);
            AddTexts(command, rows.Select(row => entries[row].Id));
            AddTexts(command, rows.Select(row => entries[row].Text));
            AddTexts(command, rows.Select(row => MetadataValue.ToJson(entries[row].Metadata)));
            AddTexts(command, rows.Select(row => Literal(vectors[row])));
            await command.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(CancellationToken.None);
    }

    /// <inheritdoc/>
    public async ValueTask<int> DeleteAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        await using NpgsqlCommand command = _source.CreateCommand($"DELETE FROM {_table} WHERE id = ANY($1)");
        AddTexts(command, ids);
        return await command.ExecuteNonQueryAsync(cancellationToken);
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<IndexHit>[]> SearchAsync(EmbeddingMatrix queries, IndexSearchOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        IndexInput.CheckQueries(queries, Dimensions);
        await using NpgsqlConnection connection = await _source.OpenConnectionAsync(cancellationToken);
        await using NpgsqlTransaction transaction = await connection.BeginTransactionAsync(cancellationToken);
        int breadth = Math.Min(MostBreadth, options.Breadth ?? Math.Max(40, 2 * options.K));
        await SetAsync(options.Exact ? "enable_indexscan = off" : string.Create(CultureInfo.InvariantCulture, $"hnsw.ef_search = {breadth}"));

        // With a filter the walk goes on until enough entries are accepted.
        await SetAsync("hnsw.iterative_scan = strict_order");
        IReadOnlyList<IndexHit>[] hits = new IReadOnlyList<IndexHit>[queries.Count];
        for (int q = 0; q < queries.Count; q++)
        {
            await using NpgsqlCommand command = new("", connection, transaction);
            command.Parameters.Add(new NpgsqlParameter { Value = Literal(queries[q]), NpgsqlDbType = NpgsqlDbType.Text });
            command.Parameters.Add(new NpgsqlParameter { Value = options.K, NpgsqlDbType = NpgsqlDbType.Integer });
            string filter = options.Filter is null ? "" : $"WHERE {options.Filter.ToSql(leaf => Condition(leaf, command))} ";
            command.CommandText = $"SELECT id, text, metadata::text, 1 - (embedding <=> $1::vector) FROM {_table} {filter}ORDER BY embedding <=> $1::vector LIMIT $2";
            List<IndexHit> found = [];
            await using NpgsqlDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                float score = (float)reader.GetDouble(3);
                found.Add(new IndexHit(new IndexEntry(reader.GetString(0), reader.GetString(1)) { Metadata = MetadataValue.ReadAll(reader.GetString(2)) }, float.IsNaN(score) ? 0 : score));
            }

            hits[q] = found;
        }

        await transaction.CommitAsync(CancellationToken.None);
        return hits;

        async Task SetAsync(string setting)
        {
            await using NpgsqlCommand command = new($"SET LOCAL {setting}", connection, transaction);
            await command.ExecuteNonQueryAsync(cancellationToken);
        }
    }

    /// <summary>Nothing: the data source is the caller's.</summary>
    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static void AddTexts(NpgsqlCommand command, IEnumerable<string> texts) =>
        command.Parameters.Add(new NpgsqlParameter { Value = texts.ToArray(), NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Text });

    private static string Literal(ReadOnlySpan<float> vector)
    {
        StringBuilder literal = new("[", vector.Length * 12);
        for (int i = 0; i < vector.Length; i++)
        {
            literal.Append(i == 0 ? "" : ",").Append(CultureInfo.InvariantCulture, $"{vector[i]}");
        }

        return literal.Append(']').ToString();
    }

    private static string Condition(IndexFilter leaf, NpgsqlCommand command)
    {
        string Parameter(object value, NpgsqlDbType type)
        {
            command.Parameters.Add(new NpgsqlParameter { Value = value, NpgsqlDbType = type });
            return $"${command.Parameters.Count}";
        }

        switch (leaf)
        {
            case IndexFilter.Equal(string field, MetadataValue value):
                string json = MetadataValue.ToJson(new Dictionary<string, MetadataValue>(StringComparer.Ordinal) { [field] = value });
                return $"metadata @> {Parameter(json, NpgsqlDbType.Text)}::jsonb";
            case IndexFilter.Between between:
                string name = Parameter(between.Field, NpgsqlDbType.Text), number = $"(metadata ->> {name})::float8";
                string from = between.Least is { } low ? $"{number} >= {Parameter(low, NpgsqlDbType.Double)}" : "true", to = between.Most is { } high ? $"{number} <= {Parameter(high, NpgsqlDbType.Double)}" : "true";
                return $"(CASE WHEN jsonb_typeof(metadata -> {name}) = 'number' THEN {from} AND {to} ELSE false END)";
            default:
                throw new ArgumentException($"{leaf} is no filter that is known here", nameof(leaf));
        }
    }

    private async Task RunAsync(string text, CancellationToken cancellationToken)
    {
        await using NpgsqlCommand command = _source.CreateCommand(text);
        command.CommandTimeout = 0; // building a graph takes as long as it takes
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
