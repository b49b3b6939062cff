namespace SimCse.Training;

/// <summary>The learning rate η_t = η · (1 − t/T) for step t = 0, 1, … of T: linear decay to zero, after an optional linear warm-up from zero.</summary>
/// <param name="Peak">η, the highest rate.</param>
/// <param name="TotalSteps">T.</param>
/// <param name="WarmUpSteps">W: for t below it the rate is η·t/W, and decay runs over the rest.</param>
public sealed record LinearDecay(double Peak, int TotalSteps, int WarmUpSteps = 0)
{
    /// <summary>The rate of step <paramref name="step"/>, counted from 0.</summary>
    public double At(int step) => step < WarmUpSteps
        ? Peak * step / WarmUpSteps
        : Peak * Math.Max(0, TotalSteps - step) / Math.Max(1, TotalSteps - WarmUpSteps);
}
