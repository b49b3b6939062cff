using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace SimCse.Training.Distribution;

/// <summary>How numbers of several ranks become one.</summary>
public enum RankReduction
{
    /// <summary>Their sum, added in the order of the ranks.</summary>
    Sum,

    /// <summary>The least of them.</summary>
    Minimum,

    /// <summary>The greatest of them.</summary>
    Maximum,
}

/// <summary>
/// The ranks of one <c>mpirun</c>, and what they exchange, over Open MPI. Every operation but <see cref="ThrowIfRankFailed"/> is collective: all ranks must call the same ones, in the same order and with
/// fitting sizes. One thread at a time may call.
/// </summary>
/// <remarks>
/// <para>
/// Results depend on the ranks' values and their number alone, to the bit: sums are added in the order of the ranks by code of this library. (Open MPI's own reductions choose their algorithm, and with it the
/// order, by size, number of ranks and version, and MPI only recommends that a repeated reduction gives the same result.)
/// </para>
/// <para>
/// A thread of its own does all calls of MPI, so exchanges that are <em>started</em> go on while the caller computes. Polling, it notices that a rank has failed (the rank says so) or died (its process is gone),
/// and every operation under way or called later throws <see cref="RankFailureException"/>: nobody waits for ever.
/// </para>
/// <para>
/// <see cref="Complete"/> belongs at the end of a run that went well. A communicator that is disposed without it tells the other ranks that this one failed; the process must then end, with a status other than
/// zero, at which mpirun ends the others.
/// </para>
/// </remarks>
public sealed unsafe class Communicator : IDisposable
{
    private readonly CommunicationThread _thread;
    private bool _disposed;

    private Communicator()
    {
        _thread = new CommunicationThread();
        try
        {
            (Rank, Size) = (_thread.Mpi.Rank, _thread.Mpi.Size);
            (string machine, int process) = RankProcesses.Identity;
            _thread.Processes = new RankProcesses(Rank, [.. AllGather(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{process} {machine}"))).Select(bytes => Encoding.UTF8.GetString(bytes).Split(' ', 2))
                .Select(parts => (parts[1], int.Parse(parts[0], CultureInfo.InvariantCulture)))]);
        }
        catch
        {
            _thread.Dispose();
            throw;
        }
    }

    /// <summary>This process's place among the ranks, from 0.</summary>
    public int Rank { get; }

    /// <summary>The number of ranks.</summary>
    public int Size { get; }

    /// <summary>Joins the other ranks; null where this process was not started by <c>mpirun</c>. With <c>mpirun -n 1</c> it is a communicator of one.</summary>
    /// <exception cref="DllNotFoundException">mpirun started this process, but Open MPI's library cannot be loaded: what to install.</exception>
    /// <exception cref="IOException">MPI reports an error.</exception>
    public static Communicator? FromEnvironment() => ProcessRank.Current is null ? null : new Communicator();

    /// <summary>values ← Σ_r values_r at every rank, added in the order of the ranks r.</summary>
    /// <param name="values">The same number at every rank.</param>
    public void AllReduceSum(Span<float> values)
    {
        fixed (float* first = values)
        {
            StartAllReduceSum((nint)first, values.Length).Wait();
        }
    }

    /// <summary>Starts values ← Σ_r values_r at every rank, added in the order of the ranks r, and returns at once. How a vector is cut into several sums changes no bit of them.</summary>
    /// <param name="values">The address of float32 values, which nobody may touch, move or free before <see cref="PendingOperation.Wait"/> returns.</param>
    /// <param name="count">Their number, the same at every rank.</param>
    public PendingOperation StartAllReduceSum(nint values, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        return _thread.StartSum(values, count);
    }

    /// <summary>
    /// Lets sums over a vector, or over parts of it, go without messages where all ranks are on one machine: its pages become memory that the ranks share, in which they add. The bits of the sums are the
    /// same. One vector at a time; it must not be in use meanwhile.
    /// </summary>
    /// <param name="values">The address of float32 values in native memory, which stays theirs; to be freed only after the communicator is disposed.</param>
    /// <param name="count">Their number, the same at every rank.</param>
    /// <returns>Whether it is shared; where not (several machines, another system than Linux), sums go by messages as before.</returns>
    /// <exception cref="IOException">The system ran out of memory.</exception>
    public bool Share(nint values, long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        _thread.Shared?.Dispose();
        _thread.Shared = null;
        SharedVector? vector = SharedVector.TryCreate(values, count);
        string[] all = [.. AllGather(Encoding.UTF8.GetBytes(vector?.Describe(values) ?? "")).Select(Encoding.UTF8.GetString)];
        bool isShared = !Any(vector is null || !vector.TryMap(Rank, all));
        vector?.CloseFile();
        if (isShared)
        {
            _thread.Shared = vector;
        }
        else
        {
            vector?.Dispose();
        }

        return isShared;
    }

    /// <summary>values ← the sum, least or greatest of the ranks' values, element by element, at every rank. For a few numbers: all ranks' numbers go to all ranks.</summary>
    /// <param name="values">The same number at every rank.</param>
    /// <param name="reduction">What becomes of them.</param>
    public void AllReduce(Span<double> values, RankReduction reduction)
    {
        byte[][] all = AllGather(MemoryMarshal.AsBytes(values));
        for (int rank = 0; rank < Size; rank++)
        {
            ReadOnlySpan<double> theirs = MemoryMarshal.Cast<byte, double>(all[rank]);
            for (int i = 0; i < values.Length; i++)
            {
                values[i] = rank == 0 ? theirs[i] : reduction switch
                {
                    RankReduction.Sum => values[i] + theirs[i],
                    RankReduction.Minimum => Math.Min(values[i], theirs[i]),
                    RankReduction.Maximum => Math.Max(values[i], theirs[i]),
                    _ => throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "not a reduction"),
                };
            }
        }
    }

    /// <summary>Whether it is so at any rank.</summary>
    public bool Any(bool condition)
    {
        Span<double> value = [condition ? 1 : 0];
        AllReduce(value, RankReduction.Maximum);
        return value[0] > 0;
    }

    /// <summary>Every rank's values at every rank, one after the other in the order of the ranks.</summary>
    /// <param name="own">counts[Rank] values.</param>
    /// <param name="all">Room for all, Σ counts.</param>
    /// <param name="counts">How many values each rank has; the same at every rank.</param>
    /// <exception cref="ArgumentException">A length does not fit the counts.</exception>
    public void AllGather(ReadOnlySpan<float> own, Span<float> all, ReadOnlySpan<int> counts)
    {
        (int[] sizes, int[] starts) = Layout(counts, own.Length, all.Length);
        fixed (float* from = own, to = all)
        {
            nint source = (nint)from, target = (nint)to;
            int length = own.Length;
            _thread.Start(() => _thread.Wait(_thread.Mpi.AllGather((void*)source, length, (void*)target, sizes, starts, floats: true))).Wait();
        }
    }

    /// <summary>Every rank's bytes at every rank, [rank]; each may have another number of them.</summary>
    public byte[][] AllGather(ReadOnlySpan<byte> own)
    {
        byte[] size = new byte[sizeof(int)], sizes = new byte[Size * sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(size, own.Length);
        GatherAtAll(size, sizes, [.. Enumerable.Repeat(sizeof(int), Size)]);
        int[] counts = [.. Enumerable.Range(0, Size).Select(rank => BinaryPrimitives.ReadInt32LittleEndian(sizes.AsSpan(rank * sizeof(int))))];
        byte[] all = new byte[Total(counts)];
        GatherAtAll(own, all, counts);
        return Parts(all, counts);
    }

    /// <summary>Every rank's values at rank 0, one after the other in the order of the ranks.</summary>
    /// <param name="own">counts[Rank] values.</param>
    /// <param name="all">At rank 0 room for all, Σ counts; at the others it is left alone, and may be empty.</param>
    /// <param name="counts">How many values each rank has; the same at every rank.</param>
    /// <exception cref="ArgumentException">A length does not fit the counts.</exception>
    public void Gather(ReadOnlySpan<float> own, Span<float> all, ReadOnlySpan<int> counts)
    {
        (int[] sizes, int[] starts) = Layout(counts, own.Length, Rank == 0 ? all.Length : null);
        fixed (float* from = own, to = all)
        {
            nint source = (nint)from, target = (nint)to;
            int length = own.Length;
            _thread.Start(() => _thread.Wait(_thread.Mpi.Gather((void*)source, length, (void*)target, sizes, starts, floats: true))).Wait();
        }
    }

    /// <summary>This rank's part of what rank 0 gives out.</summary>
    /// <param name="parts">At rank 0 a part for each rank; null at the others.</param>
    /// <exception cref="ArgumentException">Rank 0 has not one part for each rank.</exception>
    public byte[] Scatter(IReadOnlyList<byte[]>? parts)
    {
        if (Rank == 0 && parts?.Count != Size)
        {
            throw new ArgumentException($"{parts?.Count ?? 0} parts for {Size} ranks", nameof(parts));
        }

        int[] counts = new int[Size];
        if (Rank == 0)
        {
            counts = [.. parts!.Select(part => part.Length)];
        }

        Broadcast(MemoryMarshal.AsBytes(counts.AsSpan()));
        byte[] all = Rank == 0 ? [.. parts!.SelectMany(part => part)] : [], own = new byte[counts[Rank]];
        int[] starts = Starts(counts);
        fixed (byte* from = all, to = own)
        {
            nint source = (nint)from, target = (nint)to;
            _thread.Start(() => _thread.Wait(_thread.Mpi.Scatter((void*)source, counts, starts, (void*)target, own.Length))).Wait();
        }

        return own;
    }

    /// <summary>Gives one rank's values to all.</summary>
    /// <param name="values">Read at that rank, written at the others; the same number at every rank.</param>
    /// <param name="root">That rank.</param>
    public void Broadcast(Span<float> values, int root = 0)
    {
        fixed (float* first = values)
        {
            nint address = (nint)first;
            int length = values.Length;
            _thread.Start(() => _thread.Wait(_thread.Mpi.Broadcast((void*)address, length, root, floats: true))).Wait();
        }
    }

    /// <summary>Gives one rank's bytes to all.</summary>
    /// <param name="values">Read at that rank, written at the others; the same number at every rank.</param>
    /// <param name="root">That rank.</param>
    public void Broadcast(Span<byte> values, int root = 0)
    {
        fixed (byte* first = values)
        {
            nint address = (nint)first;
            int length = values.Length;
            _thread.Start(() => _thread.Wait(_thread.Mpi.Broadcast((void*)address, length, root, floats: false))).Wait();
        }
    }

    /// <summary>Waits until all ranks have come here.</summary>
    public void Barrier() => _thread.Start(() => _thread.Wait(_thread.Mpi.Barrier())).Wait();

    /// <summary>Makes sure that all ranks were started alike.</summary>
    /// <param name="what">What is compared, such as "training data".</param>
    /// <param name="value">A short text that is the same where it is the same thing, such as a hash or the options as JSON.</param>
    /// <exception cref="InvalidDataException">At rank 0: another rank has something else; which, and what.</exception>
    /// <exception cref="RankFailureException">At the other ranks: rank 0 has found it.</exception>
    public void RequireSame(string what, string value)
    {
        string[] values = [.. AllGather(Encoding.UTF8.GetBytes(value)).Select(Encoding.UTF8.GetString)];
        int other = Array.FindIndex(values, theirs => !string.Equals(theirs, values[0], StringComparison.Ordinal));
        if (other > 0)
        {
            string message = $"rank {other} has other {what} than rank 0 ({values[other]}, not {values[0]}); give all ranks the same data, model and options";
            throw Rank == 0 ? new InvalidDataException(message) : _thread.Fail(message, isReported: true);
        }
    }

    /// <summary>Does what may fail at each rank, such as loading a model, so that it either succeeds at all of them or throws at all of them, with one of them to report it.</summary>
    /// <param name="action">What each rank does.</param>
    /// <exception cref="RankFailureException">It failed at another rank, a lower one where it failed here too.</exception>
    public T Together<T>(Func<T> action)
    {
        ArgumentNullException.ThrowIfNull(action);
        T? result = default;
        Exception? failure = null;
        try
        {
            result = action();
        }
        catch (Exception e) when (e is not RankFailureException)
        {
            failure = e;
        }

        int failed = Array.FindIndex(AllGather([failure is null ? (byte)0 : (byte)1]), state => state[0] == 1);
        if (failed < 0)
        {
            return result!;
        }

        (result as IDisposable)?.Dispose();
        if (failed == Rank)
        {
            System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure!);
        }

        throw _thread.Fail($"rank {failed} failed", isReported: true, failure);
    }

    /// <summary>
    /// Throws where another rank is known to have failed, or was gone when mpirun asked this one to stop (SIGTERM). To be called where an <see cref="OperationCanceledException"/> comes up: it tells a run that the
    /// user has stopped from one that lost a rank. Not collective.
    /// </summary>
    /// <exception cref="RankFailureException">Which rank.</exception>
    public void ThrowIfRankFailed() => _thread.ThrowIfRankFailed();

    /// <summary>Waits for all ranks and leaves them: the run went well. Nothing but <see cref="Dispose"/> may be called after.</summary>
    public void Complete() => _thread.Leave();

    /// <summary>
    /// Frees what is held, after <see cref="Complete"/>; without that the other ranks are told that this one failed. Where another rank has failed and says so, it waits, seconds at most, for mpirun to end this one.
    /// </summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _thread.Dispose();
        }
    }

    private void GatherAtAll(ReadOnlySpan<byte> own, Span<byte> all, int[] counts)
    {
        int[] starts = Starts(counts);
        fixed (byte* from = own, to = all)
        {
            nint source = (nint)from, target = (nint)to;
            int length = own.Length;
            _thread.Start(() => _thread.Wait(_thread.Mpi.AllGather((void*)source, length, (void*)target, counts, starts, floats: false))).Wait();
        }
    }

    private (int[] Counts, int[] Starts) Layout(ReadOnlySpan<int> counts, int own, int? all)
    {
        int[] sizes = counts.ToArray();
        if (sizes.Length != Size || sizes[Rank] != own || (all is { } room && Total(sizes) != room))
        {
            throw new ArgumentException($"{own} values of {all} do not fit the counts {string.Join(", ", sizes)} of {Size} ranks, of which this is {Rank}", nameof(counts));
        }

        return (sizes, Starts(sizes));
    }

    /// <summary>The number of values of all ranks; MPI counts them in 32 bits.</summary>
    private static int Total(int[] counts)
    {
        long total = counts.Sum(count => (long)count);
        return total <= Array.MaxLength ? (int)total : throw new ArgumentException($"{total} values of all ranks; expected at most {Array.MaxLength}", nameof(counts));
    }

    private static int[] Starts(int[] counts)
    {
        _ = Total(counts);
        int[] starts = new int[counts.Length];
        for (int rank = 1; rank < counts.Length; rank++)
        {
            starts[rank] = starts[rank - 1] + counts[rank - 1];
        }

        return starts;
    }

    private static byte[][] Parts(byte[] all, int[] counts)
    {
        int[] starts = Starts(counts);
        return [.. counts.Select((count, rank) => all.AsSpan(starts[rank], count).ToArray())];
    }
}
