using System.Text.Json;

namespace SimCse.Bench;

/// <summary>What one side did in one round, or in one part of it.</summary>
/// <param name="Part">The part's name, where a round has several; else empty.</param>
/// <param name="Seconds">Wall time, measured in the side's own process.</param>
/// <param name="Items">Sentences, texts, queries done in that time.</param>
/// <param name="PeakMemory">The most memory that a process of this part had, bytes, where it has ended since; else 0: the parent looks.</param>
internal sealed record Measurement(string Part, double Seconds, double Items, long PeakMemory = 0);

/// <summary>What one side did in one round.</summary>
/// <param name="Parts">As the side measured them.</param>
/// <param name="ProcessorSeconds">Of all threads of all its processes.</param>
/// <param name="PeakMemory">The most memory that its processes have had resident so far, together, bytes.</param>
internal sealed record SideRound(IReadOnlyList<Measurement> Parts, double ProcessorSeconds, long PeakMemory)
{
    public double Seconds => Parts.Sum(p => p.Seconds);
}

/// <summary>One side of a benchmark, living in a process of its own.</summary>
internal abstract class Side : IDisposable
{
    /// <summary>What this side runs on, for the report.</summary>
    public virtual string Version => System.Runtime.InteropServices.RuntimeInformation.FrameworkDescription;

    /// <summary>Writes what this side computes on the first input, for the comparison that precedes all timing.</summary>
    public abstract void WriteCheck(string path);

    /// <summary>Does round <paramref name="round"/>: 0 warms up and does not count, then 1, 2, …</summary>
    public abstract IReadOnlyList<Measurement> RunRound(int round);

    /// <inheritdoc />
    public abstract void Dispose();
}

/// <summary>
/// The loop of a side's process. Lines in: <c>check PATH</c>, <c>round N</c>, end of input. Lines out, each a JSON document:
/// <c>{"ready":"VERSION"}</c> once, <c>{"checked":true}</c>, and an array of <see cref="Measurement"/> for a round.
/// </summary>
internal static class SideHost
{
    public static void Run(Func<Side> open)
    {
        using StreamWriter replies = new(Console.OpenStandardOutput()) { AutoFlush = true, NewLine = "\n" };
        Console.SetOut(Console.Error); // what a library prints must not end up among the replies
        using Side side = open();
        replies.WriteLine(JsonSerializer.Serialize(new { ready = side.Version }));
        while (Console.In.ReadLine() is string line)
        {
            string[] words = line.Split(' ', 2);
            switch (words[0])
            {
                case "check":
                    side.WriteCheck(words[1]);
                    replies.WriteLine("""{"checked":true}""");
                    break;
                case "round":
                    replies.WriteLine(JsonSerializer.Serialize(side.RunRound(int.Parse(words[1], System.Globalization.CultureInfo.InvariantCulture))));
                    break;
                default:
                    throw new InvalidDataException($"'{line}' is not a request; expected 'check PATH' or 'round N'");
            }
        }
    }
}
