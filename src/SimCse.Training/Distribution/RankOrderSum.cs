using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace SimCse.Training.Distribution;

/// <summary>
/// Sums float32 vectors over the ranks in place: every rank ends with v_0 + v_1 + … + v_(n−1), added in this order in float32, element by element. So the bits depend on
/// nothing but the ranks' values: not on who comes first, on the cut into buckets, on the network or on MPI's choice of an algorithm, all of which MPI leaves open
/// (MPI 4.0, 6.9.1 merely recommends that a reduction gives the same result when it is repeated).
/// </summary>
/// <remarks>
/// Each rank sums one n-th of the vector: it receives that part from every other rank, adds, and sends the sum back (reduce-scatter, then all-gather), so a rank sends and
/// receives 2·(n−1)/n of the vector, which is the least possible. It goes in chunks that stay in the processor's cache between their arrival and their departure, several
/// of which are under way at once.
/// </remarks>
internal sealed unsafe class RankOrderSum : IDisposable
{
    private const int AddendTag = 1, SumTag = 2;
    private const int Alignment = 64 / sizeof(float);

    private readonly OpenMpi _mpi;
    private readonly Action<Memory<nint>> _wait;
    private readonly int _chunk, _inFlight;
    private readonly int[] _others;
    private readonly float* _addends; // [slot][other rank][chunk]
    private readonly nint[] _addendRequests; // [slot][received or sent][other rank]
    private readonly nint[] _sumRequests; // [slot][received or sent][other rank]; twice the slots, since a sum is needed last

    /// <summary>A sum over the ranks.</summary>
    /// <param name="mpi">Its thread must be the one that calls <see cref="Run"/>.</param>
    /// <param name="wait">Waits for requests.</param>
    /// <param name="chunk">Floats that are sent at once, a multiple of 16.</param>
    /// <param name="inFlight">Chunks that are under way at once.</param>
    public RankOrderSum(OpenMpi mpi, Action<Memory<nint>> wait, int chunk, int inFlight)
    {
        (_mpi, _wait, _chunk, _inFlight) = (mpi, wait, chunk, inFlight);
        _others = [.. Enumerable.Range(0, mpi.Size).Where(rank => rank != mpi.Rank)];
        _addends = (float*)NativeMemory.AlignedAlloc((nuint)((long)inFlight * _others.Length * chunk * sizeof(float)), Alignment * sizeof(float));
        _addendRequests = new nint[inFlight * 2 * _others.Length];
        _sumRequests = new nint[2 * inFlight * 2 * _others.Length];
        Array.Fill(_addendRequests, mpi.NoRequest);
        Array.Fill(_sumRequests, mpi.NoRequest);
    }

    public void Dispose() => NativeMemory.AlignedFree(_addends);

    /// <summary>Sums; every rank must call it with the same count.</summary>
    public void Run(float* values, long count)
    {
        if (_others.Length == 0)
        {
            return;
        }

        long longest = Enumerable.Range(0, _mpi.Size).Max(rank => Start(rank + 1, count) - Start(rank, count));
        int chunks = (int)((longest + _chunk - 1) / _chunk);
        for (int step = 0; step < chunks + _inFlight - 1; step++)
        {
            if (step < chunks)
            {
                ExchangeAddends(values, count, step);
            }

            if (step >= _inFlight - 1)
            {
                ExchangeSums(values, count, step - _inFlight + 1);
            }
        }

        _wait(_sumRequests);
    }

    private void ExchangeAddends(float* values, long count, int chunk)
    {
        Span<nint> received = Requests(_addendRequests, chunk, part: 0).Span, sent = Requests(_addendRequests, chunk, part: 1).Span;
        (_, int length) = Chunk(_mpi.Rank, chunk, count);
        for (int i = 0; i < _others.Length; i++)
        {
            if (length > 0)
            {
                received[i] = _mpi.Receive(Addend(chunk, i), length, _others[i], AddendTag);
            }
        }

        for (int i = 0; i < _others.Length; i++)
        {
            (long start, int theirs) = Chunk(_others[i], chunk, count);
            if (theirs > 0)
            {
                sent[i] = _mpi.Send(values + start, theirs, _others[i], AddendTag);
            }
        }
    }

    private void ExchangeSums(float* values, long count, int chunk)
    {
        _wait(Requests(_addendRequests, chunk, part: 0));
        (long start, int length) = Chunk(_mpi.Rank, chunk, count);
        Add(values + start, length, chunk);

        Memory<nint> received = Requests(_sumRequests, chunk, part: 0), sent = Requests(_sumRequests, chunk, part: 1);
        _wait(received);
        _wait(sent);
        for (int i = 0; i < _others.Length; i++)
        {
            if (length > 0)
            {
                sent.Span[i] = _mpi.Send(values + start, length, _others[i], SumTag);
            }
        }

        _wait(Requests(_addendRequests, chunk, part: 1)); // MPI may read these addends until then; after that their sum may come over them
        for (int i = 0; i < _others.Length; i++)
        {
            (long theirStart, int theirs) = Chunk(_others[i], chunk, count);
            if (theirs > 0)
            {
                received.Span[i] = _mpi.Receive(values + theirStart, theirs, _others[i], SumTag);
            }
        }
    }

    /// <summary>own ← ((v_0 + v_1) + …) + v_(n−1); a sum of two is the same from either side, so the ranks before this one are summed first and then added to it.</summary>
    private void Add(float* own, int length, int chunk)
    {
        Span<float> sum = new(own, length);
        int before = _mpi.Rank;
        if (before > 0)
        {
            Span<float> lower = new(Addend(chunk, 0), length);
            for (int i = 1; i < before; i++)
            {
                TensorPrimitives.Add(lower, new ReadOnlySpan<float>(Addend(chunk, i), length), lower);
            }

            TensorPrimitives.Add(sum, lower, sum);
        }

        for (int i = before; i < _others.Length; i++)
        {
            TensorPrimitives.Add(sum, new ReadOnlySpan<float>(Addend(chunk, i), length), sum);
        }
    }

    /// <summary>Where a rank's part of the vector begins.</summary>
    private long Start(int rank, long count) => rank == _mpi.Size ? count : count / _mpi.Size * rank / Alignment * Alignment;

    /// <summary>A chunk of a rank's part, empty where the part has fewer.</summary>
    private (long Start, int Length) Chunk(int rank, int chunk, long count)
    {
        long start = Start(rank, count) + ((long)chunk * _chunk);
        return (start, (int)Math.Clamp(Start(rank + 1, count) - start, 0, _chunk));
    }

    private float* Addend(int chunk, int other) => _addends + ((((long)chunk % _inFlight * _others.Length) + other) * _chunk);

    private Memory<nint> Requests(nint[] ring, int chunk, int part)
    {
        int slots = ring.Length / (2 * _others.Length);
        return ring.AsMemory(((chunk % slots * 2) + part) * _others.Length, _others.Length);
    }
}
