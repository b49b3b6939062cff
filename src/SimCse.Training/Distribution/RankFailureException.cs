namespace SimCse.Training.Distribution;

/// <summary>Another rank has failed or died, so that this one cannot go on.</summary>
/// <param name="message">Which rank, in one line.</param>
/// <param name="isReported">See <see cref="IsReported"/>.</param>
/// <param name="cause">What it came from, if anything.</param>
public sealed class RankFailureException(string message, bool isReported, Exception? cause = null) : IOException(message, cause)
{
    /// <summary>Whether another rank tells the user: the failed one itself, or one that outlived it too. Then this one is silent, and the user reads one line.</summary>
    public bool IsReported => isReported;
}
