using System.Diagnostics;
using System.Runtime.InteropServices;
using SimCse.Training.Distribution;

namespace SimCse.Bench.Distribution;

/// <summary>
/// One of two ranks that sum vectors. Rank 0 has the side's standard input, and tells the other what to do; that one follows it from within its constructor until rank 0 has no more requests.
/// </summary>
internal sealed unsafe class AllReduceSide : Side
{
    private const int Check = -1, End = -2;
    private const int CheckCount = 1_000_003;
    private const int SumsOfRound = 5;
    private static readonly (string Part, int Bytes)[] s_parts = [("90MB", 90_000_000), ("440MB", 440_000_000)];

    private readonly Communicator _ranks = Communicator.FromEnvironment() ?? throw new InvalidDataException("the sides of all-reduce are started by mpirun");
    private readonly bool _isOurs;
    private readonly nint[] _vectors = [.. s_parts.Select(part => (nint)NativeMemory.AlignedAlloc((nuint)part.Bytes, 64))];
    private readonly delegate* unmanaged[Cdecl]<nint, nint, int, nint, nint, nint, int> _allReduce;
    private readonly nint _world, _float, _sum;

    public AllReduceSide(bool isOurs)
    {
        _isOurs = isOurs;
        nint library = NativeLibrary.Load("libmpi.so.40");
        _allReduce = (delegate* unmanaged[Cdecl]<nint, nint, int, nint, nint, nint, int>)NativeLibrary.GetExport(library, "MPI_Allreduce");
        (_world, _float, _sum) = (NativeLibrary.GetExport(library, "ompi_mpi_comm_world"), NativeLibrary.GetExport(library, "ompi_mpi_float"), NativeLibrary.GetExport(library, "ompi_mpi_op_sum"));
        for (int i = 0; i < s_parts.Length; i++)
        {
            Fill((float*)_vectors[i], s_parts[i].Bytes / sizeof(float));
        }

        if (_ranks.Rank > 0)
        {
            for (int request = Tell(0); request != End; request = Tell(0))
            {
                _ = request == Check ? Sums(CheckCount) : null;
                _ = request >= 0 ? RunPart(request) : 0;
            }
        }
    }

    public override void WriteCheck(string path)
    {
        Tell(Check);
        File.WriteAllBytes(path, MemoryMarshal.AsBytes<float>(Sums(CheckCount)));
    }

    public override IReadOnlyList<Measurement> RunRound(int round) => [.. s_parts.Select((part, i) =>
    {
        Tell(i);
        return new Measurement(part.Part, RunPart(i), (double)part.Bytes * SumsOfRound / 1e9);
    })];

    public override void Dispose()
    {
        if (_ranks.Rank == 0)
        {
            Tell(End);
        }

        _ranks.Complete();
        _ranks.Dispose();
        foreach (nint vector in _vectors)
        {
            NativeMemory.AlignedFree((void*)vector);
        }
    }

    /// <summary>Values whose sums stay finite over many rounds: their signs alternate from rank to rank.</summary>
    private void Fill(float* values, int count)
    {
        for (int i = 0; i < count; i++)
        {
            values[i] = (_ranks.Rank == 0 ? 1 : -1) * (1 + (i % 1024 / 1024f) + (_ranks.Rank * 1e-7f * (i % 7)));
        }
    }

    private float[] Sums(int count)
    {
        float* values = (float*)NativeMemory.Alloc((nuint)count * sizeof(float));
        Fill(values, count);
        Sum((nint)values, count);
        float[] sums = new ReadOnlySpan<float>(values, count).ToArray();
        NativeMemory.Free(values);
        return sums;
    }

    private double RunPart(int part)
    {
        int count = s_parts[part].Bytes / sizeof(float);
        if (_isOurs)
        {
            _ranks.Share(_vectors[part], count); // as a training run does once, at its start
        }

        Sum(_vectors[part], count);
        _ranks.Barrier();
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < SumsOfRound; i++)
        {
            Sum(_vectors[part], count);
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private void Sum(nint values, int count)
    {
        if (_isOurs)
        {
            _ranks.StartAllReduceSum(values, count).Wait();
        }
        else if (_allReduce(1, values, count, _float, _sum, _world) != 0) // 1 is MPI_IN_PLACE; no other thread calls MPI meanwhile
        {
            throw new InvalidDataException("MPI_Allreduce failed");
        }
    }

    /// <summary>Rank 0's request, at both ranks.</summary>
    private int Tell(int request)
    {
        Span<int> told = [request];
        _ranks.Broadcast(MemoryMarshal.AsBytes(told));
        return told[0];
    }
}
