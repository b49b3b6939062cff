using System.Globalization;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Series;

namespace SimCse.Evaluation.Plots;

/// <summary>The loss, and beneath it the STS-B dev score, over the steps of a run; the best dev score is marked.</summary>
public static class TrainingCurvePlot
{
    /// <param name="loss">The training loss by step; values that are not finite are left out.</param>
    /// <param name="dev">Spearman × 100 on the dev set by step, in any number.</param>
    /// <param name="title">The heading.</param>
    /// <param name="devName">What the lower axis is called.</param>
    /// <exception cref="ArgumentException">There is neither a loss nor a dev score.</exception>
    public static Plot Draw(
        IReadOnlyList<(int Step, double Value)> loss,
        IReadOnlyList<(int Step, double Value)> dev,
        string title = "Training",
        string devName = "STS-B dev (Spearman × 100)")
    {
        DataPoint[] losses = Points(loss);
        DataPoint[] scores = Points(dev);
        if (losses.Length + scores.Length == 0)
        {
            throw new ArgumentException("there is neither a loss nor a dev score to draw");
        }

        DataPoint best = scores.Length > 0 ? scores.MaxBy(p => p.Y) : DataPoint.Undefined;
        PlotModel model = Plot.NewModel(title, scores.Length > 0 ? string.Create(CultureInfo.InvariantCulture, $"best dev score {best.Y:F2} at step {best.X:F0}") : null);
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Bottom, Minimum = 0, MaximumPadding = 0.03, MinorTickSize = 0 }, "step"));
        bool both = losses.Length > 0 && scores.Length > 0;
        if (losses.Length > 0)
        {
            model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, Key = "loss", StartPosition = both ? 0.54 : 0, MinimumPadding = 0.06, MaximumPadding = 0.06 }, "training loss"));
            model.Series.Add(Line(losses, "loss", Plot.Colour(0), MarkerType.None));
        }

        if (scores.Length > 0)
        {
            model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, Key = "dev", EndPosition = both ? 0.46 : 1, MinimumPadding = 0.1, MaximumPadding = 0.15 }, devName));
            model.Series.Add(Line(scores, "dev", Plot.Colour(1), MarkerType.Circle));
            ScatterSeries mark = new() { YAxisKey = "dev", MarkerType = MarkerType.Diamond, MarkerSize = 7, MarkerFill = OxyColors.Transparent, MarkerStroke = OxyColors.Black, MarkerStrokeThickness = 2 };
            mark.Points.Add(new ScatterPoint(best.X, best.Y));
            model.Series.Add(mark);
        }

        return Plot.Render(model, 760, 560);
    }

    private static DataPoint[] Points(IReadOnlyList<(int Step, double Value)> values) =>
        [.. values.Where(v => double.IsFinite(v.Value)).Select(v => new DataPoint(v.Step, v.Value))];

    private static LineSeries Line(DataPoint[] points, string axis, OxyColor colour, MarkerType marker)
    {
        LineSeries line = new() { YAxisKey = axis, Color = colour, StrokeThickness = 1.5, MarkerType = marker, MarkerSize = 3, MarkerFill = colour };
        line.Points.AddRange(points);
        return line;
    }
}
