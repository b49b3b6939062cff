using SimCse.Training;
using SimCse.Training.Distribution;

namespace SimCse.Cli;

/// <summary>What the command returns to the shell, and the one line on standard error that goes with it.</summary>
internal static class ExitStatus
{
    public const int Done = 0;
    public const int InputAtFault = 1;
    public const int WrongUsage = 2;
    public const int Interrupted = 130;

    private static readonly TimeSpan s_timeOfRankZero = TimeSpan.FromSeconds(3);

    /// <summary>Says what went wrong, in one line, and gives the status for it; with SIMCSE_TRACE=1 in the environment the trace follows.</summary>
    /// <param name="exception">Why the command ends.</param>
    /// <param name="interrupted">Cancelled when the process is asked to stop.</param>
    public static int Report(Exception exception, CancellationToken interrupted)
    {
        Exception cause = exception is AggregateException { InnerException: { } inner } ? inner : exception;
        (int status, string message) = cause switch
        {
            InterruptedRunException => (Interrupted, $"interrupted: {cause.Message}"),
            OperationCanceledException => (Interrupted, "interrupted"),
            UsageException => (WrongUsage, cause.Message),
            InvalidDataException or FailedRunException or TextTooLongException or IOException or FormatException or UnauthorizedAccessException => (InputAtFault, cause.Message),
            OutOfMemoryException => (InputAtFault, "out of memory"),
            DllNotFoundException or TypeInitializationException { InnerException: DllNotFoundException } or BadImageFormatException =>
                (InputAtFault, $"a native library does not load on this system: {(cause.InnerException ?? cause).Message}"),
            _ => (InputAtFault, $"this is a bug: {cause.GetType().Name}: {cause.Message} (SIMCSE_TRACE=1 in the environment shows where; please report it)"),
        };
        if (IsSaidElsewhere(cause, interrupted))
        {
            return status;
        }

        Log.Error(message);
        if (Environment.GetEnvironmentVariable("SIMCSE_TRACE") is "1")
        {
            Console.Error.WriteLine(exception);
        }

        return status;
    }

    /// <summary>
    /// Whether another rank says it. What is wrong with the command line or the installation is wrong with that of rank 0, which is given time to say so: mpirun asks the others to stop
    /// as soon as one has failed.
    /// </summary>
    private static bool IsSaidElsewhere(Exception cause, CancellationToken interrupted) => cause switch
    {
        RankFailureException failure => failure.IsReported,
        _ when ProcessRank.Current is null or { Rank: 0 } => false,
        OperationCanceledException => true,
        UsageException or DllNotFoundException => interrupted.WaitHandle.WaitOne(s_timeOfRankZero),
        _ => false,
    };
}
