using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace SimCse.Training.Distribution;

/// <summary>
/// The one thread of this process that calls MPI. Open MPI moves data only inside its calls, so an exchange goes on while other threads compute because this
/// thread keeps calling. It polls, and never stands still inside MPI, so that it notices when another rank has failed or died.
/// </summary>
internal sealed unsafe partial class CommunicationThread : IDisposable
{
    private const int ChunkFloats = 1 << 16, ChunksInFlight = 3;
    private const int LastWordTag = 3;
    private static readonly TimeSpan s_busyTime = TimeSpan.FromMilliseconds(2), s_lookInterval = TimeSpan.FromMilliseconds(100), s_grace = TimeSpan.FromMilliseconds(300), s_patience = TimeSpan.FromSeconds(5);

    private readonly BlockingCollection<PendingOperation> _operations = [];
    private readonly Thread _thread;
    private readonly LastWord* _lastWord = (LastWord*)NativeMemory.Alloc((nuint)sizeof(LastWord)); // for MPI to write to, to the end of the process
    private OpenMpi? _mpi;
    private RankOrderSum? _sum;
    private PendingOperation? _running;
    private nint _lastWordRequest;
    private RankFailureException? _failure;
    private long? _waitingInVain;
    private volatile bool _abandoned;
    private bool _otherStopped, _left;

    /// <summary>Starts the thread, and joins the other ranks.</summary>
    /// <exception cref="DllNotFoundException">Open MPI is not there.</exception>
    public CommunicationThread()
    {
        _thread = new Thread(() =>
        {
            foreach (PendingOperation operation in _operations.GetConsumingEnumerable())
            {
                _running = operation;
                operation.Run();
            }
        })
        {
            IsBackground = true,
            Name = "communication between ranks",
        };
        _thread.Start();
        Post(() =>
        {
            _mpi = new OpenMpi();
            _sum = new RankOrderSum(_mpi, requests => Wait(requests.Span), ChunkFloats, ChunksInFlight);
            _lastWordRequest = ReceiveLastWord();
        }).Wait();
    }

    public OpenMpi Mpi => _mpi!;

    /// <summary>Who of this machine's ranks is gone; null until they have told who they are.</summary>
    public RankProcesses? Processes { get; set; }

    /// <summary>Starts something that is exchanged between the ranks: they must all start the same in the same order.</summary>
    public PendingOperation Start(Action exchange) => Post(() =>
    {
        ThrowIfFailed();
        ThrowIfAbandoned();
        exchange();
    });

    /// <summary>The vector whose sums need no messages.</summary>
    public SharedVector? Shared { get; set; }

    /// <summary>Starts the sum of a vector over the ranks.</summary>
    public PendingOperation StartSum(nint values, long count) => Start(() => Sum(values, count));

    /// <summary>Waits, on this thread, for the end of one request.</summary>
    public void Wait(nint request) => Wait([request]);

    /// <summary>Remembers that another rank has failed: nothing can be exchanged any more.</summary>
    public RankFailureException Fail(string message, bool isReported, Exception? cause = null) => _failure = new RankFailureException(message, isReported, cause);

    /// <summary>Throws where another rank is known to have failed or died.</summary>
    public void ThrowIfRankFailed() => Post(() =>
    {
        Hear();
        ThrowIfFailed();
        if (Processes?.GoneAtTermination is { Count: > 0 } gone)
        {
            throw Fail(Describe(gone), !Processes.IsSpokesman(gone));
        }
    }).Wait();

    /// <summary>Waits for all ranks, and leaves them.</summary>
    public void Leave() => Start(() =>
    {
        Wait(Mpi.Barrier());
        Mpi.Withdraw(_lastWordRequest);
        Mpi.Leave();
        _left = true;
    }).Wait();

    /// <summary>Ends the thread. Where the ranks have not been left in common, the others are told that this one goes.</summary>
    public void Dispose()
    {
        _abandoned = true;
        if (!_left && _mpi is not null)
        {
            Post(SayLastWord).Wait();
        }

        _operations.CompleteAdding();
        _thread.Join();
        if (_failure is { IsReported: true })
        {
            // mpirun ends all ranks a second after the first has ended. It is not this one, so that the one that reports the failure has the time to.
            SpinWait.SpinUntil(() => Processes?.GoneAtTermination is not null, s_patience);
        }

        _operations.Dispose();
        _sum?.Dispose();
        Shared?.Dispose();
        Processes?.Dispose();
    }

    private void Sum(nint values, long count)
    {
        nint end = values + (nint)(count * sizeof(float));
        if (Shared is not { } shared || values >= shared.End || end <= shared.Start)
        {
            _sum!.Run((float*)values, count);
            return;
        }

        // The pages at the ends of a vector hold other things too and are not shared.
        nint first = Math.Max(values, shared.Start), last = Math.Min(end, shared.End);
        _sum!.Run((float*)values, (first - values) / sizeof(float));
        _sum.Run((float*)last, (end - last) / sizeof(float));
        Wait(Mpi.Barrier());
        shared.SumShare(Mpi.Rank, first, (last - first) / sizeof(float));
        Wait(Mpi.Barrier());
    }

    private PendingOperation Post(Action run)
    {
        PendingOperation operation = new(run);
        _operations.Add(operation);
        return operation;
    }

    /// <summary>
    /// Waits for requests. While a caller stands still for it, by polling: nothing else has use for the processor. While its caller computes, by looking
    /// every now and then, so as not to take the processor from it.
    /// </summary>
    private void Wait(Span<nint> requests)
    {
        long began = Stopwatch.GetTimestamp(), looked = began;
        while (!Mpi.Test(requests))
        {
            long now = Stopwatch.GetTimestamp();
            ThrowIfAbandoned();
            Hear();
            ThrowIfFailed();
            if (Stopwatch.GetElapsedTime(looked, now) > s_lookInterval)
            {
                looked = now;
                Look();
            }

            if (_running!.IsAwaited && Stopwatch.GetElapsedTime(began, now) < s_busyTime)
            {
                Thread.Yield();
            }
            else
            {
                _ = SleepMicroseconds(Stopwatch.GetElapsedTime(began, now) < s_lookInterval ? 20u : 500u);
            }
        }
    }

    /// <summary>Hears whether another rank has said that it goes.</summary>
    private void Hear()
    {
        if (!Mpi.Test(new Span<nint>(ref _lastWordRequest)))
        {
            return;
        }

        if (_lastWord->HasFailed)
        {
            _failure ??= new RankFailureException($"rank {_lastWord->Rank} failed", isReported: true);
        }
        else
        {
            _otherStopped = true;
        }

        _lastWordRequest = ReceiveLastWord();
    }

    /// <summary>Looks whether the exchange under way can still come to an end.</summary>
    private void Look()
    {
        if (Processes is null)
        {
            return;
        }

        IReadOnlyList<(int Rank, int Process)> gone = Processes.GoneAtTermination ?? Processes.Gone();
        if (gone.Count > 0)
        {
            _waitingInVain ??= Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(_waitingInVain.Value) > s_grace)
            {
                throw Fail(Describe(gone), isReported: !Processes.IsSpokesman(gone));
            }
        }
        else if (Processes.GoneAtTermination is not null)
        {
            if (_otherStopped)
            {
                throw new OperationCanceledException("all ranks were asked to stop");
            }

            _waitingInVain ??= Stopwatch.GetTimestamp();
            if (Stopwatch.GetElapsedTime(_waitingInVain.Value) > s_patience)
            {
                throw Fail("this rank was asked to stop (SIGTERM), and the others do not answer", isReported: false);
            }
        }
    }

    private static string Describe(IReadOnlyList<(int Rank, int Process)> gone) => string.Create(CultureInfo.InvariantCulture,
        $"the run ended because rank {gone[0].Rank} (process {gone[0].Process}) died{(gone.Count > 1 ? $", and {gone.Count - 1} more" : "")}");

    private void ThrowIfFailed()
    {
        if (_failure is not null)
        {
            throw _failure;
        }
    }

    private void ThrowIfAbandoned() => ObjectDisposedException.ThrowIf(_abandoned, typeof(Communicator));

    private nint ReceiveLastWord() => Mpi.ReceiveBytesFromAny((byte*)_lastWord, sizeof(LastWord), LastWordTag);

    /// <summary>Tells the other ranks that this one goes, so that they need not wait until it is missed.</summary>
    private void SayLastWord()
    {
        if (_failure is not null)
        {
            return; // they know of the failure by which this rank goes
        }

        LastWord word = new(Mpi.Rank, HasFailed: Processes?.GoneAtTermination is null);
        nint[] requests = new nint[Mpi.Size];
        for (int rank = 0; rank < Mpi.Size; rank++)
        {
            requests[rank] = rank == Mpi.Rank ? Mpi.NoRequest : Mpi.SendBytes((byte*)&word, sizeof(LastWord), rank, LastWordTag);
        }

        long began = Stopwatch.GetTimestamp();
        while (!Mpi.Test(requests) && Stopwatch.GetElapsedTime(began) < s_grace)
        {
            Thread.Yield();
        }
    }

    [LibraryImport("libc", EntryPoint = "usleep")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int SleepMicroseconds(uint microseconds);

    /// <summary>What a rank sends that goes before the others do.</summary>
    /// <param name="Rank">Which one.</param>
    /// <param name="HasFailed">Whether it goes of its own, and tells the user why; else it was asked to stop.</param>
    private readonly record struct LastWord(int Rank, bool HasFailed);
}
