using System.Xml.Linq;
using SimCse.Evaluation.Plots;

namespace SimCse.Tests;

public class PlotTests
{
    /// <summary>The log of shared/reference/runs/unsup-cls-seed1.json: step, loss, STS-B dev, alignment, uniformity.</summary>
    private static readonly (int Step, double Loss, double Dev, double Alignment, double Uniformity)[] s_run =
    [
        (0, double.NaN, 76.754, 0.0879, -1.3108), (52, 0.0072, 78.129, 0.1669, -2.5359), (104, 0.0019, 78.457, 0.1694, -2.5138),
        (156, 0.0025, 78.678, 0.1712, -2.523), (157, 0.0001, 78.679, 0.1712, -2.523),
    ];

    [Fact]
    public void Alignment_and_uniformity_are_drawn_with_their_axes_and_marks()
    {
        AlignmentUniformityPoint[] points = [.. s_run.Select(r => new AlignmentUniformityPoint(r.Step, r.Alignment, r.Uniformity))];
        AlignmentUniformityPoint[] other = [.. Enumerable.Range(0, 12).Select(i => new AlignmentUniformityPoint(i * 10, 0.18 + (0.01 * i), -1.87 - (0.1 * i)))];
        string[] texts = Texts(Saved("alignment-uniformity.svg", AlignmentUniformityPlot.Draw([new("cls", points), new("avg", other)])));
        foreach (string expected in new[] { "Alignment against uniformity during training", "uniformity", "alignment", "step", "start", "end", "cls", "avg" })
        {
            Assert.Contains(expected, texts, StringComparer.Ordinal);
        }

        Saved("alignment-uniformity-one.svg", AlignmentUniformityPlot.Draw([new("unsupervised, cls", points)]));
        string[] models = Texts(Saved("alignment-uniformity-models.svg", AlignmentUniformityPlot.Draw([new("a model", [points[0]]), new("another", [points[1]]), new("nothing", [new(3, double.NaN, 0)])])));
        Assert.Contains("another", models, StringComparer.Ordinal);
        Assert.DoesNotContain("step", models, StringComparer.Ordinal);
        Assert.Throws<ArgumentException>(() => AlignmentUniformityPlot.Draw([new("nothing", [])]));
    }

    [Fact]
    public void Spectra_are_drawn_with_a_legend()
    {
        double[] before = [.. Enumerable.Range(1, 384).Select(i => 0.4 / Math.Sqrt(i) * (1 - (i / 400.0)))];
        double[] after = [.. Enumerable.Range(1, 384).Select(i => Math.Pow(i, -0.25) * (1 - (i / 500.0)))];
        before[0] = after[0] = 1;
        string[] texts = Texts(Saved("spectrum.svg", SpectrumPlot.Draw([new("before", before), new("after", after)])));
        foreach (string expected in new[] { "Singular spectrum of the sentence vectors", "before", "after", "singular value, largest = 1" })
        {
            Assert.Contains(expected, texts, StringComparer.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => SpectrumPlot.Draw([]));
    }

    [Fact]
    public void Loss_and_dev_score_are_drawn_over_the_steps()
    {
        (int, double)[] loss = [.. Enumerable.Range(1, 157).Select(i => (i, (1.2 * Math.Exp(-i / 15.0)) + (0.02 * Math.Abs(Math.Sin(i * 1.7)))))];
        string[] texts = Texts(Saved("training.svg", TrainingCurvePlot.Draw(loss, [.. s_run.Select(r => (r.Step, r.Dev))])));
        foreach (string expected in new[] { "Training", "best dev score 78.68 at step 157", "training loss", "STS-B dev (Spearman × 100)", "step" })
        {
            Assert.Contains(expected, texts, StringComparer.Ordinal);
        }

        TrainingCurvePlot.Draw(loss, []);
        TrainingCurvePlot.Draw([], [(0, 50)]);
        Assert.Throws<ArgumentException>(() => TrainingCurvePlot.Draw([(1, double.NaN)], []));
    }

    private static string Saved(string name, Plot plot)
    {
        // SIMCSE_PLOTS names a folder to keep the drawings in, for people to look at.
        string? keep = Environment.GetEnvironmentVariable("SIMCSE_PLOTS");
        string path = Path.Combine(keep ?? RepositoryPaths.NewTemporaryDirectory(), name);
        plot.Save(path);
        string svg = File.ReadAllText(path);
        if (keep is null)
        {
            Directory.Delete(Path.GetDirectoryName(path)!, recursive: true);
        }

        Assert.Equal(plot.Svg, svg);
        return svg;
    }

    private static string[] Texts(string svg) => [.. XDocument.Parse(svg).Descendants().Where(e => string.Equals(e.Name.LocalName, "text", StringComparison.Ordinal)).Select(e => e.Value)];
}
