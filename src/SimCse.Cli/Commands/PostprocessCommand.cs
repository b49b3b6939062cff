using System.CommandLine;
using SimCse.Checkpoints;
using SimCse.Evaluation.Rivals;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse postprocess</c>.</summary>
internal static class PostprocessCommand
{
    private static readonly Option<string?> s_model = CliOption.Model();
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is stored with the model where it is not given", null);
    private static readonly PostProcessingSettings s_postProcessing = new(whereNotGiven: null);
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<string> s_output = CliOption.Required("--output", "DIR", "the model directory to write");

    public static Command Create()
    {
        DocumentedCommand command = new("postprocess", "write a model whose vectors are whitened, or have lost their common directions")
        {
            Details = """
                Fits a linear map to the vectors of texts, without labels and without training, and writes the model with the map in it, as the
                dense module after pooling (2_Dense) that sentence-transformers, simcse and its ONNX export apply. What it is worth on your data
                simcse evaluate says, with the same options.
                """,
            Examples = ["simcse postprocess --model my-model --whiten 256 --fit-on texts.txt --output my-model-256"],
        };
        command
            .With("options", s_model, s_pooling)
            .With("the map", s_postProcessing.Options)
            .With("output", s_output, s_threads)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        s_postProcessing.Validate(command, required: true);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string model = ModelLocation.Find(parsed.GetValue(s_model)), output = parsed.GetRequiredValue(s_output);
        using SentenceEncoder encoder = LoadedModel.ForJudging(parsed.GetValue(s_model), parsed.GetValue(s_pooling), parsed.GetValue(s_threads));
        DenseHead map = s_postProcessing.Fitted(parsed, encoder, cancellationToken)!;
        PostProcessedModel.Write(model, encoder.Pooling, map, s_postProcessing.Label(parsed, whereNotGiven: "")!, output);
        Log.Info($"{output}: {map.InFeatures} to {map.OutFeatures} components");
        return ExitStatus.Done;
    }
}
