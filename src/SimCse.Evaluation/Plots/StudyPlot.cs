using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace SimCse.Evaluation.Plots;

/// <summary>A column of a study's table.</summary>
/// <param name="Name">What it is called.</param>
/// <param name="Measured">Mean and standard deviation for each row; null where nothing was measured.</param>
/// <param name="Paper">The paper's figure for each row; null where it has none.</param>
public sealed record StudySeries(string Name, IReadOnlyList<(double Mean, double Deviation)?> Measured, IReadOnlyList<double?> Paper);

/// <summary>A study's scores by row, with error bars of one standard deviation; the paper's figures, which are of another model, stand beneath on an axis of their own.</summary>
public static class StudyPlot
{
    /// <param name="title">The heading.</param>
    /// <param name="scoreName">What the score is.</param>
    /// <param name="rows">The rows' names, from left to right.</param>
    /// <param name="series">The columns; at least one with a measured score.</param>
    public static Plot Draw(string title, string scoreName, IReadOnlyList<string> rows, IReadOnlyList<StudySeries> series)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(series);
        bool paper = series.Any(s => s.Paper.Any(p => p is not null));
        PlotModel model = Plot.NewModel(title);
        CategoryAxis names = Plot.Styled(new CategoryAxis { Position = AxisPosition.Bottom, Angle = rows.Max(r => r.Length) * rows.Count > 96 ? -40 : 0, MajorGridlineStyle = LineStyle.None }, "");
        names.Labels.AddRange(rows);
        model.Axes.Add(names);
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, Key = "here", StartPosition = paper ? 0.46 : 0, MinimumPadding = 0.12, MaximumPadding = 0.12 }, scoreName));
        if (paper)
        {
            model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, Key = "paper", EndPosition = 0.4, MinimumPadding = 0.12, MaximumPadding = 0.12 }, "paper, STS-B dev"));
        }

        model.Legends.Add(Plot.NewLegend(LegendPlacement.Outside, LegendPosition.TopRight));
        model.Legends[0].LegendOrientation = LegendOrientation.Horizontal;
        model.Legends[0].LegendPosition = LegendPosition.BottomCenter;
        for (int s = 0; s < series.Count; s++)
        {
            double shift = series.Count == 1 ? 0 : 0.24 * (s - ((series.Count - 1) / 2.0));
            OxyColor colour = Plot.Colour(s);
            LineSeries means = Marks(series[s].Name, colour, MarkerType.Circle, "here");
            for (int row = 0; row < rows.Count; row++)
            {
                if (series[s].Measured[row] is not { } score)
                {
                    continue;
                }

                means.Points.Add(new DataPoint(row + shift, score.Mean));
                LineSeries bar = new() { YAxisKey = "here", Color = colour, StrokeThickness = 2, RenderInLegend = false };
                bar.Points.Add(new DataPoint(row + shift, score.Mean - score.Deviation));
                bar.Points.Add(new DataPoint(row + shift, score.Mean + score.Deviation));
                model.Series.Add(bar);
            }

            model.Series.Add(means);
            if (series[s].Paper.All(p => p is null))
            {
                continue;
            }

            LineSeries published = Marks(series.Count == 1 ? "paper (BERT-base)" : $"paper, {series[s].Name}", colour, MarkerType.Diamond, "paper");
            published.Points.AddRange(series[s].Paper.Select((p, row) => (p, row)).Where(p => p.p is not null).Select(p => new DataPoint(p.row + shift, p.p!.Value)));
            model.Series.Add(published);
        }

        return Plot.Render(model, 860, paper ? 620 : 480);
    }

    // A line series without a line, as in AlignmentUniformityPlot: it shows its marker in the legend.
    private static LineSeries Marks(string name, OxyColor colour, MarkerType marker, string axis) => new()
    {
        Title = name,
        YAxisKey = axis,
        LineStyle = LineStyle.None,
        Color = OxyColors.Transparent,
        MarkerType = marker,
        MarkerSize = 5,
        MarkerFill = colour,
    };
}
