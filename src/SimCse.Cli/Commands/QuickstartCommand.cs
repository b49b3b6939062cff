using System.CommandLine;
using System.Diagnostics;
using System.Globalization;
using SimCse.Data;
using SimCse.Evaluation.Plots;
using SimCse.Training;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse quickstart</c>.</summary>
internal static class QuickstartCommand
{
    private static readonly Option<string?> s_model = CliOption.Base();
    private static readonly Option<string> s_output = new("--output")
    {
        HelpName = "DIR",
        Description = "the directory for the model and the plots; an earlier quickstart's is replaced",
        DefaultValueFactory = _ => "quickstart",
    };

    private static readonly Option<int?> s_steps = CliOption.Whole("--max-steps", "N", "batches of 64 texts", Quickstart.DefaultSteps, least: 1);
    private static readonly Option<string?> s_packs = CliOption.Text("--packs", "DIR", "the SDK's packs folder; that of the running SDK where it is not given");
    private static readonly Option<int?> s_threads = CliOption.Threads();
    private static readonly Option<bool> s_json = CliOption.Json("print {\"texts\", \"before\": {…}, \"after\": {…}, \"train\": {…}, \"answers\": [{\"question\", \"apis\"}], \"files\"}");

    public static Command Create()
    {
        DocumentedCommand command = new("quickstart", "the main job on this machine, with no download")
        {
            Details = """
                Trains the default base without labels (unsupervised SimCSE) on the API documentation that ships with the .NET SDK, for about
                two minutes on two cores; measures alignment, uniformity and retrieval on members it never saw, before and after; answers three
                questions with the APIs that lie nearest; writes the model and two plots.
                """,
            Examples = ["simcse quickstart", "simcse quickstart --output api-model --max-steps 400"],
        };
        command
            .With("options", s_model, s_output, s_steps, s_packs, s_threads)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string model = ModelLocation.FindBase(parsed.GetValue(s_model)), output = Path.GetFullPath(parsed.GetRequiredValue(s_output));
        TrainingPlace.SetThreads(parsed.GetValue(s_threads));

        Quickstart.RequireReplaceable(output);
        string packs = parsed.GetValue(s_packs) ?? SdkDocumentation.FindPacks();
        Quickstart quickstart = Quickstart.Read(packs, cancellationToken);
        Log.Info($"{packs}: {quickstart.DistinctTexts:N0} distinct texts; {quickstart.HeldOut:N0} members are held out to judge by");

        Stopwatch watch = Stopwatch.StartNew();
        QuickstartReport report;
        try
        {
            report = quickstart.Run(model, output, parsed.GetValue(s_steps)!.Value, run => TrainingDisplay.Show("held-out MRR@10 × 100", run), cancellationToken);
        }
        catch (OperationCanceledException e)
        {
            throw new InterruptedRunException("the quickstart was stopped; it begins anew next time", e);
        }

        string plane = Path.Combine(output, "alignment-uniformity.svg"), spectrum = Path.Combine(output, "spectrum.svg");
        AlignmentUniformityPlot.Draw([new AlignmentUniformityRun("unsupervised SimCSE", [.. report.Course])], "Alignment against uniformity: API documentation").Save(plane);
        SpectrumPlot.Draw([new NamedSpectrum("before", report.Before.Spectrum), new NamedSpectrum("after", report.After.Spectrum)], "Singular spectrum of the held-out summaries").Save(spectrum);
        if (parsed.GetValue(s_json))
        {
            WriteJson(parsed, quickstart, report, [output, plane, spectrum]);
        }
        else
        {
            WriteText(parsed.InvocationConfiguration.Output, report, [output, plane, spectrum], watch.Elapsed);
        }

        return ExitStatus.Done;
    }

    private static void WriteText(TextWriter to, QuickstartReport report, string[] files, TimeSpan time)
    {
        to.WriteLine();
        to.WriteLine("on members that training never saw        before    after");
        Row("alignment (name to summary; lower: closer)", m => m.Alignment);
        Row("uniformity (lower: more spread out)", m => m.Uniformity);
        Row("effective rank", m => m.EffectiveRank);
        Row("summary found first by name, recall@1 %", m => 100 * m.Retrieval.RecallAt1);
        Row("among the first ten, recall@10 %", m => 100 * m.Retrieval.RecallAt10);
        Row("MRR@10 × 100", m => 100 * m.Retrieval.MeanReciprocalRankAt10);
        foreach ((string question, IReadOnlyList<QuickstartAnswer> answers) in report.Answers)
        {
            to.WriteLine();
            to.WriteLine(question);
            foreach (QuickstartAnswer answer in answers)
            {
                to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {answer.Score:0.000}  {answer.Api}: {Shorten(answer.Summary)}"));
            }
        }

        to.WriteLine();
        to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"in {time.TotalSeconds:0} s; written:"));
        foreach (string file in files)
        {
            to.WriteLine("  " + file);
        }

        void Row(string name, Func<QuickstartMeasurement, double> value) =>
            to.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {name,-40}{value(report.Before),8:0.000} {value(report.After),8:0.000}"));
    }

    private static string Shorten(string text) => text.Length <= 110 ? text : string.Concat(text.AsSpan(0, 109), "…");

    private static void WriteJson(ParseResult parsed, Quickstart quickstart, QuickstartReport report, string[] files) => JsonOutput.Write(parsed, json =>
    {
        json.WriteNumber("texts", quickstart.DistinctTexts);
        Measurement("before", report.Before);
        Measurement("after", report.After);
        json.WriteStartObject("train");
        json.WriteNumber("steps", report.Training.Steps);
        json.WriteNumber("seconds", Math.Round(report.Training.Seconds, 2));
        json.WriteNumber("sentences_per_second", Math.Round(report.Training.SentencesPerSecond, 1));
        json.WriteEndObject();
        json.WriteStartArray("answers");
        foreach ((string question, IReadOnlyList<QuickstartAnswer> answers) in report.Answers)
        {
            json.WriteStartObject();
            json.WriteString("question", question);
            json.WriteStartArray("apis");
            foreach (QuickstartAnswer answer in answers)
            {
                json.WriteStartObject();
                json.WriteString("api", answer.Api);
                json.WriteString("summary", answer.Summary);
                json.WriteNumber("score", Math.Round(answer.Score, 4));
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("files");
        foreach (string file in files)
        {
            json.WriteStringValue(file);
        }

        json.WriteEndArray();

        void Measurement(string name, QuickstartMeasurement m)
        {
            json.WriteStartObject(name);
            json.WriteNumber("alignment", m.Alignment);
            json.WriteNumber("uniformity", m.Uniformity);
            json.WriteNumber("effective_rank", m.EffectiveRank);
            json.WriteNumber("recall_at_1", m.Retrieval.RecallAt1);
            json.WriteNumber("recall_at_10", m.Retrieval.RecallAt10);
            json.WriteNumber("mrr_at_10", m.Retrieval.MeanReciprocalRankAt10);
            json.WriteEndObject();
        }
    });
}
