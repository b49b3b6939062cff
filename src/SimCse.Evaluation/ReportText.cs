using System.Globalization;
using System.Text;
using System.Text.Json;

namespace SimCse.Evaluation;

/// <summary>What the reports of all suites have in common.</summary>
internal static class ReportText
{
    /// <summary>A figure in per cent or × 100, with two decimals.</summary>
    public static string Figure(double value) => value.ToString("F2", CultureInfo.InvariantCulture);

    /// <summary>A figure, rounded to two decimals.</summary>
    public static void WriteFigure(Utf8JsonWriter json, string name, double value) => json.WriteNumber(name, Math.Round(value, 2));

    /// <summary>One indented object.</summary>
    public static string Json(Action<Utf8JsonWriter> writeFields)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            writeFields(json);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>The pooling, and what was done to the vectors after it.</summary>
    public static string PoolingLabel(string pooling, string? postProcessing) => postProcessing is null ? pooling : $"{pooling}, {postProcessing}";

    /// <summary>A field where something was done to the vectors, nothing where not.</summary>
    public static void WritePostProcessing(Utf8JsonWriter json, string? postProcessing)
    {
        if (postProcessing is not null)
        {
            json.WriteString("post_processing", postProcessing);
        }
    }

    /// <summary>The average, what it is over, and what is missing.</summary>
    public static void WriteAverage(Utf8JsonWriter json, double average, IEnumerable<string> over, IReadOnlyList<MissingSet> missing)
    {
        WriteFigure(json, "average", average);
        WriteNames("average_over", over);
        WriteNames("missing", missing.Select(m => m.Name));

        void WriteNames(string name, IEnumerable<string> names)
        {
            json.WriteStartArray(name);
            foreach (string one in names)
            {
                json.WriteStringValue(one);
            }

            json.WriteEndArray();
        }
    }

    /// <summary>What an average is over, and that it is not that of the whole suite where it is not: "average of STS12, STS13 (2 of the 3 asked for; …)".</summary>
    public static string AverageLabel(string wholeName, IReadOnlyList<string> whole, IReadOnlyList<string> names, IReadOnlyList<MissingSet> missing)
    {
        bool all = names.Count == whole.Count && !whole.Except(names, StringComparer.Ordinal).Any();
        return $"average of {(all ? wholeName : string.Join(", ", names))}"
            + (missing.Count == 0 ? "" : $" ({names.Count} of the {names.Count + missing.Count} asked for; not there: {string.Join(", ", missing.Select(m => m.Name))})");
    }

    /// <summary>A table of the paper's form, and below it what the figures are, what is missing and what is to be known.</summary>
    public static string Markdown(
        string model, string pooling, IReadOnlyList<(string Name, double Value)> tasks, double average, string unit, string averageLabel, IReadOnlyList<MissingSet> missing, IReadOnlyList<string> remarks)
    {
        (string Name, double Value)[] columns = [.. tasks, .. tasks.Count > 1 ? [("average", average)] : Array.Empty<(string, double)>()];
        StringBuilder text = new();
        text.Append("| model | pooling | ").AppendJoin(" | ", columns.Select(c => c.Name)).Append(" |\n");
        text.Append("| --- | --- |").Insert(text.Length, " ---: |", columns.Length).Append('\n');
        text.Append("| ").Append(model.Replace("|", "\\|", StringComparison.Ordinal)).Append(" | ").Append(pooling).Append(" | ").AppendJoin(" | ", columns.Select(c => Figure(c.Value))).Append(" |\n");
        text.Append('\n').Append(unit).Append(tasks.Count > 1 ? $"; {averageLabel}" : "").Append(".\n");
        foreach (string line in missing.Select(m => m.Message).Concat(remarks))
        {
            text.Append("\n- ").Append(line).Append('\n');
        }

        return text.ToString();
    }
}
