using System.Diagnostics;
using System.Globalization;
using System.Numerics.Tensors;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SimCse.Bench.Serving;

/// <summary>
/// <c>simcse serve</c> under 64 clients of loopback against the library's own throughput, which gets many texts in one call. The clients share the machine with the server. After the load come twice as many clients as there are
/// places.
/// </summary>
/// <param name="textsARequest">Texts in a request.</param>
internal sealed class ServeBenchmark(int textsARequest) : Benchmark
{
    private const int Clients = 64, WarmSeconds = 5, UsualSeconds = 60, OverloadSeconds = 10, TextsAtOnce = 4096;

    private static readonly JsonSerializerOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override string Name => textsARequest == 1 ? "serve-load" : $"serve-load-{textsARequest}";

    public override string Summary => $"simcse serve under {Clients} clients, {textsARequest} {(textsARequest == 1 ? "text" : "texts")} a request, against the library with {TextsAtOnce} texts a call; then twice as many clients as places";

    public override string Unit => "sentences/s";

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        string model = options.Model ?? Path.Combine(Repository.Root, "models", DefaultModel.Name);
        File.WriteAllText(Path.Combine(folder, "model.txt"), model);
        File.WriteAllLines(Path.Combine(folder, "texts.jsonl"), SampleTexts.All().Take(TextsAtOnce).Select(text => JsonSerializer.Serialize(text, s_json)));
        return [$"model: {Path.GetFileName(model)} as it is stored, {options.Threads} threads; {Clients} clients on loopback for {options.Seconds ?? UsualSeconds} s, on the same machine", $"input: {SampleTexts.Source}"];
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options) => side == SideName.Ours ? new ServerSide(textsARequest, folder, options) : new LibrarySide(folder, options);

    public override string Compare(string oursCheck, string peerCheck)
    {
        float[][] ours = JsonSerializer.Deserialize<float[][]>(File.ReadAllText(oursCheck))!, peer = JsonSerializer.Deserialize<float[][]>(File.ReadAllText(peerCheck))!;
        float cosine = ours.Zip(peer).Min(pair => TensorPrimitives.CosineSimilarity<float>(pair.First, pair.Second));
        return ours.Length == peer.Length && cosine >= 0.9999f
            ? string.Create(CultureInfo.InvariantCulture, $"{ours.Length} vectors of the server and of the library: least cosine {cosine:0.000000}")
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"the server's vectors are not the library's: {ours.Length} and {peer.Length}, least cosine {cosine:0.000000}"));
    }

    private static string[] Texts(string folder) => [.. File.ReadLines(Path.Combine(folder, "texts.jsonl")).Select(line => JsonSerializer.Deserialize<string>(line)!)];

    private sealed class ServerSide(int textsARequest, string folder, BenchmarkOptions options) : Side
    {
        private readonly ServedModel _server = new(File.ReadAllText(Path.Combine(folder, "model.txt")), options.Threads, Clients);
        private readonly string[] _bodies = [.. Texts(folder).Chunk(textsARequest).Select(texts => $"{{\"inputs\":{JsonSerializer.Serialize(texts, s_json)}}}")];

        public override void WriteCheck(string path)
        {
            using HttpClient client = new() { BaseAddress = _server.Address };
            using StringContent body = new(JsonSerializer.Serialize(new { inputs = Texts(folder)[..32] }), Encoding.UTF8, "application/json");
            using HttpResponseMessage answer = client.PostAsync("/embed", body).Result.EnsureSuccessStatusCode();
            File.WriteAllText(path, answer.Content.ReadAsStringAsync().Result);
        }

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            double seconds = round == 0 ? WarmSeconds : options.Seconds ?? UsualSeconds, processor = _server.ProcessorSeconds;
            long memory = _server.Memory;
            LoadOutcome load = LoadClients.Run(_server.Address.Port, Clients, seconds, _bodies);
            Report(round, $"{load.Latencies.Length} requests of {textsARequest}, {load.RefusalLatencies.Length + load.Failed} failed; p50 {LoadOutcome.Quantile(load.Latencies, 0.5):0.0} ms, p99 {LoadOutcome.Quantile(load.Latencies, 0.99):0.0} ms ({LoadOutcome.Quantile(load.Latencies, 0.99) / LoadOutcome.Quantile(load.Latencies, 0.5):0.00} x p50); server: {_server.ProcessorSeconds - processor:0.0} processor seconds, memory {memory / 1e6:0} to {_server.Memory / 1e6:0} MB");
            if (round > 0)
            {
                LoadOutcome over = LoadClients.Run(_server.Address.Port, 2 * Clients, OverloadSeconds, _bodies);
                Report(round, $"{2 * Clients} clients for {Clients} places: {over.Latencies.Length * textsARequest / over.Seconds:0} sentences/s served, p99 {LoadOutcome.Quantile(over.Latencies, 0.99):0.0} ms; {over.RefusalLatencies.Length} refused, p50 {LoadOutcome.Quantile(over.RefusalLatencies, 0.5):0.0} ms, p99 {LoadOutcome.Quantile(over.RefusalLatencies, 0.99):0.0} ms; {over.Failed} failed");
                if (over.Failed > 0)
                {
                    throw new InvalidDataException($"{over.Failed} requests were neither served nor refused");
                }
            }

            return load.Failed + load.RefusalLatencies.Length == 0
                ? [new Measurement("", load.Seconds, (double)load.Latencies.Length * textsARequest)]
                : throw new InvalidDataException($"{load.Failed} requests failed and {load.RefusalLatencies.Length} were refused");
        }

        public override void Dispose() => _server.Dispose();

        private static void Report(int round, FormattableString line) => Console.Error.WriteLine($"round {round}: {line.ToString(CultureInfo.InvariantCulture)}");
    }

    private sealed class LibrarySide(string folder, BenchmarkOptions options) : Side
    {
        private readonly SentenceEncoder _encoder = SentenceEncoder.Load(File.ReadAllText(Path.Combine(folder, "model.txt")), new SentenceEncoderOptions { Threads = options.Threads });
        private readonly string[] _texts = Texts(folder);

        public override void WriteCheck(string path)
        {
            EmbeddingMatrix vectors = _encoder.Encode(_texts[..32]);
            File.WriteAllText(path, JsonSerializer.Serialize(Enumerable.Range(0, vectors.Count).Select(row => vectors[row].ToArray())));
        }

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            long start = Stopwatch.GetTimestamp();
            _encoder.Encode(_texts);
            return [new Measurement("", Stopwatch.GetElapsedTime(start).TotalSeconds, _texts.Length)];
        }

        public override void Dispose() => _encoder.Dispose();
    }
}
