using System.Runtime.InteropServices;
using Microsoft.Data.Sqlite;

namespace SimCse.Search.Sqlite;

/// <summary>
/// Texts with their vectors in a SQLite database, searched by the sqlite-vec extension (version 0.1.6 and later), which compares a query with every vector. The entries are in an ordinary table, to be
/// joined with others; the vectors in a virtual table beside it.
/// </summary>
/// <remarks>For one caller at a time: a connection to SQLite is.</remarks>
public sealed class SqliteSentenceIndex : ISentenceIndex
{
    /// <summary>The most hits a query that sqlite-vec gives.</summary>
    public const int MostHits = 4096;

    private readonly SqliteConnection _connection;
    private readonly string _table;

    private SqliteSentenceIndex(SqliteConnection connection, string table, int dimensions)
    {
        _connection = connection;
        _table = table;
        Dimensions = dimensions;
    }

    /// <inheritdoc/>
    public int Dimensions { get; }

    /// <summary>Opens a database, and makes the two tables where they are not there: <paramref name="table"/> (row, id, text, metadata as JSON) and <paramref name="table"/>_vectors.</summary>
    /// <param name="path">The database's file; made where it is not there.</param>
    /// <param name="dimensions">H.</param>
    /// <param name="extension">The file of the sqlite-vec extension.</param>
    /// <param name="table">The name of the table.</param>
    /// <param name="cancellationToken">Stops.</param>
    /// <exception cref="ArgumentException">The table's name is not a word.</exception>
    /// <exception cref="SqliteException">The database or the extension does not open, or the table's vectors have another H.</exception>
    public static async Task<SqliteSentenceIndex> OpenAsync(string path, int dimensions, string extension = "vec0", string table = "sentences", CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        TableName.Check(table);
        SqliteConnection connection = new(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
        try
        {
            await connection.OpenAsync(cancellationToken);
            connection.EnableExtensions(true);
            connection.LoadExtension(extension);
            SqliteSentenceIndex index = new(connection, table, dimensions);
            await index.RunAsync("PRAGMA journal_mode = WAL", cancellationToken);
            await index.RunAsync("PRAGMA synchronous = FULL", cancellationToken);
            await index.RunAsync($"CREATE TABLE IF NOT EXISTS {table} (row INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, metadata TEXT NOT NULL)", cancellationToken);
            await index.RunAsync($"CREATE VIRTUAL TABLE IF NOT EXISTS {table}_vectors USING vec0(embedding float[{dimensions}] distance_metric=cosine)", cancellationToken);
            return index;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    /// <inheritdoc/>
    public async ValueTask<long> CountAsync(CancellationToken cancellationToken = default)
    {
        using SqliteCommand command = Command($"SELECT count(*) FROM {_table}");
        return (long)(await command.ExecuteScalarAsync(cancellationToken))!;
    }

    /// <inheritdoc/>
    public async ValueTask AddAsync(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, CancellationToken cancellationToken = default)
    {
        IndexInput.Check(entries, vectors, Dimensions);
        IndexInput.CheckVectors(vectors, "vector");
        await using SqliteTransaction transaction = _connection.BeginTransaction();
        using SqliteCommand put = Command($"INSERT INTO {_table} (id, text, metadata) VALUES ($id, $text, $metadata) ON CONFLICT (id) DO UPDATE SET text = excluded.text, metadata = excluded.metadata RETURNING row");
        using SqliteCommand remove = Command($"DELETE FROM {_table}_vectors WHERE rowid = $row");
        using SqliteCommand vector = Command($"INSERT INTO {_table}_vectors (rowid, embedding) VALUES ($row, $vector)");
        for (int i = 0; i < entries.Count; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Set(put, ("$id", entries[i].Id), ("$text", entries[i].Text), ("$metadata", MetadataValue.ToJson(entries[i].Metadata)));
            long row = (long)(await put.ExecuteScalarAsync(cancellationToken))!;
            Set(remove, ("$row", row));
            await remove.ExecuteNonQueryAsync(cancellationToken);
            Set(vector, ("$row", row), ("$vector", Bytes(vectors[i])));
            await vector.ExecuteNonQueryAsync(cancellationToken);
        }

        await transaction.CommitAsync(CancellationToken.None);
    }

    /// <inheritdoc/>
    public async ValueTask<int> DeleteAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        int deleted = 0;
        await using SqliteTransaction transaction = _connection.BeginTransaction();
        using SqliteCommand entry = Command($"DELETE FROM {_table} WHERE id = $id RETURNING row");
        using SqliteCommand vector = Command($"DELETE FROM {_table}_vectors WHERE rowid = $row");
        foreach (string id in ids)
        {
            cancellationToken.ThrowIfCancellationRequested();
            Set(entry, ("$id", id));
            if (await entry.ExecuteScalarAsync(cancellationToken) is long row)
            {
                Set(vector, ("$row", row));
                await vector.ExecuteNonQueryAsync(cancellationToken);
                deleted++;
            }
        }

        await transaction.CommitAsync(CancellationToken.None);
        return deleted;
    }

    /// <inheritdoc/>
    public async ValueTask<IReadOnlyList<IndexHit>[]> SearchAsync(EmbeddingMatrix queries, IndexSearchOptions options, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.K, MostHits, nameof(options));
        IndexInput.CheckQueries(queries, Dimensions);
        using SqliteCommand command = Command("");
        string filter = options.Filter is null ? "" : $" AND rowid IN (SELECT row FROM {_table} WHERE {options.Filter.ToSql(leaf => Condition(leaf, command))})";

        // Materialized, or SQLite hands the order of the whole down to vec0, which knows one order only.
        command.CommandText = $"""
            WITH near AS MATERIALIZED (SELECT rowid AS row, distance FROM {_table}_vectors WHERE embedding MATCH $query AND k = $k{filter})
            SELECT entry.id, entry.text, entry.metadata, near.distance FROM near JOIN {_table} entry ON entry.row = near.row ORDER BY near.distance, near.row
            """;
        IReadOnlyList<IndexHit>[] hits = new IReadOnlyList<IndexHit>[queries.Count];
        for (int q = 0; q < queries.Count; q++)
        {
            Set(command, ("$query", Bytes(queries[q])), ("$k", options.K));
            List<IndexHit> found = [];
            using SqliteDataReader reader = await command.ExecuteReaderAsync(cancellationToken);
            while (await reader.ReadAsync(cancellationToken))
            {
                float score = await reader.IsDBNullAsync(3, cancellationToken) ? 0 : 1 - reader.GetFloat(3);
                found.Add(new IndexHit(new IndexEntry(reader.GetString(0), reader.GetString(1)) { Metadata = MetadataValue.ReadAll(reader.GetString(2)) }, float.IsNaN(score) ? 0 : score));
            }

            hits[q] = found;
        }

        return hits;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync() => _connection.DisposeAsync();

    private static byte[] Bytes(ReadOnlySpan<float> vector) => MemoryMarshal.AsBytes(vector).ToArray();

    private static void Set(SqliteCommand command, params ReadOnlySpan<(string Name, object Value)> parameters)
    {
        foreach ((string name, object value) in parameters)
        {
            if (command.Parameters.Contains(name))
            {
                command.Parameters[name].Value = value;
            }
            else
            {
                command.Parameters.AddWithValue(name, value);
            }
        }
    }

    private static string Condition(IndexFilter leaf, SqliteCommand command)
    {
        string Parameter(object value)
        {
            string name = $"$p{command.Parameters.Count}";
            command.Parameters.AddWithValue(name, value);
            return name;
        }

        string Path(string field) => Parameter($"$.\"{field.Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
        switch (leaf)
        {
            case IndexFilter.Equal(string field, MetadataValue value):
                string path = Path(field);
                return value.Truth is { } truth ? $"coalesce(json_type(metadata, {path}) = '{(truth ? "true" : "false")}', 0)"
                    : value.Number is { } number ? $"coalesce(json_type(metadata, {path}) IN ('integer', 'real') AND json_extract(metadata, {path}) = {Parameter(number)}, 0)"
                    : $"coalesce(json_type(metadata, {path}) = 'text' AND json_extract(metadata, {path}) = {Parameter(value.Text!)}, 0)";
            case IndexFilter.Between between:
                string place = Path(between.Field);
                string from = between.Least is { } low ? $" AND json_extract(metadata, {place}) >= {Parameter(low)}" : "", to = between.Most is { } high ? $" AND json_extract(metadata, {place}) <= {Parameter(high)}" : "";
                return $"coalesce(json_type(metadata, {place}) IN ('integer', 'real'){from}{to}, 0)";
            default:
                throw new ArgumentException($"{leaf} is no filter that is known here", nameof(leaf));
        }
    }

    private SqliteCommand Command(string text)
    {
        SqliteCommand command = _connection.CreateCommand();
        command.CommandText = text;
        return command;
    }

    private async Task RunAsync(string text, CancellationToken cancellationToken)
    {
        using SqliteCommand command = Command(text);
        await command.ExecuteNonQueryAsync(cancellationToken);
    }
}
