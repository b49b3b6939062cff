using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace SimCse.Evaluation.Plots;

/// <summary>Where a model stood at one step of a run.</summary>
public sealed record AlignmentUniformityPoint(int Step, double Alignment, double Uniformity);

/// <summary>A run and the points it passed.</summary>
public sealed record AlignmentUniformityRun(string Name, IReadOnlyList<AlignmentUniformityPoint> Points);

/// <summary>
/// Alignment against uniformity along training, as in figure 2 of the SimCSE paper: a run moves to the left as its vectors spread, and up as positive
/// pairs part. Points are coloured by step; a square marks a run's start, a diamond its end. Where every run is one point, each is a model, and has a colour.
/// </summary>
public static class AlignmentUniformityPlot
{
    /// <param name="runs">At least one point that is finite in all; points that are not finite are left out.</param>
    /// <param name="title">The heading.</param>
    /// <exception cref="ArgumentException">There is no point to draw.</exception>
    public static Plot Draw(IReadOnlyList<AlignmentUniformityRun> runs, string title = "Alignment against uniformity during training")
    {
        ArgumentNullException.ThrowIfNull(runs);
        if (!runs.SelectMany(r => r.Points).Any(IsFinite))
        {
            throw new ArgumentException("there is no point to draw", nameof(runs));
        }

        PlotModel model = Plot.NewModel(title, "lower is better on both axes");
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Bottom, MinimumPadding = 0.08, MaximumPadding = 0.08 }, "uniformity"));
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, MinimumPadding = 0.08, MaximumPadding = 0.08 }, "alignment"));
        if (runs.All(run => run.Points.Count(IsFinite) <= 1))
        {
            return Render(model, runs);
        }

        int last = Math.Max(1, runs.SelectMany(r => r.Points).Max(p => p.Step));
        model.Axes.Add(new LinearColorAxis
        {
            Key = "steps",
            Position = AxisPosition.Right,
            Palette = OxyPalettes.Viridis(256),
            Minimum = 0,
            Maximum = last,
            Title = "step",
            TitleFontSize = 13,
            AxisTitleDistance = 8,
            AxisDistance = 8,
        });
        model.Legends.Add(Plot.NewLegend(LegendPlacement.Outside, LegendPosition.BottomCenter));

        LineSeries starts = Marks("start", MarkerType.Square);
        LineSeries ends = Marks("end", MarkerType.Diamond);
        for (int i = 0; i < runs.Count; i++)
        {
            AlignmentUniformityPoint[] points = [.. runs[i].Points.Where(IsFinite)];
            if (points.Length == 0)
            {
                continue;
            }

            LineSeries path = new() { Title = runs[i].Name, Color = runs.Count > 1 ? Plot.Colour(i) : OxyColors.Gray, StrokeThickness = 1.5 };
            ScatterSeries dots = new() { ColorAxisKey = "steps", MarkerType = MarkerType.Circle, MarkerSize = 4, RenderInLegend = false };
            foreach (AlignmentUniformityPoint point in points)
            {
                path.Points.Add(new DataPoint(point.Uniformity, point.Alignment));
                dots.Points.Add(new ScatterPoint(point.Uniformity, point.Alignment, value: point.Step));
            }

            model.Series.Add(path);
            model.Series.Add(dots);
            starts.Points.Add(new DataPoint(points[0].Uniformity, points[0].Alignment));
            ends.Points.Add(new DataPoint(points[^1].Uniformity, points[^1].Alignment));
        }

        model.Series.Add(starts);
        model.Series.Add(ends);
        return Plot.Render(model, 760, 560);
    }

    /// <summary>Models side by side: a point each.</summary>
    private static Plot Render(PlotModel model, IReadOnlyList<AlignmentUniformityRun> runs)
    {
        model.Legends.Add(Plot.NewLegend(LegendPlacement.Outside, LegendPosition.BottomCenter));
        foreach ((int i, AlignmentUniformityRun run) in runs.Index())
        {
            LineSeries point = Marks(run.Name, MarkerType.Circle);
            point.MarkerFill = Plot.Colour(i);
            point.Points.AddRange(run.Points.Where(IsFinite).Select(p => new DataPoint(p.Uniformity, p.Alignment)));
            model.Series.Add(point);
        }

        return Plot.Render(model, 760, 560);
    }

    private static bool IsFinite(AlignmentUniformityPoint point) => double.IsFinite(point.Alignment) && double.IsFinite(point.Uniformity);

    // A line series without a line: a scatter series would take its colours from the colour axis.
    private static LineSeries Marks(string title, MarkerType marker) => new()
    {
        Title = title,
        LineStyle = LineStyle.None,
        Color = OxyColors.Transparent,
        MarkerType = marker,
        MarkerSize = 7,
        MarkerFill = OxyColors.Transparent,
        MarkerStroke = OxyColors.Black,
        MarkerStrokeThickness = 2,
    };
}
