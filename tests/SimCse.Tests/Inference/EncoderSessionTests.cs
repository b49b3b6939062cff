using Microsoft.ML.OnnxRuntime;
using Onnx;
using SimCse.Checkpoints;
using SimCse.Inference;
using SimCse.Tokenization;

namespace SimCse.Tests.Inference;

public sealed class EncoderSessionTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(OnnxPrecision.Fp32, false)]
    [InlineData(OnnxPrecision.Fp32, true)]
    [InlineData(OnnxPrecision.Fp16, true)]
    [InlineData(OnnxPrecision.Int8, true)]
    public void More_callers_than_processors_all_get_the_vectors_of_one(OnnxPrecision precision, bool file)
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        string directory = file ? Exported(goldens.ModelDirectory, precision) : goldens.ModelDirectory;
        using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg, Threads = 2 });
        TokenizedText[][] texts = [.. goldens.Sentences.Select(sentence => new[] { encoder.Tokenize(sentence) })];
        float[][] expected = [.. texts.Select(text => encoder.EncodeTokens(text, cancellationToken: Cancellation).Values.ToArray())]; // by the session that opened the file

        Parallel.For(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = Cancellation }, i =>
            VectorAssert.Close(expected[i % texts.Length], encoder.EncodeTokens(texts[i % texts.Length], threads: i % 3 == 0 ? 2 : 1, Cancellation).Values));
    }

    [Fact]
    public void A_file_that_was_replaced_does_not_answer_beside_the_one_that_was_opened()
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        string directory = Exported(goldens.ModelDirectory);
        using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Threads = 2 });
        encoder.Encode(goldens.Sentences[0]); // all threads: the session that looked at the file
        string path = OnnxExport.PlaceIn(directory, OnnxPrecision.Fp32);
        OnnxExport.Write(goldens.ModelDirectory, path, new() { Pooling = Pooling.Cls, AllowOtherPooling = true });

        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => encoder.EncodeTokens([encoder.Tokenize(goldens.Sentences[0])], threads: 1, Cancellation));

        Assert.Contains($"{path}: was changed since it was opened", refusal.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(OnnxPrecision.Fp32)]
    [InlineData(OnnxPrecision.Int8)]
    public void ONNX_Runtime_leaves_layer_normalisation_in_its_fast_form(OnnxPrecision precision)
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        string written = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "optimized.onnx");
        string path = OnnxExport.PlaceIn(Exported(goldens.ModelDirectory, precision), precision);
        using (SessionOptions options = EncoderSession.Options(threads: 1))
        {
            options.OptimizedModelFilePath = written;
            using InferenceSession session = new(path, options);
        }

        string[] norms = [.. ModelProto.Parser.ParseFrom(File.ReadAllBytes(written)).Graph.Node.Select(node => node.OpType).Where(name => name.EndsWith("LayerNormalization", StringComparison.Ordinal))];

        int layers = EncoderConfig.Load(Path.Combine(goldens.ModelDirectory, "config.json")).Layers;
        Assert.Equal(Enumerable.Repeat("LayerNormalization", 1 + (2 * layers)), norms);
    }

    private static string Exported(string model, OnnxPrecision precision = OnnxPrecision.Fp32)
    {
        string directory = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "exported");
        OnnxExport.WriteDirectory(model, directory, new() { Pooling = Pooling.Avg, Precision = precision });
        return directory;
    }
}
