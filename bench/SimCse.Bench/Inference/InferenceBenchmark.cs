using System.Diagnostics;
using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using SimCse.Tokenization;

namespace SimCse.Bench.Inference;

/// <summary>What one of the inference benchmarks measures.</summary>
/// <param name="Name">What <c>eng/bench</c> calls it.</param>
/// <param name="Summary">One line for <c>eng/bench --list</c>.</param>
/// <param name="Precision">Of our side.</param>
/// <param name="PeerPrecision">Of the peer's.</param>
/// <param name="OursCall">Texts in one call of ours; 0 for all of a round.</param>
/// <param name="PeerCall">Texts in one call of the peer's, which is its batch.</param>
/// <param name="TextsARound">Texts in a round.</param>
/// <param name="Load">Whether opening the model and its first vector are measured, in the place of texts.</param>
internal sealed record InferenceCase(string Name, string Summary, OnnxPrecision Precision, OnnxPrecision PeerPrecision, int OursCall, int PeerCall, int TextsARound, bool Load = false)
{
    public static IReadOnlyList<InferenceCase> All { get; } =
    [
        new("infer-fp32", "sentences to vectors, float32: ours gets a round's texts in one call, transformers.js 32 a call in the order given", OnnxPrecision.Fp32, OnnxPrecision.Fp32, 0, 32, 640),
        new("infer-fp32-calls", "the same, both get 32 texts a call", OnnxPrecision.Fp32, OnnxPrecision.Fp32, 32, 32, 640),
        new("infer-int8", "ours in int8, transformers.js in float32; calls as infer-fp32", OnnxPrecision.Int8, OnnxPrecision.Fp32, 0, 32, 640),
        new("infer-int8-both", "both in int8, the peer on the file that we export; calls as infer-fp32", OnnxPrecision.Int8, OnnxPrecision.Int8, 0, 32, 640),
        new("infer-batch1", "one text a call, float32", OnnxPrecision.Fp32, OnnxPrecision.Fp32, 1, 1, 160),
        new("infer-batch1-int8", "one text a call, both in int8", OnnxPrecision.Int8, OnnxPrecision.Int8, 1, 1, 160),
        new("infer-load", "opening the model and the first vector, float32, after the start of the process", OnnxPrecision.Fp32, OnnxPrecision.Fp32, 1, 1, 1, Load: true),
        new("infer-load-int8", "the same, both on the int8 file that we export", OnnxPrecision.Int8, OnnxPrecision.Int8, 1, 1, 1, Load: true),
    ];
}

/// <summary>
/// <see cref="SentenceEncoder"/> against transformers.js on ONNX Runtime for Node.js, on the same weights: the peer runs the ONNX file that we export, mean pooling and length one on both sides,
/// tokenising included.
/// </summary>
internal sealed class InferenceBenchmark(InferenceCase which) : Benchmark
{
    private const string ModelFolder = "model";

    private static readonly JsonSerializerOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override string Name => which.Name;

    public override string Summary => which.Summary;

    public override string Unit => which.Load ? "1/s" : "sentences/s";

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        Install(Path.Combine(Repository.Root, "eng", "transformers-js"));
        string model = options.Model ?? Repository.Shared("models", "all-MiniLM-L6-v2") ?? Path.Combine(Repository.Root, "models", "simcse-base");
        string target = Path.Combine(folder, ModelFolder);
        OnnxExport.WriteDirectory(model, target, new() { Pooling = Pooling.Avg, Normalize = true });
        OnnxExport.Write(model, OnnxExport.PlaceIn(target, OnnxPrecision.Int8), new() { Pooling = Pooling.Avg, Normalize = true, Precision = OnnxPrecision.Int8 });
        File.WriteAllText(Path.Combine(folder, "weights.txt"), model);

        string[] texts = [.. SampleTexts.All().Take(which.TextsARound * (options.Rounds + 1))];
        File.WriteAllLines(Path.Combine(folder, "texts.jsonl"), texts.Select(t => JsonSerializer.Serialize(t, s_json)));
        Tokenizer tokenizer = Tokenizer.Load(model);
        int[] lengths = [.. texts.Select(t => tokenizer.Encode(t, 256).Ids.Length)];
        double padded = lengths.Chunk(32).Sum(batch => (double)batch.Length * batch.Max()) / lengths.Sum();
        return
        [
            $"model: {Path.GetFileName(model)}, exported by us (float32 and int8); ours runs the weights, {(which.Load ? "or the int8 file, " : "")}the peer the exported file",
            string.Create(CultureInfo.InvariantCulture, $"input: {texts.Length} {SampleTexts.Source}, {lengths.Average():0.0} tokens on average; 32 in the order given are padded to {padded:0.00} times their tokens"),
        ];
    }

    public override IReadOnlyList<string> CommandOf(SideName side, string folder, BenchmarkOptions options) => side != SideName.Peer ? base.CommandOf(side, folder, options) :
    [
        "node", Path.Combine(Repository.Root, "bench", "peers", "transformers-js", "side.mjs"), folder,
        which.PeerPrecision.ToName(), which.PeerCall.ToString(CultureInfo.InvariantCulture), which.Load ? "load" : "run",
    ];

    public override Side Open(SideName side, string folder, BenchmarkOptions options) => new InferenceSide(which, folder, options);

    public override string Compare(string oursCheck, string peerCheck)
    {
        float[][] ours = Read(oursCheck), peer = Read(peerCheck);
        if (ours.Length != peer.Length || ours.Length == 0)
        {
            throw new InvalidDataException($"{ours.Length} vectors ours, {peer.Length} the peer's");
        }

        float largest = ours.Zip(peer).Max(pair => pair.First.Zip(pair.Second).Max(c => Math.Abs(c.First - c.Second)));
        float cosine = ours.Zip(peer).Min(pair => pair.First.Zip(pair.Second).Sum(c => c.First * c.Second));
        bool same = which.Precision == OnnxPrecision.Fp32 && which.PeerPrecision == OnnxPrecision.Fp32 ? largest <= 1e-4 : cosine >= 0.98;
        return same
            ? string.Create(CultureInfo.InvariantCulture, $"{ours.Length} unit vectors: largest difference of a component {largest:0.0e0}, least cosine {cosine:0.00000}")
            : throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"the vectors differ: by up to {largest:0.0e0}, least cosine {cosine:0.00000}"));
    }

    private static float[][] Read(string path) => [.. File.ReadLines(path).Select(line => line.Split(' ').Select(v => float.Parse(v, CultureInfo.InvariantCulture)).ToArray())];

    private static void Install(string directory)
    {
        if (Directory.Exists(Path.Combine(directory, "node_modules")))
        {
            return;
        }

        string script = Path.Combine(directory, "setup");
        using Process setup = Process.Start(new ProcessStartInfo("bash", [script]) { UseShellExecute = false, RedirectStandardOutput = true })
            ?? throw new InvalidOperationException("bash did not start");
        setup.StandardOutput.ReadToEnd();
        setup.WaitForExit();
        if (setup.ExitCode != 0)
        {
            throw new InvalidDataException($"{script} ended with exit status {setup.ExitCode}: the peer, transformers.js, is not there");
        }
    }

    private sealed class InferenceSide : Side
    {
        private readonly InferenceCase _case;
        private readonly string _model;
        private readonly SentenceEncoderOptions _options;
        private readonly SentenceEncoder? _encoder;
        private readonly string[] _texts;
        private readonly int _textsARound;

        public InferenceSide(InferenceCase which, string folder, BenchmarkOptions options)
        {
            _case = which;
            bool file = which.Load && which.Precision == OnnxPrecision.Int8;
            _model = file ? Path.Combine(folder, ModelFolder) : File.ReadAllText(Path.Combine(folder, "weights.txt"));
            _options = new() { Pooling = Pooling.Avg, Normalize = true, Threads = options.Threads, Precision = which.Precision };
            _encoder = which.Load ? null : SentenceEncoder.Load(_model, _options);
            _texts = [.. File.ReadLines(Path.Combine(folder, "texts.jsonl")).Select(l => JsonSerializer.Deserialize<string>(l)!)];
            _textsARound = _texts.Length / (options.Rounds + 1);
        }

        public override void WriteCheck(string path)
        {
            using SentenceEncoder? opened = _encoder is null ? SentenceEncoder.Load(_model, _options) : null;
            EmbeddingMatrix vectors = (_encoder ?? opened!).Encode(_texts.Take(64).ToArray());
            File.WriteAllLines(path, Enumerable.Range(0, vectors.Count).Select(row => string.Join(' ', vectors[row].ToArray().Select(v => v.ToString("R", CultureInfo.InvariantCulture)))));
        }

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            string[] texts = _texts[(round * _textsARound)..((round + 1) * _textsARound)];
            long start = Stopwatch.GetTimestamp();
            if (_encoder is null)
            {
                using SentenceEncoder opened = SentenceEncoder.Load(_model, _options);
                opened.Encode(texts[0]);
            }
            else
            {
                foreach (string[] call in texts.Chunk(_case.OursCall == 0 ? texts.Length : _case.OursCall))
                {
                    _encoder.Encode(call);
                }
            }

            return [new Measurement("", Stopwatch.GetElapsedTime(start).TotalSeconds, texts.Length)];
        }

        public override void Dispose() => _encoder?.Dispose();
    }
}
