using System.Globalization;
using System.Text;

namespace SimCse.Evaluation.Transfer;

/// <summary>What a model reaches on the transfer tasks that were asked for and present.</summary>
/// <param name="Model">The model's name or directory.</param>
/// <param name="Pooling">The name of its pooling.</param>
/// <param name="Tasks">In the order asked for.</param>
/// <param name="Missing">Asked for and not there: not in the average.</param>
/// <param name="Remarks">What a reader of the figures should know.</param>
/// <param name="EncodingSeconds">What the vectors of all tasks took.</param>
public sealed record TransferReport(
    string Model, string Pooling, IReadOnlyList<TransferTaskResult> Tasks, IReadOnlyList<MissingSet> Missing, IReadOnlyList<string> Remarks, double EncodingSeconds)
{
    /// <summary>What was done to the vectors before they were judged, and on which texts it was fitted; null for nothing.</summary>
    public string? PostProcessing { get; init; }

    /// <summary>The plain mean of the tasks' accuracies, each rounded to two decimals first.</summary>
    public double Average => Tasks.Average(t => Math.Round(t.Accuracy, 2));

    /// <summary>All of the time: encoding and fitting.</summary>
    public double Seconds => EncodingSeconds + Tasks.Sum(t => t.Seconds);

    private string AverageLabel => ReportText.AverageLabel("the seven transfer tasks", TransferSuite.KnownTasks, [.. Tasks.Select(t => t.Name)], Missing);

    /// <summary>
    /// One JSON document: <c>{"model", "pooling", "tasks": {"MR": {"accuracy", "dev", "l2": […], "train", "test", "seconds"}}, "average", "average_over": […],
    /// "missing": […], "encoding_seconds", "seconds"}</c>; accuracies in per cent.
    /// </summary>
    public string ToJson() => ReportText.Json(json =>
    {
        json.WriteString("model", Model);
        json.WriteString("pooling", Pooling);
        ReportText.WritePostProcessing(json, PostProcessing);
        json.WriteStartObject("tasks");
        foreach (TransferTaskResult task in Tasks)
        {
            json.WriteStartObject(task.Name);
            ReportText.WriteFigure(json, "accuracy", task.Accuracy);
            ReportText.WriteFigure(json, "dev", task.DevAccuracy);
            json.WriteStartArray("l2");
            foreach (double l2 in task.L2)
            {
                json.WriteNumberValue(l2);
            }

            json.WriteEndArray();
            json.WriteNumber("train", task.TrainExamples);
            json.WriteNumber("test", task.TestExamples);
            ReportText.WriteFigure(json, "seconds", task.Seconds);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        ReportText.WriteAverage(json, Average, Tasks.Select(t => t.Name), Missing);
        ReportText.WriteFigure(json, "encoding_seconds", EncodingSeconds);
        ReportText.WriteFigure(json, "seconds", Seconds);
    });

    /// <summary>A Markdown table of the paper's form: a column a task, and the average where there are two tasks or more; below it the time and what is missing.</summary>
    public string ToMarkdown() => ReportText.Markdown(
        Model, ReportText.PoolingLabel(Pooling, PostProcessing), [.. Tasks.Select(t => (t.Name, t.Accuracy))], Average, "Accuracy in per cent", AverageLabel, Missing, [.. Remarks, TimeLine]);

    /// <summary>A table for a terminal: a line a task, with the accuracy, that on dev, the numbers of examples and the time, then the average and what it is over.</summary>
    public string ToPlainText()
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{Model} ({ReportText.PoolingLabel(Pooling, PostProcessing)}), accuracy in per cent\n\n{"task",-6}  {"test",6}  {"dev",6}  {"train",6}  {"tested",6}  {"seconds",7}\n");
        foreach (TransferTaskResult task in Tasks)
        {
            text.Append(CultureInfo.InvariantCulture, $"{task.Name,-6}  {ReportText.Figure(task.Accuracy),6}  {ReportText.Figure(task.DevAccuracy),6}  {task.TrainExamples,6}  {task.TestExamples,6}  {task.Seconds,7:0.0}\n");
        }

        text.Append(Tasks.Count > 1 ? $"\n{ReportText.Figure(Average)}  {AverageLabel}\n" : "");
        return text.Append('\n').Append(TimeLine).Append('\n').ToString();
    }

    private string TimeLine => FormattableString.Invariant($"{Seconds:0} seconds: {EncodingSeconds:0} for the vectors, {Seconds - EncodingSeconds:0} for the classifiers");
}
