using System.CommandLine;
using SimCse.Evaluation;
using SimCse.Evaluation.Plots;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse analyze</c>.</summary>
internal static class AnalyzeCommand
{
    private static readonly Option<string[]> s_models = CliOption.Models();
    private static readonly Option<string[]> s_poolings = CliOption.Poolings();
    private static readonly Option<string> s_data = CliOption.Required("--data", "DIR", "the folder with STS-B dev (stsb/dev.tsv, or SentEval's STSBenchmark/sts-dev.csv)");
    private static readonly PostProcessingSettings s_postProcessing = new(whereNotGiven: "the sentences that are analyzed");
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<string?> s_output = CliOption.Text("--output", "DIR", "also draw spectrum.svg, alignment-uniformity.svg and cosine-density.svg there");
    private static readonly Option<bool> s_json = CliOption.Json("print {\"alignment\", \"uniformity\", \"effective_rank\", \"mean_cosine\", \"singular_values\": […], …}; of several models {\"models\": […]}");
    private static readonly Option<bool> s_markdown = CliOption.Flag("--markdown", "print Markdown tables");

    public static Command Create()
    {
        DocumentedCommand command = new("analyze", "how the vectors of a model, or of several, lie in space")
        {
            Details = """
                Measured on STS-B dev. alignment: the mean squared distance of the unit vectors of pairs scored above 4 (lower is better);
                uniformity: the log of the mean of exp(-2 squared distance) over all pairs of distinct sentences (lower is better); effective
                rank: the exponential of the entropy of the singular values; the spectrum is that of the raw vectors, its largest value 1;
                length bias: the rank correlation of the cosine with the difference in words; hubness: the skewness of how often a sentence is
                among the ten nearest of others; gold 0-1 to 4-5: the cosines of pairs by what people scored them.
                """,
            Examples =
            [
                "simcse analyze --model my-model --data data --output plots",
                "simcse analyze --model bert-base-uncased my-model --pooling avg cls --data data --output plots",
            ],
        };
        command
            .With("options", s_models, s_poolings, s_data, s_threads)
            .With("rivals without training", s_postProcessing.Options)
            .With("output", s_json, s_markdown, s_output)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        s_postProcessing.Validate(command, required: false);
        command.Validators.Add(result =>
        {
            if (result.GetValue(s_json) && result.GetValue(s_markdown))
            {
                result.AddError("--json and --markdown exclude each other");
            }

            int models = Math.Max(1, (result.GetValue(s_models) ?? []).Length), poolings = (result.GetValue(s_poolings) ?? []).Length;
            if (poolings > 1 && poolings != models)
            {
                result.AddError($"{poolings} poolings for {models} models; expected one for all, or one for each");
            }
        });
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        StsTask task = StsSuite.Load(parsed.GetRequiredValue(s_data), "STSB-dev").Tasks[0];
        string?[] models = parsed.GetValue(s_models) is { Length: > 0 } given ? [.. given] : new string?[1];
        string[] poolings = parsed.GetValue(s_poolings) ?? [];
        AnalysisReport report = new(task.Name, [.. models.Select((model, i) =>
            Analyze(parsed, task, model, poolings.Length == 0 ? null : PoolingNames.Parse(poolings[poolings.Length == 1 ? 0 : i]), cancellationToken))]);
        if (parsed.GetValue(s_output) is { } folder)
        {
            Directory.CreateDirectory(folder);
            Draw(folder, report);
        }

        parsed.InvocationConfiguration.Output.WriteLine(
            (parsed.GetValue(s_json) ? report.ToJson() : parsed.GetValue(s_markdown) ? report.ToMarkdown() : report.ToPlainText()).TrimEnd());
        return ExitStatus.Done;
    }

    private static AnalyzedModel Analyze(ParseResult parsed, StsTask task, string? model, Pooling? pooling, CancellationToken cancellationToken)
    {
        using SentenceEncoder encoder = LoadedModel.ForJudging(model, pooling, parsed.GetValue(s_threads));
        EmbeddingMatrix vectors = encoder.Encode(task.Sentences, cancellationToken);
        if (s_postProcessing.Asked(parsed) is { } postProcessing)
        {
            vectors = s_postProcessing.Fitted(parsed, encoder, cancellationToken)?.Apply(vectors) ?? postProcessing.FitAndApply(vectors, task.Name);
        }

        string label = encoder.Pooling.ToName() + (s_postProcessing.Label(parsed, task.Name) is { } done ? $", {done}" : "");
        return new AnalyzedModel(LoadedModel.Name(model), label, EmbeddingAnalysis.Of(task, vectors));
    }

    private static void Draw(string folder, AnalysisReport report)
    {
        (string Name, EmbeddingAnalysis Analysis)[] models = [.. report.Models.Select(m => ($"{ShortName(m.Model)} ({m.Pooling})", m.Analysis))];
        SpectrumPlot.Draw([.. models.Select(m => new NamedSpectrum(m.Name, m.Analysis.SingularValues))]).Save(Path.Combine(folder, "spectrum.svg"));
        AlignmentUniformityPlot.Draw([.. models.Select(m => new AlignmentUniformityRun(m.Name, [new AlignmentUniformityPoint(0, m.Analysis.Alignment, m.Analysis.Uniformity)]))], "Alignment against uniformity")
            .Save(Path.Combine(folder, "alignment-uniformity.svg"));
        CosineDensityPlot.Draw([.. models.Select(m => new NamedCosineGroups(m.Name, m.Analysis.CosineGroups))]).Save(Path.Combine(folder, "cosine-density.svg"));
    }

    /// <summary>The last part of a directory's path.</summary>
    private static string ShortName(string model) => Path.GetFileName(Path.TrimEndingDirectorySeparator(model)) is { Length: > 0 } name ? name : model;
}
