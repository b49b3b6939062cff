using SimCse.Evaluation.Plots;

namespace SimCse.Training.Studies;

/// <summary>A run of a study that is over.</summary>
/// <param name="Variant">The cell.</param>
/// <param name="Seed">The seed.</param>
/// <param name="Score">The best development score; null where the run failed.</param>
/// <param name="Alignment">At the step of the best score.</param>
/// <param name="Uniformity">At the step of the best score.</param>
/// <param name="BestStep">That step.</param>
/// <param name="Seconds">What it took.</param>
/// <param name="Course">Alignment and uniformity at every evaluation.</param>
/// <param name="Failure">Why it was stopped, where it was: it diverged or collapsed.</param>
public sealed record StudyRun(
    StudyVariant Variant, long Seed, double? Score, double? Alignment, double? Uniformity, int BestStep, double Seconds, IReadOnlyList<AlignmentUniformityPoint> Course, string? Failure);

/// <summary>A cell of a study's table: mean and standard deviation over the seeds that did not fail.</summary>
/// <param name="Variant">The cell.</param>
/// <param name="Runs">Its runs.</param>
public sealed record StudyCell(StudyVariant Variant, IReadOnlyList<StudyRun> Runs)
{
    /// <summary>Of the scores; null where every run failed.</summary>
    public (double Mean, double Deviation)? Score => Statistics(Runs.Select(r => r.Score));

    /// <summary>Of the alignments at the best steps.</summary>
    public (double Mean, double Deviation)? Alignment => Statistics(Runs.Select(r => r.Alignment));

    /// <summary>Of the uniformities at the best steps.</summary>
    public (double Mean, double Deviation)? Uniformity => Statistics(Runs.Select(r => r.Uniformity));

    /// <summary>Mean, and the sample's standard deviation (n − 1; 0 of one value).</summary>
    private static (double Mean, double Deviation)? Statistics(IEnumerable<double?> values)
    {
        double[] known = [.. values.OfType<double>()];
        if (known.Length == 0)
        {
            return null;
        }

        double mean = known.Average();
        return (mean, known.Length == 1 ? 0 : Math.Sqrt(known.Sum(v => (v - mean) * (v - mean)) / (known.Length - 1)));
    }
}
