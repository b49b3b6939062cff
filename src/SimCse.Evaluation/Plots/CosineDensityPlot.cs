using OxyPlot;
using OxyPlot.Annotations;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace SimCse.Evaluation.Plots;

/// <summary>A model's cosines by gold score: see <see cref="EmbeddingAnalysis.CosineGroups"/>.</summary>
public sealed record NamedCosineGroups(string Name, IReadOnlyList<CosineGroup> Groups);

/// <summary>
/// The density of the cosines of sentence pairs in groups by gold score, as in the SimCSE paper's figure F.1, a panel a model: the better a model tells pairs
/// apart, the less the groups overlap; the narrower its cone, the closer they all lie to 1.
/// </summary>
public static class CosineDensityPlot
{
    private const int Points = 240;

    /// <summary>From cold to warm, apart from each other also in grey (ColorBrewer's RdYlBu, its light middle darkened).</summary>
    private static readonly OxyColor[] s_colours =
    [
        OxyColor.FromRgb(44, 123, 182), OxyColor.FromRgb(116, 173, 209), OxyColor.FromRgb(150, 150, 150), OxyColor.FromRgb(244, 140, 67), OxyColor.FromRgb(198, 32, 38),
    ];

    /// <param name="models">At least one; a group of fewer than five pairs is not drawn.</param>
    /// <param name="title">The heading.</param>
    /// <exception cref="ArgumentException">There is no model.</exception>
    public static Plot Draw(IReadOnlyList<NamedCosineGroups> models, string title = "Cosine of sentence pairs, by gold score")
    {
        ArgumentNullException.ThrowIfNull(models);
        if (models.Count == 0)
        {
            throw new ArgumentException("there is no model to draw", nameof(models));
        }

        PlotModel model = Plot.NewModel(title);
        double lowest = Math.Min(0, models.SelectMany(m => m.Groups).SelectMany(g => g.Cosines).DefaultIfEmpty(0).Min());
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Bottom, Minimum = Math.Max(-1, lowest - 0.05), Maximum = 1.02 }, "cosine"));
        model.Legends.Add(Plot.NewLegend(LegendPlacement.Outside, LegendPosition.BottomCenter));
        for (int panel = 0; panel < models.Count; panel++)
        {
            string key = $"panel {panel}";
            double height = 1.0 / models.Count, gap = models.Count == 1 ? 0 : 0.05 * height;
            LinearAxis axis = Plot.Styled(
                new LinearAxis { Position = AxisPosition.Left, Key = key, EndPosition = 1 - (panel * height), StartPosition = 1 - ((panel + 1) * height) + gap, Minimum = 0 }, "density");
            model.Axes.Add(axis);
            double highest = 0;
            for (int i = 0; i < models[panel].Groups.Count; i++)
            {
                CosineGroup group = models[panel].Groups[i];
                if (group.Cosines.Count < 5)
                {
                    continue;
                }

                LineSeries line = new()
                {
                    Title = FormattableString.Invariant($"{group.Above}–{group.UpTo}"),
                    RenderInLegend = panel == 0,
                    YAxisKey = key,
                    Color = s_colours[i % s_colours.Length],
                    StrokeThickness = 2,
                };
                line.Points.AddRange(Density(group.Cosines, lowest - 0.05, 1.02));
                highest = Math.Max(highest, line.Points.Max(p => p.Y));
                model.Series.Add(line);
            }

            axis.Maximum = highest > 0 ? 1.3 * highest : 1;
            model.Annotations.Add(new TextAnnotation
            {
                Text = models[panel].Name,
                YAxisKey = key,
                TextPosition = new DataPoint(Math.Max(-1, lowest - 0.05) + 0.015, 1.22 * (highest > 0 ? highest : 1)),
                TextHorizontalAlignment = HorizontalAlignment.Left,
                TextVerticalAlignment = VerticalAlignment.Middle,
                FontSize = 12,
                FontWeight = FontWeights.Bold,
                Stroke = OxyColors.Transparent,
                Background = OxyColor.FromAColor(200, OxyColors.White),
            });
        }

        return Plot.Render(model, 760, Math.Max(380, 120 + (200 * models.Count)));
    }

    /// <summary>A Gaussian kernel density, its bandwidth by Silverman's rule 0.9 min(σ, IQR / 1.34) n^(−1/5), at least 0.005.</summary>
    private static IEnumerable<DataPoint> Density(IReadOnlyList<double> values, double from, double to)
    {
        double[] sorted = [.. values.Order()];
        double mean = sorted.Average(), deviation = Math.Sqrt(sorted.Average(v => Math.Pow(v - mean, 2)));
        double quartiles = sorted[3 * (sorted.Length - 1) / 4] - sorted[(sorted.Length - 1) / 4];
        double bandwidth = Math.Max(0.005, 0.9 * (quartiles > 0 ? Math.Min(deviation, quartiles / 1.34) : deviation) * Math.Pow(sorted.Length, -0.2));
        for (int i = 0; i < Points; i++)
        {
            double at = from + ((to - from) * i / (Points - 1));
            yield return new DataPoint(at, sorted.Sum(v => Math.Exp(-0.5 * Math.Pow((at - v) / bandwidth, 2))) / (sorted.Length * bandwidth * Math.Sqrt(2 * Math.PI)));
        }
    }
}
