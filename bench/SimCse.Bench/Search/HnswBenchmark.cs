using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using SimCse.Search;

namespace SimCse.Bench.Search;

/// <summary>The graph of <see cref="SentenceIndex"/> against our own fastest exact scan (int8 codes, scored in float32).</summary>
internal sealed class HnswBenchmark : Benchmark
{
    private const int K = 10, Default = 100_000, AddedAtOnce = 4096;
    private const string One = "one-by-one", Together = "together";

    public override string Name => "hnsw";

    public override string Summary => "the graph over 100,000 vectors (or --vectors N), against our own exact scan over int8 codes";

    public override string Unit => "queries/s";

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        int count = options.Vectors ?? Default;
        List<string> lines = [SentenceVectors.Prepare(count)];
        EmbeddingMatrix vectors = SentenceVectors.Read(count).Vectors;
        string directory = IndexFolder(count);
        if (!SentenceIndex.Exists(directory))
        {
            SentenceIndex.Create(directory, new SentenceIndexOptions(vectors.Dimensions)).Dispose();
        }

        using SentenceIndex index = SentenceIndex.Open(directory);
        long start = Stopwatch.GetTimestamp();
        int first = index.Count;
        for (int row = first; row < count; row += AddedAtOnce)
        {
            int rows = Math.Min(AddedAtOnce, count - row);
            IndexEntry[] entries = [.. Enumerable.Range(row, rows).Select(i => new IndexEntry(i.ToString(CultureInfo.InvariantCulture), ""))];
            index.Add(entries, new EmbeddingMatrix(vectors.Values.Slice(row * vectors.Dimensions, rows * vectors.Dimensions).ToArray(), rows, vectors.Dimensions));
            if ((row - first) / AddedAtOnce % 50 == 49)
            {
                Console.Error.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{row + rows} vectors added, {(row + rows - first) / Stopwatch.GetElapsedTime(start).TotalSeconds:0} a second"));
                index.SaveGraph();
            }
        }

        if (first < count)
        {
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"{count - first} vectors added to the index in {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s, on all processors"));
        }

        lines.Add($"M 16, efConstruction 128, ef 96; peer: ExactIndex, int8; part '{One}': one query a call; '{Together}': all queries of a round in one call");
        return lines;
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options) =>
        side == SideName.Ours ? new GraphSide(options.Vectors ?? Default) : new ScanSide(options.Vectors ?? Default);

    public override double ValueOf(SideRound round) => round.Parts[0].Items / round.Parts[0].Seconds;

    public override string Compare(string oursCheck, string peerCheck)
    {
        double recall = SentenceVectors.Recall(JsonSerializer.Deserialize<int[][]>(File.ReadAllText(oursCheck))!, JsonSerializer.Deserialize<int[][]>(File.ReadAllText(peerCheck))!);
        return recall >= 0.95
            ? string.Create(CultureInfo.InvariantCulture, $"recall@10 of the graph {recall:0.0000} over {SentenceVectors.Queries} queries, against the exact float32 scan")
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"recall@10 of the graph is {recall:0.0000}; expected at least 0.95"));
    }

    private static string IndexFolder(int count) => Path.Combine(SentenceVectors.Folder, string.Create(CultureInfo.InvariantCulture, $"index-{count}"));

    private static EmbeddingMatrix Slice(EmbeddingMatrix queries, int round, int count)
    {
        int first = round * count % (queries.Count - count);
        return new EmbeddingMatrix(queries.Values.Slice(first * queries.Dimensions, count * queries.Dimensions).ToArray(), count, queries.Dimensions);
    }

    private static Measurement[] Measure(EmbeddingMatrix queries, Action<EmbeddingMatrix> search)
    {
        long start = Stopwatch.GetTimestamp();
        for (int q = 0; q < queries.Count; q++)
        {
            search(new EmbeddingMatrix(queries[q].ToArray(), 1, queries.Dimensions));
        }

        double one = Stopwatch.GetElapsedTime(start).TotalSeconds;
        start = Stopwatch.GetTimestamp();
        search(queries);
        return [new Measurement(One, one, queries.Count), new Measurement(Together, Stopwatch.GetElapsedTime(start).TotalSeconds, queries.Count)];
    }

    private sealed class GraphSide(int count) : Side
    {
        private const int QueriesARound = 400;
        private readonly SentenceIndex _index = SentenceIndex.Open(IndexFolder(count), readOnly: true);
        private readonly EmbeddingMatrix _queries = SentenceVectors.Read(1).Queries;

        public override void WriteCheck(string path) => File.WriteAllText(path, JsonSerializer.Serialize(
            _index.Search(_queries, new IndexSearchOptions(K)).Select(hits => hits.Select(hit => int.Parse(hit.Entry.Id, CultureInfo.InvariantCulture)))));

        public override IReadOnlyList<Measurement> RunRound(int round) => Measure(Slice(_queries, round, QueriesARound), queries => _index.Search(queries, new IndexSearchOptions(K)));

        public override void Dispose() => _index.Dispose();
    }

    private sealed class ScanSide : Side
    {
        private const int QueriesARound = 40;
        private readonly EmbeddingMatrix _vectors;
        private readonly EmbeddingMatrix _queries;
        private readonly ExactIndex _index;

        public ScanSide(int count)
        {
            (_vectors, _queries) = SentenceVectors.Read(count);
            _index = new ExactIndex(_vectors, VectorPrecision.Int8);
        }

        public override void WriteCheck(string path) => File.WriteAllText(path, JsonSerializer.Serialize(
            new ExactIndex(_vectors).Search(_queries, K).Select(hits => hits.Select(hit => hit.Row))));

        public override IReadOnlyList<Measurement> RunRound(int round) => Measure(Slice(_queries, round, QueriesARound), queries => _index.Search(queries, K));

        public override void Dispose()
        {
        }
    }
}
