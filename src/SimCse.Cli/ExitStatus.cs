namespace SimCse.Cli;

/// <summary>What the command returns to the shell, and the one line on standard error that goes with it.</summary>
internal static class ExitStatus
{
    public const int Done = 0;
    public const int InputAtFault = 1;
    public const int WrongUsage = 2;
    public const int Interrupted = 130;

    /// <summary>Says what went wrong, in one line, and gives the status for it; with SIMCSE_TRACE=1 in the environment the trace follows.</summary>
    public static int Report(Exception exception)
    {
        Exception cause = exception is AggregateException { InnerException: { } inner } ? inner : exception;
        (int status, string message) = cause switch
        {
            InterruptedRunException => (Interrupted, $"interrupted: {cause.Message}"),
            OperationCanceledException => (Interrupted, "interrupted"),
            UsageException => (WrongUsage, cause.Message),
            InvalidDataException or TextTooLongException or IOException or FormatException or UnauthorizedAccessException => (InputAtFault, cause.Message),
            OutOfMemoryException => (InputAtFault, "out of memory"),
            DllNotFoundException or TypeInitializationException { InnerException: DllNotFoundException } or BadImageFormatException =>
                (InputAtFault, $"a native library does not load on this system: {(cause.InnerException ?? cause).Message}"),
            _ => (InputAtFault, $"this is a bug: {cause.GetType().Name}: {cause.Message} (SIMCSE_TRACE=1 in the environment shows where; please report it)"),
        };
        Log.Error(message);
        if (Environment.GetEnvironmentVariable("SIMCSE_TRACE") is "1")
        {
            Console.Error.WriteLine(exception);
        }

        return status;
    }
}
