using System.Globalization;
using System.Runtime.InteropServices;

namespace SimCse.Bench;

/// <summary>What the figures of a run depend on and a reader elsewhere cannot know.</summary>
internal static class Machine
{
    private static readonly string[] s_flags = ["avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16", "amx_int8"];

    public static string Describe(int threads)
    {
        string model = "processor unknown";
        HashSet<string> flags = new(StringComparer.Ordinal);
        if (File.Exists("/proc/cpuinfo"))
        {
            foreach (string line in File.ReadLines("/proc/cpuinfo").TakeWhile(l => l.Length > 0))
            {
                string[] pair = line.Split(':', 2, StringSplitOptions.TrimEntries);
                if (pair is ["model name", _])
                {
                    model = pair[1];
                }
                else if (pair is ["flags", _])
                {
                    flags.UnionWith(pair[1].Split(' '));
                }
            }
        }

        string has = string.Join(' ', s_flags.Where(flags.Contains));
        string hasNot = string.Join(' ', s_flags.Where(f => !flags.Contains(f)));
        string memory = (GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 1e9).ToString("0", CultureInfo.InvariantCulture);
        string load = File.Exists("/proc/loadavg") ? $"; load {File.ReadAllText("/proc/loadavg").Split(' ')[0]} before the run" : "";
        return string.Create(CultureInfo.InvariantCulture,
            $"machine: {model}, {Environment.ProcessorCount} processors, {memory} GB; {threads} thread(s) a side; has {has}; has not {hasNot}; {RuntimeInformation.OSDescription}; {RuntimeInformation.FrameworkDescription}{load}");
    }
}
