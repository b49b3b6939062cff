using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;
using Microsoft.Data.Sqlite;
using SimCse.Search;

namespace SimCse.Bench.Search;

/// <summary>The ten nearest of a million vectors by comparing with all, one query at a time, against sqlite-vec.</summary>
internal sealed class ExactSearchBenchmark : Benchmark
{
    private const int K = 10, Checked = 20, Default = 1_000_000;
    private static readonly VectorPrecision[] s_precisions = Enum.GetValues<VectorPrecision>();

    public override string Name => "search-1m";

    public override string Summary => "exact search over 1,000,000 vectors (or --vectors N), one query at a time, against sqlite-vec; the figure is float32's";

    public override string Unit => "queries/s";

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        int count = options.Vectors ?? Default;
        string line = SentenceVectors.Prepare(count);
        string database = Database(count);
        if (!File.Exists(database))
        {
            SqliteVec.Build(database, SentenceVectors.Read(count).Vectors);
        }

        return
        [
            line,
            "ours: ExactIndex, one Search call a query; int8: codes first, 2 candidates a hit scored in float32; bit: 1 bit a component, 32 candidates a hit scored in float32",
            "peer: sqlite-vec 0.1.9 (vec0, float[H] distance_metric=cosine; one thread, as it is made); int8: int8[H], not scored again; bit: bit[H], 320 candidates scored by vec_distance_cosine",
        ];
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options) =>
        side == SideName.Ours ? new OurSide(options.Vectors ?? Default) : new PeerSide(options.Vectors ?? Default);

    public override double ValueOf(SideRound round)
    {
        Measurement figure = round.Parts.FirstOrDefault(p => string.Equals(p.Part, nameof(VectorPrecision.Float32), StringComparison.Ordinal)) ?? round.Parts[0];
        return figure.Items / figure.Seconds;
    }

    public override string Compare(string oursCheck, string peerCheck)
    {
        int[][][] ours = JsonSerializer.Deserialize<int[][][]>(File.ReadAllText(oursCheck))!, peer = JsonSerializer.Deserialize<int[][][]>(File.ReadAllText(peerCheck))!;
        double same = SentenceVectors.Recall(ours[0], peer[0]);
        return same >= 0.995
            ? string.Create(CultureInfo.InvariantCulture, $"{same:0.0%} of the hits of {Checked} queries are the same in float32 (the rest have equal distances to rounding); recall@10 against float32: int8 {SentenceVectors.Recall(ours[1], ours[0]):0.0000} ours, {SentenceVectors.Recall(peer[1], peer[0]):0.0000} the peer's; bit {SentenceVectors.Recall(ours[2], ours[0]):0.0000} ours, {SentenceVectors.Recall(peer[2], peer[0]):0.0000} the peer's")
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"only {same:0.0%} of the float32 hits are the same on both sides"));
    }

    private static string Database(int count) => Path.Combine(SentenceVectors.Folder, string.Create(CultureInfo.InvariantCulture, $"sqlite-vec-{count}.db"));

    private sealed class OurSide : Side
    {
        private const int QueriesARound = 20;
        private readonly ExactIndex[] _indexes;
        private readonly EmbeddingMatrix _queries;

        public OurSide(int count)
        {
            (EmbeddingMatrix vectors, _queries) = SentenceVectors.Read(count);
            _indexes = [.. s_precisions.Select(precision => new ExactIndex(vectors, precision))];
        }

        public override void WriteCheck(string path) => File.WriteAllText(path, JsonSerializer.Serialize(
            _indexes.Select(index => Enumerable.Range(0, Checked).Select(q => index.Search(_queries[q], K).Select(hit => hit.Row).ToArray()))));

        public override IReadOnlyList<Measurement> RunRound(int round) => [.. s_precisions.Zip(_indexes, (precision, index) =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < QueriesARound; i++)
            {
                index.Search(_queries[((round * QueriesARound) + i) % _queries.Count], K);
            }

            return new Measurement(precision.ToString(), Stopwatch.GetElapsedTime(start).TotalSeconds, QueriesARound);
        })];

        public override void Dispose()
        {
        }
    }

    private sealed class PeerSide : Side
    {
        private const int QueriesARound = 3;
        private readonly SqliteVec _database;
        private readonly EmbeddingMatrix _queries;

        public PeerSide(int count)
        {
            _database = new SqliteVec(Database(count));
            _queries = SentenceVectors.Read(1).Queries;
        }

        public override string Version => "sqlite-vec 0.1.9";

        public override void WriteCheck(string path) => File.WriteAllText(path, JsonSerializer.Serialize(
            s_precisions.Select(precision => Enumerable.Range(0, Checked).Select(q => _database.Search(precision, _queries[q], K)))));

        public override IReadOnlyList<Measurement> RunRound(int round) => [.. s_precisions.Select(precision =>
        {
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < QueriesARound; i++)
            {
                _database.Search(precision, _queries[((round * QueriesARound) + i) % _queries.Count], K);
            }

            return new Measurement(precision.ToString(), Stopwatch.GetElapsedTime(start).TotalSeconds, QueriesARound);
        })];

        public override void Dispose() => _database.Dispose();
    }

    /// <summary>A database with the vectors in the three forms that sqlite-vec has.</summary>
    private sealed class SqliteVec : IDisposable
    {
        private readonly SqliteConnection _connection;

        public SqliteVec(string path)
        {
            string extension = Path.Combine(Repository.Root, "eng", "engines", "node_modules", "sqlite-vec-linux-x64", "vec0.so");
            if (!File.Exists(extension))
            {
                throw new InvalidDataException("the peer, sqlite-vec, is not there: eng/engines/setup installs it");
            }

            _connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ToString());
            _connection.Open();
            _connection.EnableExtensions(true);
            _connection.LoadExtension(extension);
            Run("PRAGMA mmap_size = 8000000000");
        }

        public static void Build(string path, EmbeddingMatrix vectors)
        {
            string beside = path + ".building";
            File.Delete(beside);
            using (SqliteVec database = new(beside))
            {
                database.Run("PRAGMA journal_mode = OFF");
                database.Run("PRAGMA synchronous = OFF");
                int h = vectors.Dimensions;
                database.Run($"CREATE VIRTUAL TABLE f USING vec0(v float[{h}] distance_metric=cosine)");
                database.Run($"CREATE VIRTUAL TABLE i USING vec0(v int8[{h}] distance_metric=cosine)");
                database.Run($"CREATE VIRTUAL TABLE b USING vec0(v bit[{h}])");
                database.Run("BEGIN");
                foreach ((string table, string quantize) in new[] { ("f", "$v"), ("i", "vec_quantize_int8(vec_normalize($v), 'unit')"), ("b", "vec_quantize_binary($v)") })
                {
                    using SqliteCommand insert = database._connection.CreateCommand();
                    insert.CommandText = $"INSERT INTO {table} (rowid, v) VALUES ($row, {quantize})";
                    SqliteParameter row = insert.Parameters.Add("$row", SqliteType.Integer), vector = insert.Parameters.Add("$v", SqliteType.Blob);
                    for (int i = 0; i < vectors.Count; i++)
                    {
                        row.Value = i;
                        vector.Value = MemoryMarshal.AsBytes(vectors[i]).ToArray();
                        insert.ExecuteNonQuery();
                    }
                }

                database.Run("COMMIT");
            }

            File.Move(beside, path);
        }

        public int[] Search(VectorPrecision precision, ReadOnlySpan<float> query, int k)
        {
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = precision switch
            {
                VectorPrecision.Float32 => "SELECT rowid FROM f WHERE v MATCH $q AND k = $k ORDER BY distance",
                VectorPrecision.Int8 => "SELECT rowid FROM i WHERE v MATCH vec_quantize_int8(vec_normalize($q), 'unit') AND k = $k ORDER BY distance",
                _ => "SELECT c.rowid FROM (SELECT rowid FROM b WHERE v MATCH vec_quantize_binary($q) AND k = 32 * $k) c JOIN f ON f.rowid = c.rowid ORDER BY vec_distance_cosine(f.v, $q) LIMIT $k",
            };
            command.Parameters.AddWithValue("$q", MemoryMarshal.AsBytes(query).ToArray());
            command.Parameters.AddWithValue("$k", k);
            using SqliteDataReader reader = command.ExecuteReader();
            List<int> rows = [];
            while (reader.Read())
            {
                rows.Add(reader.GetInt32(0));
            }

            return [.. rows];
        }

        public void Dispose() => _connection.Dispose();

        private void Run(string text)
        {
            using SqliteCommand command = _connection.CreateCommand();
            command.CommandText = text;
            command.ExecuteNonQuery();
        }
    }
}
