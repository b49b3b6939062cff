using System.Runtime.InteropServices;
using System.Text;

namespace SimCse.Training.Distribution;

/// <summary>
/// Open MPI's library, versions 4 and 5: the few functions that are needed, each of which throws where MPI reports an error. Its handles are addresses of
/// exported structures (<c>ompi_mpi_comm_world</c>), so that no header is needed. Everything goes over the world communicator.
/// </summary>
internal sealed unsafe class OpenMpi
{
    private const int ThreadFunneled = 1, AnySource = -1, LongestError = 512;

    private static readonly string[] s_names = OperatingSystem.IsMacOS() ? ["libmpi.40.dylib", "libmpi.dylib"] : ["libmpi.so.40", "libmpi.so"];

    private readonly nint _library;
    private readonly nint _world, _byte, _float;
    private readonly delegate* unmanaged[Cdecl]<int, byte*, int*, int> _errorString;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, int, int, nint, nint*, int> _send;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, int, int, nint, nint*, int> _receive;
    private readonly delegate* unmanaged[Cdecl]<int, nint*, int*, void*, int> _testAll;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, nint, nint*, int> _allGather;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, int, nint, nint*, int> _gather;
    private readonly delegate* unmanaged[Cdecl]<void*, int*, int*, nint, void*, int, nint, int, nint, nint*, int> _scatter;
    private readonly delegate* unmanaged[Cdecl]<void*, int, nint, int, nint, nint*, int> _broadcast;
    private readonly delegate* unmanaged[Cdecl]<nint, nint*, int> _barrier;
    private readonly delegate* unmanaged[Cdecl]<nint*, int> _cancel;
    private readonly delegate* unmanaged[Cdecl]<nint*, void*, int> _wait;
    private readonly delegate* unmanaged[Cdecl]<int> _finalize;

    /// <summary>Loads the library and joins the other ranks. All later calls must come from the thread that makes it (MPI_THREAD_FUNNELED).</summary>
    /// <exception cref="DllNotFoundException">There is no Open MPI: what to install.</exception>
    /// <exception cref="IOException">MPI reports an error.</exception>
    public OpenMpi()
    {
        foreach (string name in s_names)
        {
            if (_library == 0 && NativeLibrary.TryLoad(name, out nint library))
            {
                _library = library;
            }
        }

        if (_library == 0)
        {
            throw new DllNotFoundException($"mpirun started this process, but Open MPI's library {s_names[0]} is not found; install it (libopenmpi3 on Debian and Ubuntu, openmpi on Fedora and Homebrew), on every machine of the run");
        }

        _world = Export("ompi_mpi_comm_world");
        _byte = Export("ompi_mpi_byte");
        _float = Export("ompi_mpi_float");
        NoRequest = Export("ompi_request_null");
        _errorString = (delegate* unmanaged[Cdecl]<int, byte*, int*, int>)Export("MPI_Error_string");
        _send = (delegate* unmanaged[Cdecl]<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Isend");
        _receive = (delegate* unmanaged[Cdecl]<void*, int, nint, int, int, nint, nint*, int>)Export("MPI_Irecv");
        _testAll = (delegate* unmanaged[Cdecl]<int, nint*, int*, void*, int>)Export("MPI_Testall");
        _allGather = (delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, nint, nint*, int>)Export("MPI_Iallgatherv");
        _gather = (delegate* unmanaged[Cdecl]<void*, int, nint, void*, int*, int*, nint, int, nint, nint*, int>)Export("MPI_Igatherv");
        _scatter = (delegate* unmanaged[Cdecl]<void*, int*, int*, nint, void*, int, nint, int, nint, nint*, int>)Export("MPI_Iscatterv");
        _broadcast = (delegate* unmanaged[Cdecl]<void*, int, nint, int, nint, nint*, int>)Export("MPI_Ibcast");
        _barrier = (delegate* unmanaged[Cdecl]<nint, nint*, int>)Export("MPI_Ibarrier");
        _cancel = (delegate* unmanaged[Cdecl]<nint*, int>)Export("MPI_Cancel");
        _wait = (delegate* unmanaged[Cdecl]<nint*, void*, int>)Export("MPI_Wait");
        _finalize = (delegate* unmanaged[Cdecl]<int>)Export("MPI_Finalize");

        int provided, rank, size;
        Check(((delegate* unmanaged[Cdecl]<void*, void*, int, int*, int>)Export("MPI_Init_thread"))(null, null, ThreadFunneled, &provided), "joining the other ranks");
        if (provided < ThreadFunneled)
        {
            throw new IOException($"Open MPI gives thread level {provided}; expected at least {ThreadFunneled}, MPI_THREAD_FUNNELED");
        }

        Check(((delegate* unmanaged[Cdecl]<nint, nint, int>)Export("MPI_Comm_set_errhandler"))(_world, Export("ompi_mpi_errors_return")), "setting its error handler");
        Check(((delegate* unmanaged[Cdecl]<nint, int*, int>)Export("MPI_Comm_rank"))(_world, &rank), "asking for the rank");
        Check(((delegate* unmanaged[Cdecl]<nint, int*, int>)Export("MPI_Comm_size"))(_world, &size), "asking for the number of ranks");
        (Rank, Size) = (rank, size);
    }

    /// <summary>MPI_REQUEST_NULL: always complete.</summary>
    public nint NoRequest { get; }

    public int Rank { get; }

    public int Size { get; }

    /// <summary>Starts to send floats; the memory is left alone until the request is complete.</summary>
    public nint Send(float* values, int count, int to, int tag)
    {
        nint request;
        Check(_send(values, count, _float, to, tag, _world, &request), $"sending to rank {to}");
        return request;
    }

    /// <summary>Starts to receive floats, of which the sender must send just as many.</summary>
    public nint Receive(float* values, int count, int from, int tag)
    {
        nint request;
        Check(_receive(values, count, _float, from, tag, _world, &request), $"receiving from rank {from}");
        return request;
    }

    /// <summary>Starts to send bytes.</summary>
    public nint SendBytes(byte* bytes, int count, int to, int tag)
    {
        nint request;
        Check(_send(bytes, count, _byte, to, tag, _world, &request), $"sending to rank {to}");
        return request;
    }

    /// <summary>Starts to receive bytes from whichever rank sends them first.</summary>
    public nint ReceiveBytesFromAny(byte* bytes, int count, int tag)
    {
        nint request;
        Check(_receive(bytes, count, _byte, AnySource, tag, _world, &request), "receiving from any rank");
        return request;
    }

    /// <summary>Lets MPI work, and says whether all of the requests are complete; they are void then.</summary>
    public bool Test(Span<nint> requests)
    {
        int complete;
        fixed (nint* first = requests)
        {
            Check(_testAll(requests.Length, first, &complete, null), "waiting for the other ranks");
        }

        return complete != 0;
    }

    /// <summary>Starts to gather the ranks' values at every rank, in the order of the ranks.</summary>
    public nint AllGather(void* own, int ownCount, void* all, int[] counts, int[] starts, bool floats)
    {
        nint request;
        fixed (int* count = counts, start = starts)
        {
            Check(_allGather(own, ownCount, Type(floats), all, count, start, Type(floats), _world, &request), "gathering at all ranks");
        }

        return request;
    }

    /// <summary>Starts to gather the ranks' values at rank 0; the other ranks need no counts.</summary>
    public nint Gather(void* own, int ownCount, void* all, int[] counts, int[] starts, bool floats)
    {
        nint request;
        fixed (int* count = counts, start = starts)
        {
            Check(_gather(own, ownCount, Type(floats), all, count, start, Type(floats), 0, _world, &request), "gathering at rank 0");
        }

        return request;
    }

    /// <summary>Starts to give every rank its part of rank 0's bytes; only rank 0 needs counts.</summary>
    public nint Scatter(void* all, int[] counts, int[] starts, void* own, int ownCount)
    {
        nint request;
        fixed (int* count = counts, start = starts)
        {
            Check(_scatter(all, count, start, _byte, own, ownCount, _byte, 0, _world, &request), "scattering from rank 0");
        }

        return request;
    }

    /// <summary>Starts to give one rank's values to all.</summary>
    public nint Broadcast(void* values, int count, int root, bool floats)
    {
        nint request;
        Check(_broadcast(values, count, Type(floats), root, _world, &request), $"broadcasting from rank {root}");
        return request;
    }

    /// <summary>Starts to wait until all ranks have come here.</summary>
    public nint Barrier()
    {
        nint request;
        Check(_barrier(_world, &request), "waiting for all ranks");
        return request;
    }

    /// <summary>Withdraws a receive that nothing answers.</summary>
    public void Withdraw(nint request)
    {
        Check(_cancel(&request), "withdrawing a receive");
        Check(_wait(&request, null), "withdrawing a receive");
    }

    /// <summary>Leaves the other ranks; all must.</summary>
    public void Leave() => Check(_finalize(), "leaving the other ranks");

    private nint Type(bool floats) => floats ? _float : _byte;

    private nint Export(string name) => NativeLibrary.TryGetExport(_library, name, out nint address)
        ? address
        : throw new DllNotFoundException($"{s_names[0]} has no {name}: it is not Open MPI's library, version 4 or 5; start the run with the mpirun of Open MPI, and install its library");

    private void Check(int status, string what)
    {
        if (status != 0)
        {
            byte* text = stackalloc byte[LongestError];
            int length = 0;
            string reason = _errorString(status, text, &length) == 0 ? Encoding.UTF8.GetString(text, length) : $"error {status}";
            throw new IOException($"Open MPI failed {what}: {reason}");
        }
    }
}
