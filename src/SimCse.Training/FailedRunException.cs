namespace SimCse.Training;

/// <summary>A training run was stopped because going on would be of no use: it diverged, or its vectors collapsed.</summary>
/// <param name="message">Which run, at which step, and why.</param>
public sealed class FailedRunException(string message) : Exception(message);
