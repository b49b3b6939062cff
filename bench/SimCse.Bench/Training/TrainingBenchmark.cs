using System.Globalization;
using SimCse.Checkpoints;
using SimCse.Tokenization;

namespace SimCse.Bench.Training;

/// <summary>The unsupervised training step, ours against <c>plain</c>: the reference's step line by line in TorchSharp.</summary>
internal sealed class TrainingBenchmark(ModelShape shape) : Benchmark
{
    private const double Tolerance = 1e-3;

    public override string Name => $"train-{shape.Name}-fp32";

    public override string Summary =>
        $"unsupervised training step, {shape.Config.Layers} x {shape.Config.HiddenSize}, float32, against the reference's step in TorchSharp";

    public override string Unit => "sentences/s";

    public override bool CountsFlops => true;

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        string model = options.Model ?? shape.Directory();
        EncoderConfig config = EncoderConfig.Load(Path.Combine(model, "config.json"));
        int steps = options.Steps ?? shape.Steps;
        (IEnumerable<int[]> sentences, string source) = Sentences(options, config);
        int[][][] batches = [.. sentences.Chunk(options.Batch).Take((options.Rounds + 1) * steps)];
        new TrainingInput(model, steps, batches).Save(folder);
        return
        [
            string.Create(CultureInfo.InvariantCulture, $"model: {config.Layers} x {config.HiddenSize}, vocabulary {config.VocabularySize}, dropout {config.HiddenDropout}, from {Path.GetFileName(model)}"),
            string.Create(CultureInfo.InvariantCulture, $"input: {source}, {options.Batch} a step (each encoded twice), cut to {options.MaxLength} tokens; padding factor {TrainingInput.PaddingFactor(batches):0.00}; {steps} step(s) of each side a round"),
        ];
    }

    /// <summary>The first sentences of Wikipedia in the order of the file, with the vocabulary of the model; generated ones where there are none.</summary>
    private static (IEnumerable<int[]> Sentences, string Source) Sentences(BenchmarkOptions options, EncoderConfig config)
    {
        string? text = Repository.Shared("data", "text", "wiki_en_250k.txt.gz"), vocabulary = options.Model ?? Repository.Shared("models", "minilm-l6-mlm");
        if (text is null || vocabulary is null || string.Equals(options.Sentences, "generated", StringComparison.Ordinal))
        {
            return (TrainingInput.GeneratedSentences(config.VocabularySize, options.MaxLength), "generated sentences of lognormal lengths");
        }

        Tokenizer tokenizer = Tokenizer.Load(vocabulary);
        return (TrainingInput.Lines(text).Select(line => tokenizer.Encode(line, options.MaxLength).Ids), $"sentences of {Path.GetFileName(text)}");
    }

    public override Side Open(SideName side, string folder, BenchmarkOptions options)
    {
        TrainingInput input = TrainingInput.Load(folder);
        return new TrainingSide(input, side == SideName.Ours ? (checkpoint, config) => new OurStepper(checkpoint, config) : (checkpoint, config) => new PlainStepper(checkpoint, config));
    }

    public override string Compare(string oursCheck, string peerCheck)
    {
        TrainingCheck ours = TrainingCheck.Load(oursCheck), peer = TrainingCheck.Load(peerCheck);
        string found = string.Create(CultureInfo.InvariantCulture, $"first step without dropout: loss {ours.Loss:0.000000} ours, {peer.Loss:0.000000} the peer's; gradient norm {ours.GradientNorm:0.0000} and {peer.GradientNorm:0.0000}");
        return Near(ours.Loss, peer.Loss) && Near(ours.GradientNorm, peer.GradientNorm)
            ? found
            : throw new InvalidDataException($"{found}: the two sides do not compute the same");

        static bool Near(double a, double b) => Math.Abs(a - b) <= Tolerance * Math.Abs(b);
    }
}
