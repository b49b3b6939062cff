using System.Globalization;
using System.Text;
using System.Text.Json;

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
    /// <summary>The plain mean of the tasks' 'all' figures, each rounded to two decimals first (the SimCSE repository's table).</summary>
    public double Average => Tasks.Average(t => Math.Round(t.All, 2));

    /// <summary>What the average is over, and that it is not the seven-task average where it is not: "average of STS12, STS13 (2 of the 3 asked for)".</summary>
    public string AverageLabel
    {
        get
        {
            bool seven = Tasks.Count == StsSuite.SevenTasks.Count && !StsSuite.SevenTasks.Except(Tasks.Select(t => t.Name), StringComparer.Ordinal).Any();
            string over = seven ? "the seven STS tasks" : string.Join(", ", Tasks.Select(t => t.Name));
            return $"average of {over}" + (Missing.Count == 0 ? "" : $" ({Tasks.Count} of the {Tasks.Count + Missing.Count} asked for; not there: {string.Join(", ", Missing.Select(m => m.Name))})");
        }
    }

    /// <summary>
    /// One JSON document: <c>{"model", "pooling", "tasks": {"STS12": {"all", "mean", "wmean", "pairs", "subsets": {"MSRpar": …}}}, "average",
    /// "average_over": […], "missing": […]}</c>; figures rounded to two decimals.
    /// </summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("model", Model);
            json.WriteString("pooling", Pooling);
            json.WriteStartObject("tasks");
            foreach (StsTaskResult task in Tasks)
            {
                json.WriteStartObject(task.Name);
                WriteFigure(json, "all", task.All);
                WriteFigure(json, "mean", task.Mean);
                WriteFigure(json, "wmean", task.WeightedMean);
                json.WriteNumber("pairs", task.Pairs);
                json.WriteStartObject("subsets");
                foreach (StsSubsetResult subset in task.Subsets)
                {
                    WriteFigure(json, subset.Name, subset.Spearman);
                }

                json.WriteEndObject();
                json.WriteEndObject();
            }

            json.WriteEndObject();
            WriteFigure(json, "average", Average);
            json.WriteStartArray("average_over");
            foreach (StsTaskResult task in Tasks)
            {
                json.WriteStringValue(task.Name);
            }

            json.WriteEndArray();
            json.WriteStartArray("missing");
            foreach (MissingSet missing in Missing)
            {
                json.WriteStringValue(missing.Name);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>A Markdown table of the paper's form: a column a task, and the average where there are two tasks or more; below it what is missing.</summary>
    public string ToMarkdown()
    {
        StringBuilder text = new();
        string[] names = [.. Tasks.Select(t => t.Name), .. Tasks.Count > 1 ? ["average"] : Array.Empty<string>()];
        string[] figures = [.. Tasks.Select(t => Figure(t.All)), .. Tasks.Count > 1 ? [Figure(Average)] : Array.Empty<string>()];
        text.Append("| model | pooling | ").AppendJoin(" | ", names).Append(" |\n");
        text.Append("| --- | --- |").Insert(text.Length, " ---: |", names.Length).Append('\n');
        text.Append("| ").Append(Model.Replace("|", "\\|", StringComparison.Ordinal)).Append(" | ").Append(Pooling).Append(" | ").AppendJoin(" | ", figures).Append(" |\n");
        text.Append("\nSpearman × 100");
        if (Tasks.Count > 1)
        {
            text.Append("; ").Append(AverageLabel);
        }

        text.Append(".\n");
        foreach (string line in Missing.Select(m => m.Message).Concat(Remarks))
        {
            text.Append("\n- ").Append(line).Append('\n');
        }

        return text.ToString();
    }

    /// <summary>A table for a terminal: a line a task and subset, with 'all', mean, weighted mean and the number of pairs, then the average and what it is over.</summary>
    public string ToPlainText()
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{Model} ({Pooling}), Spearman × 100\n\n");
        int width = Math.Max(10, Tasks.SelectMany(t => t.Subsets).Select(s => s.Name.Length + 2).DefaultIfEmpty(0).Max());
        text.Append(CultureInfo.InvariantCulture, $"{"task".PadRight(width)}  {"all",6}  {"mean",6}  {"wmean",6}  {"pairs",6}\n");
        foreach (StsTaskResult task in Tasks)
        {
            text.Append(CultureInfo.InvariantCulture, $"{task.Name.PadRight(width)}  {Figure(task.All),6}  {Figure(task.Mean),6}  {Figure(task.WeightedMean),6}  {task.Pairs,6}\n");
            foreach (StsSubsetResult subset in task.Subsets)
            {
                text.Append(CultureInfo.InvariantCulture, $"{("  " + subset.Name).PadRight(width)}  {Figure(subset.Spearman),6}  {"",6}  {"",6}  {subset.Pairs,6}\n");
            }
        }

        if (Tasks.Count > 1)
        {
            text.Append(CultureInfo.InvariantCulture, $"\n{Figure(Average)}  {AverageLabel}\n");
        }

        return text.ToString();
    }

    private static string Figure(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    private static void WriteFigure(Utf8JsonWriter json, string name, double value) => json.WriteNumber(name, Math.Round(value, 2));
}
