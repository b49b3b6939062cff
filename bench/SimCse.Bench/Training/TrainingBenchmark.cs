using System.Globalization;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Modeling;
using TorchSharp;

namespace SimCse.Bench.Training;

/// <summary>A benchmark of the unsupervised training step: the same weights, head and batches on both sides.</summary>
internal abstract class TrainingBenchmark(ModelShape shape) : Benchmark
{
    public override string Unit => "sentences/s";

    /// <summary>The relative difference of loss and gradient norm at which the two sides still compute the same.</summary>
    protected virtual double Tolerance => 1e-3;

    /// <summary>The model's shape.</summary>
    protected ModelShape Shape => shape;

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

    public override Side Open(SideName side, string folder, BenchmarkOptions options)
    {
        torch.set_num_threads(options.Threads);
        return Open(side, TrainingInput.Load(folder));
    }

    public override FlopCount FlopsOf(SideName side, int round, string folder)
    {
        TrainingInput input = TrainingInput.Load(folder);
        EncoderConfig config = EncoderConfig.Load(Path.Combine(input.Model, "config.json"));
        FlopCount flops = input.BatchesOf(round).Select(batch => TrainingInput.Flops(batch, config)).Aggregate((a, b) => a + b);
        return side == SideName.Peer ? flops with { Computed = flops.Padded } : flops;
    }

    public override string Compare(string oursCheck, string peerCheck)
    {
        TrainingCheck ours = TrainingCheck.Load(oursCheck), peer = TrainingCheck.Load(peerCheck);
        string found = string.Create(CultureInfo.InvariantCulture, $"first step without dropout: loss {ours.Loss:0.000000} ours, {peer.Loss:0.000000} the peer's; gradient norm {ours.GradientNorm:0.0000} and {peer.GradientNorm:0.0000}");
        return Near(ours.Loss, peer.Loss) && Near(ours.GradientNorm, peer.GradientNorm)
            ? found
            : throw new InvalidDataException($"{found}: the two sides do not compute the same");

        bool Near(double a, double b) => Math.Abs(a - b) <= Tolerance * Math.Abs(b);
    }

    /// <summary>Opens a side of this input: ours, or <c>plain</c>.</summary>
    protected virtual Side Open(SideName side, TrainingInput input) => side == SideName.Ours ? Ours(input, Precision.Fp32) : Plain(input);

    /// <summary>The product's step.</summary>
    protected static Side Ours(TrainingInput input, Precision precision, int? microBatchSize = null) =>
        new TrainingSide(input, RuntimeDescription(precision), (checkpoint, config) => new OurStepper(checkpoint, config, precision, microBatchSize));

    /// <summary>The reference's step in TorchSharp.</summary>
    protected static Side Plain(TrainingInput input) => new TrainingSide(input, $"libtorch {torch.__version__} (plain)", (checkpoint, config) => new PlainStepper(checkpoint, config));

    private static string RuntimeDescription(Precision precision) =>
        $"SimCse {typeof(SimCseModel).Assembly.GetName().Version!.ToString(3)}, {(precision == Precision.Bf16 ? "bf16" : "fp32")}, {System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription}";

    /// <summary>The first sentences of Wikipedia in the order of the file, with the vocabulary of the model; generated ones where there are none.</summary>
    private static (IEnumerable<int[]> Sentences, string Source) Sentences(BenchmarkOptions options, EncoderConfig config)
    {
        string? vocabulary = options.Model ?? Repository.Shared("models", "minilm-l6-mlm");
        if (SampleTexts.Wikipedia is null || vocabulary is null || string.Equals(options.Sentences, "generated", StringComparison.Ordinal))
        {
            return (TrainingInput.GeneratedSentences(config.VocabularySize, options.MaxLength), "generated sentences of lognormal lengths");
        }

        Tokenizer tokenizer = Tokenizer.Load(vocabulary);
        return (SampleTexts.All().Select(line => tokenizer.Encode(line, options.MaxLength).Ids), $"sentences of {Path.GetFileName(SampleTexts.Wikipedia)}");
    }
}
