using System.Globalization;

namespace SimCse.Training;

/// <summary>
/// Watches a run for collapse: all vectors becoming one, or few directions holding them all. A run that has collapsed does not come back, and its loss may look well.
/// </summary>
/// <remarks>
/// Collapsed is: the batch's uniformity (see <see cref="StepMetrics.Uniformity"/>) above <see cref="UniformityBound"/>, which is a mean cosine above about 0.995, for <see cref="Patience"/> steps on end without
/// falling; or the development set's above it, and no lower than before; or its effective rank below <see cref="RankShare"/> of what it was at first. Raw masked language models may start near the first bound:
/// they fall away from it when they learn.
/// </remarks>
public sealed class CollapseAlarm
{
    /// <summary>log mean exp(−2‖u − v‖²) of vectors that are all but one.</summary>
    public const double UniformityBound = -0.02;

    /// <summary>Steps on end.</summary>
    public const int Patience = 50;

    /// <summary>Of the effective rank at the first evaluation.</summary>
    public const double RankShare = 0.1;

    private double? _streakStart, _firstRank, _lastUniformity;
    private int _streak;

    /// <summary>Looks at a step.</summary>
    /// <param name="uniformity">The batch's; null where it is not measured.</param>
    /// <returns>Why the run should stop; null where it is well.</returns>
    public string? AfterStep(double? uniformity)
    {
        if (uniformity is not { } now || now < UniformityBound)
        {
            _streak = 0;
            _streakStart = null;
            return null;
        }

        _streakStart ??= now;
        _streak++;
        return _streak >= Patience && now >= _streakStart
            ? string.Create(CultureInfo.InvariantCulture, $"the vectors have collapsed: for {_streak} steps the batches' uniformity has been above {UniformityBound} (now {now:0.0000}; 0 is when all vectors are one)")
            : null;
    }

    /// <summary>Looks at an evaluation.</summary>
    /// <param name="score">What it found.</param>
    /// <returns>Why the run should stop; null where it is well.</returns>
    public string? AfterEvaluation(DevelopmentScore score)
    {
        ArgumentNullException.ThrowIfNull(score);
        double? before = _lastUniformity;
        _lastUniformity = score.Uniformity;
        _firstRank ??= score.EffectiveRank;
        if (score.Uniformity is { } uniformity && uniformity > UniformityBound && before is { } last && uniformity >= last)
        {
            return string.Create(CultureInfo.InvariantCulture, $"the vectors have collapsed: the development set's uniformity is {uniformity:0.0000}, {last:0.0000} at the evaluation before (0 is when all vectors are one)");
        }

        return score.EffectiveRank is { } rank && rank < RankShare * _firstRank
            ? string.Create(CultureInfo.InvariantCulture, $"the vectors have collapsed into few directions: their effective rank is {rank:0.0}, {_firstRank:0.0} at first")
            : null;
    }
}
