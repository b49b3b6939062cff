using System.CommandLine;
using System.Globalization;
using SimCse.Evaluation;
using SimCse.Evaluation.Plots;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse analyze</c>.</summary>
internal static class AnalyzeCommand
{
    private static readonly Option<string?> s_model = CliOption.Model();
    private static readonly Option<string> s_data = CliOption.Required("--data", "DIR", "the folder with STS-B dev (stsb/dev.tsv, or SentEval's STSBenchmark/sts-dev.csv)");
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is stored with the model where it is not given", null);
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<string?> s_output = CliOption.Text("--output", "DIR", "also draw spectrum.svg and alignment-uniformity.svg there");
    private static readonly Option<bool> s_json = CliOption.Json("print {\"alignment\", \"uniformity\", \"effective_rank\", \"mean_cosine\", \"singular_values\": […], …}");

    public static Command Create()
    {
        DocumentedCommand command = new("analyze", "alignment, uniformity, spectrum and mean cosine of a model's vectors")
        {
            Details = """
                Measured on STS-B dev. alignment: the mean squared distance of the unit vectors of pairs scored above 4 (lower is better);
                uniformity: the log of the mean of exp(-2 squared distance) over all pairs of distinct sentences (lower is better); effective
                rank: the exponential of the entropy of the singular values; the spectrum is that of the raw vectors, its largest value 1.
                """,
            Examples = ["simcse analyze --model my-model --data data --output plots"],
        };
        command
            .With("options", s_model, s_data, s_pooling, s_threads)
            .With("output", s_json, s_output)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        StsTask task = StsSuite.Load(parsed.GetRequiredValue(s_data), "STSB-dev").Tasks[0];
        using SentenceEncoder encoder = LoadedModel.ForJudging(parsed.GetValue(s_model), parsed.GetValue(s_pooling), parsed.GetValue(s_threads));
        EmbeddingAnalysis analysis = EmbeddingAnalysis.Of(task, encoder, cancellationToken);
        if (parsed.GetValue(s_output) is { } folder)
        {
            Directory.CreateDirectory(folder);
            Draw(folder, $"{LoadedModel.Name(parsed.GetValue(s_model))} ({encoder.Pooling.ToName()})", analysis);
        }

        TextWriter output = parsed.InvocationConfiguration.Output;
        if (parsed.GetValue(s_json))
        {
            output.WriteLine(analysis.ToJson());
            return ExitStatus.Done;
        }

        output.WriteLine($"{LoadedModel.Name(parsed.GetValue(s_model))} ({encoder.Pooling.ToName()}) on {task.Name}: {analysis.Sentences} sentences, {analysis.PositivePairs} positive pairs");
        output.WriteLine();
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"alignment       {analysis.Alignment:0.0000}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"uniformity      {analysis.Uniformity:0.0000}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"effective rank  {analysis.EffectiveRank:0.0} of {encoder.Dimensions}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"mean cosine     {analysis.MeanCosine:0.0000}"));
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"singular values {string.Join(" ", analysis.SingularValues.Take(8).Select(v => v.ToString("0.000", CultureInfo.InvariantCulture)))} …"));
        return ExitStatus.Done;
    }

    private static void Draw(string folder, string name, EmbeddingAnalysis analysis)
    {
        SpectrumPlot.Draw([new NamedSpectrum(name, analysis.SingularValues)]).Save(Path.Combine(folder, "spectrum.svg"));
        AlignmentUniformityPlot.Draw([new AlignmentUniformityRun(name, [new AlignmentUniformityPoint(0, analysis.Alignment, analysis.Uniformity)])], "Alignment against uniformity")
            .Save(Path.Combine(folder, "alignment-uniformity.svg"));
    }
}
