using System.Runtime.InteropServices;

namespace SimCse.Training.Distribution;

/// <summary>The processes of the ranks on this machine: which of them are gone. What happens on other machines is known to mpirun alone, which then ends all ranks.</summary>
internal sealed partial class RankProcesses : IDisposable
{
    private readonly int _rank;
    private readonly (int Rank, int Process)[] _others;
    private readonly PosixSignalRegistration _terminated;

    /// <summary>Watches the ranks of this machine.</summary>
    /// <param name="rank">This rank.</param>
    /// <param name="identities">Every rank's <see cref="Identity"/>, in their order.</param>
    public RankProcesses(int rank, IReadOnlyList<(string Machine, int Process)> identities)
    {
        _rank = rank;
        string here = identities[rank].Machine;
        _others = [.. Enumerable.Range(0, identities.Count)
            .Where(other => other != rank && string.Equals(identities[other].Machine, here, StringComparison.Ordinal) && IsAlive(identities[other].Process))
            .Select(other => (other, identities[other].Process))];

        // mpirun sends SIGTERM to the other ranks as soon as one has died. Who is gone is looked at right then: later others may have ended because of the signal.
        _terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => GoneAtTermination ??= Gone());
    }

    /// <summary>The machine and process that this is.</summary>
    public static (string Machine, int Process) Identity => (Environment.MachineName, Environment.ProcessId);

    /// <summary>The ranks of this machine that were gone when this process got SIGTERM; null where it got none.</summary>
    public IReadOnlyList<(int Rank, int Process)>? GoneAtTermination { get; private set; }

    /// <summary>The ranks of this machine that are gone.</summary>
    public IReadOnlyList<(int Rank, int Process)> Gone() => [.. _others.Where(other => !IsAlive(other.Process))];

    /// <summary>Whether this rank is the one to speak: the lowest on its machine that is not gone.</summary>
    public bool IsSpokesman(IReadOnlyList<(int Rank, int Process)> gone) => _others.All(other => other.Rank > _rank || gone.Contains(other));

    public void Dispose() => _terminated.Dispose();

    private static bool IsAlive(int process) => Kill(process, signal: 0) == 0;

    [LibraryImport("libc", EntryPoint = "kill")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Kill(int process, int signal);
}
