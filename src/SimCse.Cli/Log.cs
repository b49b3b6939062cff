using SimCse.Training.Distribution;

namespace SimCse.Cli;

/// <summary>Lines for the user on standard error. Of several ranks (mpirun) rank 0 alone says how it goes; each says why it fails.</summary>
internal static class Log
{
    private static readonly int s_rank = ProcessRank.Current?.Rank ?? 0;

    /// <summary>How it goes.</summary>
    public static void Info(string message)
    {
        if (s_rank == 0)
        {
            Console.Error.WriteLine(message);
        }
    }

    /// <summary>Something that the user should know, and that does not stop the command.</summary>
    public static void Warning(string message) => Info($"simcse: warning: {OneLine(message)}");

    /// <summary>Why the command stops.</summary>
    public static void Error(string message) => Console.Error.WriteLine($"simcse: {(s_rank == 0 ? "" : $"rank {s_rank}: ")}{OneLine(message)}");

    /// <summary>Whatever a file or a library put into a message, it stays one line and leaves the terminal alone.</summary>
    private static string OneLine(string message) =>
        string.Join(' ', message.Split(['\r', '\n', '\u2028', '\u2029'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
            .Replace("\u001b", "\\e", StringComparison.Ordinal);
}
