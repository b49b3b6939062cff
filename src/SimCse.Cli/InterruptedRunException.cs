namespace SimCse.Cli;

/// <summary>A run was stopped by the user: exit status 130, and what became of the run.</summary>
/// <param name="message">Where it stands, and how to go on.</param>
/// <param name="cause">The cancellation.</param>
internal sealed class InterruptedRunException(string message, OperationCanceledException cause) : OperationCanceledException(message, cause);
