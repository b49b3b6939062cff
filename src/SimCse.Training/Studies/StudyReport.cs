using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Evaluation.Plots;

namespace SimCse.Training.Studies;

/// <summary>The table of a study, beside the paper's: Markdown, JSON and, where it has more than one row, a plot.</summary>
/// <param name="Study">The study.</param>
/// <param name="Cells">Its cells with what has been run.</param>
/// <param name="Seeds">The seeds.</param>
/// <param name="Model">The base model's name.</param>
/// <param name="ScoreName">What the score is.</param>
/// <param name="Data">The data of the runs, in a line.</param>
public sealed record StudyReport(Study Study, IReadOnlyList<StudyCell> Cells, IReadOnlyList<long> Seeds, string Model, string ScoreName, string Data)
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Writes <c>NAME.md</c>, <c>NAME.json</c> and <c>NAME.svg</c> into a folder.</summary>
    /// <param name="folder">Is there.</param>
    /// <returns>The files.</returns>
    public IReadOnlyList<string> Write(string folder)
    {
        string[] paths = [.. new[] { ".md", ".json", ".svg" }.Select(ending => Path.Combine(folder, Study.Name + ending))];
        AtomicFile.Write(paths[0], stream => stream.Write(Encoding.UTF8.GetBytes(ToMarkdown())));
        AtomicFile.Write(paths[1], stream => stream.Write(Encoding.UTF8.GetBytes(ToJson().ToJsonString(s_indented) + "\n")));
        Draw().Save(paths[2]);
        return paths;
    }

    /// <summary>The table.</summary>
    public string ToMarkdown()
    {
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"### {Study.Title} ({Study.Source})\n\n{Model}; {Data}; {Of(Seeds.Count, "seed")} ({string.Join(", ", Seeds)}); mean ± standard deviation at the best evaluation. The score is {ScoreName}.\n\n");
        text.Append("| | score | paper (BERT-base, STS-B dev) | alignment | uniformity | runs |\n| --- | ---: | ---: | ---: | ---: | ---: |\n");
        foreach (StudyCell cell in Cells)
        {
            StudyRun[] failed = [.. cell.Runs.Where(r => r.Failure is not null)];
            string runs = failed.Length == 0 ? $"{cell.Runs.Count}" : $"{cell.Runs.Count}, {failed.Length} stopped at step {string.Join(", ", failed.Select(r => r.BestStep))}";
            text.Append(CultureInfo.InvariantCulture, $"| {Label(cell.Variant)} | {Show(cell.Score, 2)} | {cell.Variant.Paper?.ToString("0.0", CultureInfo.InvariantCulture)} | {Show(cell.Alignment, 3)} | {Show(cell.Uniformity, 3)} | {runs} |\n");
        }

        foreach (string left in Study.LeftOut)
        {
            text.Append(CultureInfo.InvariantCulture, $"\nLeft out: {left}.\n");
        }

        return text.ToString();
    }

    /// <summary>The table and the runs behind it: <c>{"study", "source", "model", "data", "score", "seeds", "cells": [{"row", "column", "paper", "score", "score_sd", …, "runs": […]}]}</c>.</summary>
    public JsonObject ToJson() => new()
    {
        ["study"] = Study.Name,
        ["title"] = Study.Title,
        ["source"] = Study.Source,
        ["model"] = Model,
        ["data"] = Data,
        ["score"] = ScoreName,
        ["seeds"] = new JsonArray([.. Seeds.Select(s => (JsonNode)s)]),
        ["cells"] = new JsonArray([.. Cells.Select(CellToJson)]),
        ["left_out"] = new JsonArray([.. Study.LeftOut.Select(l => (JsonNode)l)]),
    };

    private Plot Draw()
    {
        if (Study.IsCourse)
        {
            return AlignmentUniformityPlot.Draw([.. Cells.Select(c => new AlignmentUniformityRun(Label(c.Variant), MeanCourse(c.Runs)))], Study.Title);
        }

        string[] rows = [.. Study.Variants.Select(v => v.Row).Distinct(StringComparer.Ordinal)];
        ILookup<(string Row, string Column), StudyCell> cells = Cells.ToLookup(c => (c.Variant.Row, c.Variant.Column));
        ILookup<(string Row, string Column), StudyVariant> variants = Study.Variants.ToLookup(v => (v.Row, v.Column));
        return StudyPlot.Draw(Study.Title, ScoreName, rows, [.. Study.Variants.Select(v => v.Column).Distinct(StringComparer.Ordinal).Select(column => new StudySeries(
            column.Length == 0 ? "here" : column,
            [.. rows.Select(row => cells[(row, column)].FirstOrDefault()?.Score)],
            [.. rows.Select(row => variants[(row, column)].FirstOrDefault()?.Paper)]))]);
    }

    /// <summary>The mean point of the runs at each step that all of them were evaluated at.</summary>
    private static AlignmentUniformityPoint[] MeanCourse(IReadOnlyList<StudyRun> runs) =>
        [.. runs.SelectMany(r => r.Course).GroupBy(p => p.Step).Where(g => g.Count() == runs.Count).OrderBy(g => g.Key)
            .Select(g => new AlignmentUniformityPoint(g.Key, g.Average(p => p.Alignment), g.Average(p => p.Uniformity)))];

    private static JsonNode CellToJson(StudyCell cell) => new JsonObject
    {
        ["row"] = cell.Variant.Row,
        ["column"] = cell.Variant.Column,
        ["paper"] = cell.Variant.Paper,
        ["score"] = Rounded(cell.Score?.Mean),
        ["score_sd"] = Rounded(cell.Score?.Deviation),
        ["alignment"] = Rounded(cell.Alignment?.Mean),
        ["uniformity"] = Rounded(cell.Uniformity?.Mean),
        ["options"] = cell.Variant.Options.ToJson(),
        ["rows"] = cell.Variant.Data.Name,
        ["runs"] = new JsonArray([.. cell.Runs.Select(run => (JsonNode)new JsonObject
        {
            ["seed"] = run.Seed,
            ["score"] = Rounded(run.Score),
            ["alignment"] = Rounded(run.Alignment),
            ["uniformity"] = Rounded(run.Uniformity),
            ["best_step"] = run.BestStep,
            ["seconds"] = Math.Round(run.Seconds, 1),
            ["failure"] = run.Failure,
            ["course"] = new JsonArray([.. run.Course.Select(p => (JsonNode)new JsonArray(p.Step, Rounded(p.Alignment), Rounded(p.Uniformity)))]),
        })]),
    };

    private static string Label(StudyVariant variant) => variant.Column.Length == 0 ? variant.Row : $"{variant.Row}, {variant.Column}";

    private static double? Rounded(double? value) => value is { } v ? Math.Round(v, 5) : null;

    private static string Of(int count, string what) => count == 1 ? $"1 {what}" : $"{count} {what}s";

    private static string Show((double Mean, double Deviation)? value, int decimals) => value is not { } v ? "–"
        : string.Create(CultureInfo.InvariantCulture, $"{v.Mean.ToString($"F{decimals}", CultureInfo.InvariantCulture)} ± {v.Deviation.ToString($"F{decimals}", CultureInfo.InvariantCulture)}");
}
