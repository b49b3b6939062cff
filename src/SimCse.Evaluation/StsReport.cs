using System.Globalization;
using System.Text;

namespace SimCse.Evaluation;

/// <summary>Spearman × 100 of one subset.</summary>
public sealed record StsSubsetResult(string Name, double Spearman, int Pairs);

/// <summary>The figures of one STS set, each Spearman × 100.</summary>
/// <param name="Name">Such as STS12.</param>
/// <param name="All">One correlation over the concatenated subsets: the figure that the paper reports.</param>
/// <param name="Mean">The plain mean over the subsets.</param>
/// <param name="WeightedMean">The mean over the subsets, weighted by their numbers of pairs.</param>
/// <param name="Pairs">The number of pairs.</param>
/// <param name="Subsets">Per subset; empty where the set has no parts.</param>
public sealed record StsTaskResult(string Name, double All, double Mean, double WeightedMean, int Pairs, IReadOnlyList<StsSubsetResult> Subsets);

/// <summary>What a model scores on the STS sets that were asked for and present.</summary>
/// <param name="Model">The model's name or directory.</param>
/// <param name="Pooling">The name of its pooling.</param>
/// <param name="Tasks">In the order asked for.</param>
/// <param name="Missing">Asked for and not there: not in the average.</param>
/// <param name="Remarks">What a reader of the figures should know.</param>
public sealed record StsReport(string Model, string Pooling, IReadOnlyList<StsTaskResult> Tasks, IReadOnlyList<MissingSet> Missing, IReadOnlyList<string> Remarks)
{
    /// <summary>What was done to the vectors before they were judged, and on which texts it was fitted; null for nothing.</summary>
    public string? PostProcessing { get; init; }

    /// <summary>The plain mean of the tasks' 'all' figures, each rounded to two decimals first (the SimCSE repository's table).</summary>
    public double Average => Tasks.Average(t => Math.Round(t.All, 2));

    /// <summary>What the average is over, and that it is not the seven-task average where it is not: "average of STS12, STS13 (2 of the 3 asked for)".</summary>
    public string AverageLabel => ReportText.AverageLabel("the seven STS tasks", StsSuite.SevenTasks, [.. Tasks.Select(t => t.Name)], Missing);

    /// <summary>
    /// One JSON document: <c>{"model", "pooling", "tasks": {"STS12": {"all", "mean", "wmean", "pairs", "subsets": {"MSRpar": …}}}, "average",
    /// "average_over": […], "missing": […]}</c>; figures rounded to two decimals.
    /// </summary>
    public string ToJson() => ReportText.Json(json =>
    {
        json.WriteString("model", Model);
        json.WriteString("pooling", Pooling);
        ReportText.WritePostProcessing(json, PostProcessing);
        json.WriteStartObject("tasks");
        foreach (StsTaskResult task in Tasks)
        {
            json.WriteStartObject(task.Name);
            ReportText.WriteFigure(json, "all", task.All);
            ReportText.WriteFigure(json, "mean", task.Mean);
            ReportText.WriteFigure(json, "wmean", task.WeightedMean);
            json.WriteNumber("pairs", task.Pairs);
            json.WriteStartObject("subsets");
            foreach (StsSubsetResult subset in task.Subsets)
            {
                ReportText.WriteFigure(json, subset.Name, subset.Spearman);
            }

            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndObject();
        ReportText.WriteAverage(json, Average, Tasks.Select(t => t.Name), Missing);
    });

    /// <summary>A Markdown table of the paper's form: a column a task, and the average where there are two tasks or more; below it what is missing.</summary>
    public string ToMarkdown() => ReportText.Markdown(Model, ReportText.PoolingLabel(Pooling, PostProcessing), [.. Tasks.Select(t => (t.Name, t.All))], Average, "Spearman × 100", AverageLabel, Missing, Remarks);

    /// <summary>A table for a terminal: a line a task and subset, with 'all', mean, weighted mean and the number of pairs, then the average and what it is over.</summary>
    public string ToPlainText()
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{Model} ({ReportText.PoolingLabel(Pooling, PostProcessing)}), Spearman × 100\n\n");
        int width = Math.Max(10, Tasks.SelectMany(t => t.Subsets).Select(s => s.Name.Length + 2).DefaultIfEmpty(0).Max());
        text.Append(CultureInfo.InvariantCulture, $"{"task".PadRight(width)}  {"all",6}  {"mean",6}  {"wmean",6}  {"pairs",6}\n");
        foreach (StsTaskResult task in Tasks)
        {
            text.Append(CultureInfo.InvariantCulture, $"{task.Name.PadRight(width)}  {ReportText.Figure(task.All),6}  {ReportText.Figure(task.Mean),6}  {ReportText.Figure(task.WeightedMean),6}  {task.Pairs,6}\n");
            foreach (StsSubsetResult subset in task.Subsets)
            {
                text.Append(CultureInfo.InvariantCulture, $"{("  " + subset.Name).PadRight(width)}  {ReportText.Figure(subset.Spearman),6}  {"",6}  {"",6}  {subset.Pairs,6}\n");
            }
        }

        if (Tasks.Count > 1)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{ReportText.Figure(Average)}  {AverageLabel}\n");
        }

        return text.ToString();
    }
}
