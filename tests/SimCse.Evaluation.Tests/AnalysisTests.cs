using SimCse.Evaluation;
using SimCse.Evaluation.Plots;

namespace SimCse.Tests;

public class AnalysisTests
{
    [Fact]
    public void A_vector_that_is_nearest_to_all_others_is_a_hub()
    {
        // Five vectors around an axis, at equal angles to it: each is nearest to the axis itself, and the axis to the first of them.
        float[] values = [0, 0, 1, .. Enumerable.Range(0, 5).SelectMany(i => new[] { MathF.Cos(i * 1.2566f), MathF.Sin(i * 1.2566f), 1 })];
        int[] occurrences = Hubness.Occurrences(new EmbeddingMatrix(values, 6, 3), 1);
        Assert.Equal(5, occurrences[0]);
        Assert.Equal(6, occurrences.Sum());

        // N = 5, 1, 0, 0, 0, 0: mean 1, second moment 20 / 6, third 60 / 6.
        Assert.Equal(10 / Math.Pow(20 / 6.0, 1.5), Hubness.Skewness(occurrences), 1e-12);
        Assert.Equal(0, Hubness.Skewness([2, 2, 2]));
    }

    [Fact]
    public void Vectors_that_turn_with_length_have_the_whole_length_bias_and_a_shuffle_of_them_little()
    {
        string[] texts = [.. Enumerable.Range(1, 60).Select(words => string.Join(' ', Enumerable.Repeat("w", words)))];
        EmbeddingMatrix turning = Turning([.. Enumerable.Range(0, 60)]);
        Assert.Equal(-1, LengthBias.Of(texts, turning), 1e-3); // equal differences have cosines that are equal but for rounding
        int[] order = [.. Enumerable.Range(0, 60)];
        new Random(4).Shuffle(order);
        Assert.InRange(LengthBias.Of(texts, Turning(order)), -0.2, 0.2);

        static EmbeddingMatrix Turning(int[] places) => new([.. places.SelectMany(i => new[] { MathF.Cos(i * 0.05f), MathF.Sin(i * 0.05f) })], places.Length, 2);
    }

    [Fact]
    public void Cosines_are_grouped_by_gold_score()
    {
        StsTask task = new("made", [new StsSubset("made",
        [
            new StsPair("a", "b", 0), new StsPair("a", "c", 1), new StsPair("b", "c", 1.5), new StsPair("a", "d", 4.5), new StsPair("b", "d", 5),
        ])]);
        EmbeddingAnalysis analysis = EmbeddingAnalysis.Of(task, new EmbeddingMatrix([1, 0, 0, 1, -1, 0, 1, 1], 4, 2)); // a, b, c, d
        Assert.Equal(["0 1 2", "1 2 1", "2 3 0", "3 4 0", "4 5 2"], analysis.CosineGroups.Select(g => $"{g.Above} {g.UpTo} {g.Cosines.Count}"));
        Assert.Equal(-0.5, analysis.CosineGroups[0].Mean, 1e-12); // cos(a, b) = 0, cos(a, c) = −1
        Assert.Equal(0.5, analysis.CosineGroups[0].Deviation, 1e-12);
        Assert.Equal(Math.Sqrt(0.5), analysis.CosineGroups[4].Mean, 1e-6);

        AnalysisReport report = new("made", [new AnalyzedModel("one", "avg", analysis), new AnalyzedModel("two", "cls", analysis)]);
        Assert.Contains("| one | avg | 0.58", report.ToMarkdown(), StringComparison.Ordinal); // ‖d − a‖² = ‖d − b‖² = 2 − √2
        Assert.Contains("gold 0–1", report.ToPlainText(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_density_plot_has_a_panel_a_model_and_a_line_a_group()
    {
        CosineGroup[] groups = [.. Enumerable.Range(0, 5).Select(g => new CosineGroup(g, g + 1, [.. Enumerable.Range(0, 40).Select(i => (0.2 * g) + (0.1 * Math.Sin(i)))]))];
        string svg = CosineDensityPlot.Draw([new NamedCosineGroups("first", groups), new NamedCosineGroups("second", groups)]).Svg;
        foreach (string expected in new[] { ">first<", ">second<", ">cosine<", ">4–5<" })
        {
            Assert.Contains(expected, svg, StringComparison.Ordinal);
        }

        Assert.Throws<ArgumentException>(() => CosineDensityPlot.Draw([]));
    }
}
