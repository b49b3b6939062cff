using System.Diagnostics;
using System.Globalization;

namespace SimCse.Bench;

/// <summary>A process and all those that it started and that they started, as <c>mpirun</c> starts the ranks: what they take together. Read from /proc; elsewhere it is the process alone.</summary>
internal static class ProcessTree
{
    private const int TicksPerSecond = 100; // sysconf(_SC_CLK_TCK) of every Linux that .NET runs on

    /// <summary>Processor time of all threads of the tree, with that of processes that have ended.</summary>
    public static TimeSpan ProcessorTime(Process root)
    {
        if (!OperatingSystem.IsLinux())
        {
            root.Refresh();
            return root.TotalProcessorTime;
        }

        return TimeSpan.FromSeconds(Members(root.Id).Sum(ProcessorTicks) / (double)TicksPerSecond);
    }

    /// <summary>The most memory that each living process of the tree has had resident (VmHWM), summed, bytes.</summary>
    public static long PeakMemory(Process root)
    {
        if (!OperatingSystem.IsLinux())
        {
            root.Refresh();
            return root.PeakWorkingSet64;
        }

        return Members(root.Id).Sum(PeakMemory);
    }

    private static IEnumerable<int> Members(int process) => Lines($"/proc/{process}/task")
        .SelectMany(thread => Read($"{thread}/children").Split(' ', StringSplitOptions.RemoveEmptyEntries))
        .SelectMany(child => Members(int.Parse(child, CultureInfo.InvariantCulture)))
        .Prepend(process);

    // utime, stime, and those of children that have ended and been waited for: fields 14 to 17 of stat, counted behind the name in parentheses.
    private static long ProcessorTicks(int process) => Read($"/proc/{process}/stat").Split(')')[^1].Split(' ', StringSplitOptions.RemoveEmptyEntries)
        .Skip(11).Take(4).Sum(ticks => long.Parse(ticks, CultureInfo.InvariantCulture));

    private static long PeakMemory(int process) => Read($"/proc/{process}/status").Split('\n').Where(line => line.StartsWith("VmHWM:", StringComparison.Ordinal))
        .Sum(line => 1024 * long.Parse(line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));

    private static string[] Lines(string directory)
    {
        try
        {
            return Directory.GetDirectories(directory);
        }
        catch (IOException)
        {
            return []; // the process has just ended
        }
    }

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            return ""; // the process or thread has just ended
        }
    }
}
