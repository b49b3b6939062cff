using System.Diagnostics;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SimCse.Tests.Inference;

/// <summary>Against transformers.js on the ONNX files that we export: eng/transformers-js/setup installs it.</summary>
public sealed class TransformersJsTests
{
    private static readonly JsonSerializerOptions s_json = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static string Folder { get; } = Path.Combine(RepositoryPaths.Root, "eng", "transformers-js");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg, "mean", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("tiny-bert", Pooling.ClsBeforePooler, "cls", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("tiny-roberta", Pooling.Avg, "mean", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("tiny-roberta", Pooling.ClsBeforePooler, "cls", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("all-MiniLM-L6-v2", Pooling.Avg, "mean", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("all-MiniLM-L6-v2", Pooling.ClsBeforePooler, "cls", OnnxPrecision.Fp32, 1e-4f)]
    [InlineData("tiny-bert", Pooling.Avg, "mean", OnnxPrecision.Fp16, 1e-4f)]
    [InlineData("tiny-bert", Pooling.Avg, "mean", OnnxPrecision.Int8, 1e-2f)] // another release of ONNX Runtime: the last digit of a float moves some integers by one
    public async Task Vectors_equal_those_of_transformers_js_on_the_exported_file(string model, Pooling pooling, string name, OnnxPrecision precision, float tolerance)
    {
        Assert.SkipUnless(Directory.Exists(Path.Combine(Folder, "node_modules", "@huggingface", "transformers")), "needs the npm package @huggingface/transformers: run eng/transformers-js/setup");
        using Goldens goldens = Goldens.Open(model);
        SentenceEncoderOptions options = new() { Pooling = pooling, AllowOtherPooling = true, Precision = precision };
        string directory = RepositoryPaths.NewTemporaryDirectory() + "/exported";
        OnnxExport.WriteDirectory(goldens.ModelDirectory, directory, options);
        using SentenceEncoder encoder = SentenceEncoder.Load(goldens.ModelDirectory, options);

        // Where it cuts a text it cuts the closing special token off too, as no other implementation does.
        string[] sentences = [.. goldens.Sentences.Where(sentence => !encoder.Tokenizer.Encode(sentence, encoder.MaxLength).Truncated)];

        float[][] theirs = await Embed(directory, precision, name, sentences);

        Assert.Equal(sentences.Length, theirs.Length);
        Assert.InRange(sentences.Length, 20, goldens.Sentences.Length);
        for (int i = 0; i < theirs.Length; i++)
        {
            VectorAssert.Close(theirs[i], encoder.Encode(sentences[i]), tolerance);
        }
    }

    private static async Task<float[][]> Embed(string model, OnnxPrecision precision, string pooling, IEnumerable<string> texts)
    {
        ProcessStartInfo start = new("node", [Path.Combine(Folder, "embed.mjs"), model, precision.ToName(), pooling, "false"])
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
        };
        using Process node = Process.Start(start)!;
        Task<string> output = node.StandardOutput.ReadToEndAsync(Cancellation), errors = node.StandardError.ReadToEndAsync(Cancellation);
        foreach (string text in texts)
        {
            await node.StandardInput.WriteLineAsync(JsonSerializer.Serialize(text, s_json));
        }

        node.StandardInput.Close();
        await node.WaitForExitAsync(Cancellation);
        Assert.True(node.ExitCode == 0, await errors);
        return [.. (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize<float[]>(line)!)];
    }
}
