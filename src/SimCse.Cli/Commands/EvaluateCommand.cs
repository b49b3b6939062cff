using System.CommandLine;
using SimCse.Evaluation;
using SimCse.Evaluation.Rivals;
using SimCse.Evaluation.Transfer;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse evaluate</c>.</summary>
internal static class EvaluateCommand
{
    private static readonly Option<string?> s_model = CliOption.Model();
    private static readonly Option<string> s_suite = new("--suite")
    {
        HelpName = "SUITE",
        Description = $"sts (the paper's seven sets), ko (KorSTS), or some of {string.Join(", ", StsSuite.KnownTasks)}, separated by commas; or transfer (the seven tasks), or some of {string.Join(", ", TransferSuite.KnownTasks)}",
        DefaultValueFactory = _ => "sts",
    };

    private static readonly Option<string> s_data = CliOption.Required("--data", "DIR", "the folder with the sets, in the TSV layout (sts/STS12/MSRpar.tsv, stsb/test.tsv) or SentEval's own");
    private static readonly Option<Pooling?> s_pooling = CliOption.Pooling("what is stored with the model where it is not given", null);
    private static readonly PostProcessingSettings s_postProcessing = new(whereNotGiven: "each set's own sentences");
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<bool> s_json = CliOption.Json("print {\"model\", \"pooling\", \"tasks\": {NAME: {\"all\", \"mean\", \"wmean\", \"pairs\", \"subsets\"} or {\"accuracy\", \"dev\", …}}, \"average\", …}");
    private static readonly Option<bool> s_markdown = CliOption.Flag("--markdown", "print a Markdown table");

    public static Command Create()
    {
        DocumentedCommand command = new("evaluate", "judge a model by semantic textual similarity, or by transfer tasks")
        {
            Details = """
                Spearman correlation × 100 of cosines with the gold scores: 'all' is one correlation over a set's concatenated subsets, the
                figure of the paper; 'mean' and 'wmean' are over the subsets. A set that is not there is named, and the average is over those
                that are. Texts are cut at the model's own limit only.

                Transfer: the accuracy of logistic regression on the frozen vectors, trained and chosen as SentEval does it (its folds, its order,
                its stopping rule); minutes on two processor cores.
                """,
            Examples =
            [
                "simcse evaluate --model my-model --suite sts --data data",
                "simcse evaluate --model bert-base-uncased --pooling avg_first_last --suite STS12,STSB --data SentEval/data --json",
                "simcse evaluate --model my-model --suite transfer --data data",
                "simcse evaluate --model bert-base-uncased --pooling avg_first_last --whiten 256 --suite sts --data data",
            ],
        };
        command
            .With("options", s_model, s_suite, s_data, s_pooling, s_threads)
            .With("rivals without training", s_postProcessing.Options)
            .With("output", s_json, s_markdown)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        s_postProcessing.Validate(command, required: false);
        command.Validators.Add(result =>
        {
            if (result.GetValue(s_json) && result.GetValue(s_markdown))
            {
                result.AddError("--json and --markdown exclude each other");
            }
        });
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string suite = parsed.GetRequiredValue(s_suite);
        bool transfer = TransferSuite.FindNames(suite) is not null;
        if (!transfer)
        {
            UsageException.Require(() => StsSuite.ParseNames(suite));
        }

        (string json, string markdown, string plain) = transfer ? Transfer(parsed, suite, cancellationToken) : Sts(parsed, suite, cancellationToken);
        parsed.InvocationConfiguration.Output.WriteLine((parsed.GetValue(s_json) ? json : parsed.GetValue(s_markdown) ? markdown : plain).TrimEnd());
        return ExitStatus.Done;
    }

    private static (string Json, string Markdown, string Plain) Sts(ParseResult parsed, string name, CancellationToken cancellationToken)
    {
        StsSuite suite = StsSuite.Load(parsed.GetRequiredValue(s_data), name);
        Warn(suite.Missing, suite.Remarks);
        using SentenceEncoder encoder = Load(parsed);
        (ISentenceEncoder judged, PostProcessing? perSet) = PostProcessed(parsed, encoder, cancellationToken);
        StsReport report = suite.Evaluate(judged, LoadedModel.Name(parsed.GetValue(s_model)), encoder.Pooling.ToName(), perSet, cancellationToken) with { PostProcessing = Label(parsed) };
        return (report.ToJson(), report.ToMarkdown(), report.ToPlainText());
    }

    private static (string Json, string Markdown, string Plain) Transfer(ParseResult parsed, string name, CancellationToken cancellationToken)
    {
        TransferSuite suite = TransferSuite.Load(parsed.GetRequiredValue(s_data), name);
        Warn(suite.Missing, suite.Remarks);
        using SentenceEncoder encoder = Load(parsed);
        (ISentenceEncoder judged, PostProcessing? perSet) = PostProcessed(parsed, encoder, cancellationToken);
        TransferReport report = suite.Evaluate(
            judged, LoadedModel.Name(parsed.GetValue(s_model)), encoder.Pooling.ToName(), perSet, parsed.GetValue(s_threads), new LogLines(), cancellationToken) with
        { PostProcessing = Label(parsed) };
        return (report.ToJson(), report.ToMarkdown(), report.ToPlainText());
    }

    private static SentenceEncoder Load(ParseResult parsed) => LoadedModel.ForJudging(parsed.GetValue(s_model), parsed.GetValue(s_pooling), parsed.GetValue(s_threads));

    /// <summary>A map that is fitted to texts of the user's goes with the encoder; one that is fitted to what is judged is left to the suite.</summary>
    private static (ISentenceEncoder Judged, PostProcessing? PerSet) PostProcessed(ParseResult parsed, SentenceEncoder encoder, CancellationToken cancellationToken) =>
        s_postProcessing.Fitted(parsed, encoder, cancellationToken) is { } map ? (new PostProcessedEncoder(encoder, map), null) : (encoder, s_postProcessing.Asked(parsed));

    private static string? Label(ParseResult parsed) => s_postProcessing.Label(parsed, whereNotGiven: "each set");

    private static void Warn(IEnumerable<MissingSet> missing, IEnumerable<string> remarks)
    {
        foreach (string line in missing.Select(m => m.Message).Concat(remarks))
        {
            Log.Warning(line);
        }
    }

    private sealed class LogLines : IProgress<string>
    {
        public void Report(string value) => Log.Info(value);
    }
}
