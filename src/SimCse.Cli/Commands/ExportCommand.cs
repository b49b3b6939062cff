using System.CommandLine;
using System.Globalization;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse export</c>.</summary>
internal static class ExportCommand
{
    private static readonly Option<string?> s_model = CliOption.Base();
    private static readonly Option<OnnxPrecision?> s_precision = CliOption.Precision("how weights are stored and products computed; fp32 where it is not given");
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is stored with the model where it is not given", null);
    private static readonly Option<bool> s_allowOtherPooling = CliOption.Flag("--allow-other-pooling", "take --pooling even where the model is stored with another");
    private static readonly Option<bool> s_normalize = CliOption.Flag("--normalize", "vectors of length one, also where the model does not say so");
    private static readonly Option<int?> s_dimensions = CliOption.Whole("--dimensions", "N", "the components kept of a vector, the first ones; all where it is not given", null, least: 1);
    private static readonly Option<string?> s_output = CliOption.Text("--output", "F",
        "a file that ends in .onnx; or a directory to ship, with the file, the tokenizer and the configuration and no weights; onnx/model.onnx (model_fp16.onnx, model_int8.onnx) in the model's directory where it is not given");

    private static readonly Option<bool> s_json = CliOption.Json("print {\"file\", \"bytes\", \"precision\"}");

    public static Command Create()
    {
        DocumentedCommand command = new("export", "a model as one ONNX file: float32, float16 or 8-bit integers")
        {
            Details = """
                The file takes input_ids and attention_mask and gives last_hidden_state and sentence_embedding: pooled, through the head and
                normalised as the model says. simcse, ONNX Runtime in any language and transformers.js run it. fp16 halves the file and is
                computed in float32; int8 is a quarter of the size and about twice as fast on processors with VNNI.
                """,
            Examples =
            [
                "simcse export --model my-model --precision int8 --output my-model-int8",
                "simcse export --model my-model --output my-model.onnx",
            ],
        };
        command
            .With("options", s_model, s_precision, s_pooling, s_allowOtherPooling, s_normalize, s_dimensions, s_output)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed), cancellationToken));
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        string model = ModelLocation.FindBase(parsed.GetValue(s_model));
        OnnxPrecision precision = parsed.GetValue(s_precision) ?? OnnxPrecision.Fp32;
        SentenceEncoderOptions options = new()
        {
            Precision = precision,
            Pooling = parsed.GetValue(s_pooling),
            AllowOtherPooling = parsed.GetValue(s_allowOtherPooling),
            Normalize = parsed.GetValue(s_normalize) ? true : null,
            Dimensions = parsed.GetValue(s_dimensions),
        };
        string? output = parsed.GetValue(s_output);
        string file = output is null ? OnnxExport.PlaceIn(model, precision) : IsFile(output) ? output : OnnxExport.PlaceIn(output, precision);
        try
        {
            if (output is null || IsFile(output))
            {
                OnnxExport.Write(model, file, options);
            }
            else
            {
                OnnxExport.WriteDirectory(model, output, options);
            }
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw new UsageException($"{model}: {e.Message.Split(" (Parameter", 2)[0]}; it is {e.ActualValue}");
        }

        long bytes = new FileInfo(file).Length;
        Log.Info(string.Create(CultureInfo.InvariantCulture, $"{file}: {precision.ToName()}, {bytes / 1e6:0.0} MB"));
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteString("file", Path.GetFullPath(file));
                json.WriteNumber("bytes", bytes);
                json.WriteString("precision", precision.ToName());
            });
        }

        return ExitStatus.Done;
    }

    private static bool IsFile(string output) => output.EndsWith(".onnx", StringComparison.OrdinalIgnoreCase);
}
