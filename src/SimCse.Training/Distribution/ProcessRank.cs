using System.Globalization;
using System.Runtime.InteropServices;

namespace SimCse.Training.Distribution;

/// <summary>Which of the processes of one <c>mpirun</c> this is, by the environment that Open MPI gives each; no library is loaded to know it.</summary>
/// <param name="Rank">From 0; rank 0 reads and writes files and speaks to the user.</param>
/// <param name="Size">The number of ranks.</param>
/// <param name="LocalSize">How many of them run on this machine.</param>
public sealed partial record ProcessRank(int Rank, int Size, int LocalSize)
{
    private const int OnlineProcessors = 84; // _SC_NPROCESSORS_ONLN of Linux

    /// <summary>The rank of this process; null where it was not started by <c>mpirun</c>.</summary>
    public static ProcessRank? Current { get; } = FromEnvironment(Environment.GetEnvironmentVariable);

    /// <summary>
    /// The threads of this rank where the user names no number: an equal share of the machine's processors, and no more than mpirun has bound the rank to
    /// (its default is one processor a rank up to two ranks, else a socket).
    /// </summary>
    public int Threads => Share(Environment.ProcessorCount, OperatingSystem.IsLinux() ? (int)SystemConfiguration(OnlineProcessors) : Environment.ProcessorCount);

    /// <summary>The rank that these variables tell; null where they tell none.</summary>
    internal static ProcessRank? FromEnvironment(Func<string, string?> variable)
    {
        return Number("OMPI_COMM_WORLD_SIZE") is int size && Number("OMPI_COMM_WORLD_RANK") is int rank && rank < size
            ? new ProcessRank(rank, size, Number("OMPI_COMM_WORLD_LOCAL_SIZE") ?? 1)
            : null;

        int? Number(string name) => int.TryParse(variable(name), NumberStyles.None, CultureInfo.InvariantCulture, out int value) ? value : null;
    }

    /// <summary>See <see cref="Threads"/>.</summary>
    /// <param name="bound">The processors that this process may run on.</param>
    /// <param name="online">The processors of the machine.</param>
    internal int Share(int bound, int online) => Math.Max(1, Math.Min(bound, online / Math.Max(1, LocalSize)));

    [LibraryImport("libc", EntryPoint = "sysconf")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint SystemConfiguration(int name);
}
