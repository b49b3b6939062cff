using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using OxyPlot.Series;

namespace SimCse.Evaluation.Plots;

/// <summary>A model's singular values, the largest 1: see <see cref="Geometry.SingularSpectrum"/>.</summary>
public sealed record NamedSpectrum(string Name, IReadOnlyList<double> Values);

/// <summary>Singular values over their index, on a logarithmic index axis, as in the SimCSE paper's appendix G: the slower the fall, the more directions are in use.</summary>
public static class SpectrumPlot
{
    /// <param name="spectra">Such as before and after training; at least one, none empty.</param>
    /// <param name="title">The heading.</param>
    /// <exception cref="ArgumentException">There is no spectrum, or an empty one.</exception>
    public static Plot Draw(IReadOnlyList<NamedSpectrum> spectra, string title = "Singular spectrum of the sentence vectors")
    {
        ArgumentNullException.ThrowIfNull(spectra);
        if (spectra.Count == 0 || spectra.Any(s => s.Values.Count == 0))
        {
            throw new ArgumentException("there is no spectrum to draw, or an empty one", nameof(spectra));
        }

        PlotModel model = Plot.NewModel(title);
        model.Axes.Add(Plot.Styled(
            new LogarithmicAxis { Position = AxisPosition.Bottom, Base = 10, Minimum = 1, Maximum = Math.Max(10, spectra.Max(s => s.Values.Count)), UseSuperExponentialFormat = false },
            "index of the singular value (logarithmic)"));
        model.Axes.Add(Plot.Styled(new LinearAxis { Position = AxisPosition.Left, Minimum = 0, Maximum = 1.02, MajorStep = 0.2 }, "singular value, largest = 1"));
        model.Legends.Add(Plot.NewLegend(LegendPlacement.Inside, LegendPosition.RightTop));
        for (int i = 0; i < spectra.Count; i++)
        {
            LineSeries line = new() { Title = spectra[i].Name, Color = Plot.Colour(i), StrokeThickness = 2 };
            line.Points.AddRange(spectra[i].Values.Select((value, index) => new DataPoint(index + 1, value)));
            model.Series.Add(line);
        }

        return Plot.Render(model, 760, 480);
    }
}
