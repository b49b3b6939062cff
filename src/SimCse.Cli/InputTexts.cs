using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using SimCse.Data;

namespace SimCse.Cli;

/// <summary>The texts of <c>--input</c>, streamed.</summary>
internal static class InputTexts
{
    private const int Ahead = 8192;

    /// <summary>The lines of a file, or of standard input where <paramref name="path"/> is "-".</summary>
    /// <param name="path">What <c>--input</c> says.</param>
    /// <param name="asJson">Whether each line is a JSON string.</param>
    /// <param name="cancellationToken">Ends also a wait for standard input.</param>
    public static IEnumerable<string> Read(string path, bool asJson, CancellationToken cancellationToken)
    {
        IEnumerable<string> lines = asJson ? TextLines.ReadJson(path) : TextLines.Read(path);
        return path is "-" ? Cancellable(lines, cancellationToken) : lines;
    }

    /// <summary>A read of standard input cannot be cancelled: a thread of its own waits there, and is left behind.</summary>
    private static IEnumerable<string> Cancellable(IEnumerable<string> lines, CancellationToken cancellationToken)
    {
        BlockingCollection<string> queue = new(Ahead);
        ExceptionDispatchInfo? failure = null;
        Thread reader = new(() =>
        {
            try
            {
                foreach (string line in lines)
                {
                    queue.Add(line, cancellationToken);
                }
            }
            catch (Exception e)
            {
                failure = ExceptionDispatchInfo.Capture(e);
            }

            queue.CompleteAdding();
        })
        {
            IsBackground = true,
            Name = "standard input",
        };
        reader.Start();
        foreach (string line in queue.GetConsumingEnumerable(cancellationToken))
        {
            yield return line;
        }

        failure?.Throw();
    }
}
