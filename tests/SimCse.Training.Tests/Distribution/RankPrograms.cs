using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using SimCse.Training.Distribution;

namespace SimCse.Training.Tests.Distribution;

/// <summary>What the ranks of a test do. A program prints what the test looks at.</summary>
internal static unsafe class RankPrograms
{
    public const string Option = "--rank-program";

    public static int Run(string name, string[] arguments)
    {
        Environment.SetEnvironmentVariable("TERM", "dumb"); // mpirun gives its ranks a terminal, which the console would set up
        using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context => context.Cancel = true);
        using Communicator communicator = Communicator.FromEnvironment() ?? throw new InvalidOperationException("not started by mpirun");
        try
        {
            switch (name)
            {
                case "sums": Sums(communicator); break;
                case "buckets": Buckets(communicator, int.Parse(arguments[0], CultureInfo.InvariantCulture), isShared: arguments.Contains("shared")); break;
                case "exchanges": Exchanges(communicator); break;
                case "differ": communicator.RequireSame("training data", communicator.Rank == 2 ? "b" : "a"); break;
                case "together": communicator.Together<int>(() => communicator.Rank > 0 ? throw new InvalidDataException("no model here") : 1); break;
                case "failing": Failing(communicator); break;
                case "dying": Dying(communicator, dead: 1, late: false); break;
                case "dying-late": Dying(communicator, dead: 1, late: true); break;
                case "dying-first": Dying(communicator, dead: 0, late: false); break;
                case "null-reference": NullReference(); break;
                default: throw new ArgumentException($"no program '{name}'");
            }

            communicator.Complete();
            return 0;
        }
        catch (RankFailureException e) when (e.IsReported)
        {
            return 1;
        }
        catch (Exception e)
        {
            Console.Error.WriteLine($"rank {communicator.Rank}: {e.GetType().Name}: {e.Message}");
            return 1;
        }
    }

    /// <summary>Value i of a rank's vector: full mantissas and many magnitudes, so that another order of adding gives other bits.</summary>
    private static float Value(int rank, int i)
    {
        uint bits = unchecked((uint)((i * 2654435761L) + (rank * 40503L)));
        return ((bits % 2000003) - 1000001.5f) * MathF.Pow(2, (int)(bits % 23) - 11);
    }

    private static float[] Vector(int rank, int count) => [.. Enumerable.Range(0, count).Select(i => Value(rank, i))];

    private static void Sums(Communicator communicator)
    {
        foreach (int count in new[] { 0, 1, 2, 3, 47, 48, 1000, 65536, (3 * 65536) + 7, 1000003 })
        {
            float[] sum = Vector(communicator.Rank, count), expected = Vector(0, count);
            communicator.AllReduceSum(sum);
            for (int rank = 1; rank < communicator.Size; rank++)
            {
                float[] theirs = Vector(rank, count);
                for (int i = 0; i < count; i++)
                {
                    expected[i] += theirs[i];
                }
            }

            Require(MemoryMarshal.AsBytes<float>(sum).SequenceEqual(MemoryMarshal.AsBytes<float>(expected)), $"the sum of {count} values");
        }

        Say(communicator, "sums equal");
    }

    /// <summary>The digest of a sum that is started in buckets.</summary>
    private static void Buckets(Communicator communicator, int bucket, bool isShared)
    {
        const int Count = 700001;
        float* values = (float*)NativeMemory.Alloc(Count * sizeof(float));
        Vector(communicator.Rank, Count).CopyTo(new Span<float>(values, Count));
        Require(!isShared || communicator.Share((nint)values, Count), "whether it is shared");
        List<PendingOperation> pending = [];
        for (int start = 0; start < Count; start += bucket)
        {
            pending.Add(communicator.StartAllReduceSum((nint)(values + start), Math.Min(bucket, Count - start)));
        }

        pending.ForEach(operation => operation.Wait());
        Require(pending.TrueForAll(operation => operation.IsComplete), "completion");
        string digest = Convert.ToHexString(SHA256.HashData(new ReadOnlySpan<byte>(values, Count * sizeof(float))));
        communicator.RequireSame("sum", digest);
        Say(communicator, digest);
        NativeMemory.Free(values);
    }

    private static void Exchanges(Communicator communicator)
    {
        int rank = communicator.Rank, size = communicator.Size;
        int[] counts = [.. Enumerable.Range(0, size).Select(r => r * 3)]; // rank 0 has none
        float[] own = Vector(rank, counts[rank]), all = new float[counts.Sum()], expected = [.. Enumerable.Range(0, size).SelectMany(r => Vector(r, counts[r]))];
        communicator.AllGather(own, all, counts);
        Require(all.SequenceEqual(expected), "all-gather of floats");

        float[] gathered = rank == 0 ? new float[counts.Sum()] : [];
        communicator.Gather(own, gathered, counts);
        Require(rank > 0 || gathered.SequenceEqual(expected), "gather of floats");

        byte[][] texts = communicator.AllGather(new byte[rank * 2]);
        Require(texts.Select(text => text.Length).SequenceEqual(Enumerable.Range(0, size).Select(r => r * 2)), "all-gather of bytes");

        byte[] part = communicator.Scatter(rank == 0 ? [.. Enumerable.Range(0, size).Select(r => Enumerable.Repeat((byte)r, 5 * r).ToArray())] : null);
        Require(part.SequenceEqual(Enumerable.Repeat((byte)rank, 5 * rank)), "scatter");

        float[] given = rank == size - 1 ? Vector(7, 1000) : new float[1000];
        communicator.Broadcast(given, size - 1);
        Require(given.SequenceEqual(Vector(7, 1000)), "broadcast");

        double[] sum = [rank + 0.5, 1], least = [rank], greatest = [rank];
        communicator.AllReduce(sum, RankReduction.Sum);
        communicator.AllReduce(least, RankReduction.Minimum);
        communicator.AllReduce(greatest, RankReduction.Maximum);
        Require(sum[0] == (size * (size - 1) / 2) + (0.5 * size) && sum[1] == size && least[0] == 0 && greatest[0] == size - 1, "reductions");
        Require(communicator.Any(rank == size - 1) && !communicator.Any(false), "any");
        communicator.Barrier();
        Say(communicator, "exchanges equal");
    }

    private static void Failing(Communicator communicator)
    {
        communicator.Barrier();
        if (communicator.Rank == 1)
        {
            throw new InvalidDataException("texts.txt:7: broken");
        }

        communicator.AllReduceSum(new float[1 << 20]);
    }

    private static void Dying(Communicator communicator, int dead, bool late)
    {
        using ManualResetEventSlim signalled = new();
        using PosixSignalRegistration registration = PosixSignalRegistration.Create(PosixSignal.SIGTERM, _ => signalled.Set());
        communicator.Barrier();
        if (communicator.Rank == dead)
        {
            Process.GetCurrentProcess().Kill();
        }

        if (late)
        {
            Require(signalled.Wait(TimeSpan.FromSeconds(10), CancellationToken.None), "mpirun's signal");
            communicator.ThrowIfRankFailed();
        }

        communicator.AllReduceSum(new float[1 << 20]);
    }

    /// <summary>Open MPI sets handlers for some of the signals that .NET lives on.</summary>
    private static void NullReference()
    {
        string? nothing = Environment.GetEnvironmentVariable("NOT_SET_ANYWHERE");
        try
        {
            _ = nothing!.Length;
        }
        catch (NullReferenceException)
        {
            Console.WriteLine("caught");
        }
    }

    private static void Say(Communicator communicator, string what)
    {
        communicator.Barrier();
        if (communicator.Rank == 0)
        {
            Console.WriteLine(what);
        }
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new InvalidDataException($"{what} differs");
        }
    }
}
