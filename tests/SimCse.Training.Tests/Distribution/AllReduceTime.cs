using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using SimCse.Training.Distribution;

namespace SimCse.Training.Tests.Distribution;

internal static unsafe class AllReduceTime
{
    public static void Measure(Communicator communicator, string[] arguments)
    {
        long count = long.Parse(arguments[0], CultureInfo.InvariantCulture) * 1000000 / sizeof(float), bucket = arguments.Length > 1 ? long.Parse(arguments[1], CultureInfo.InvariantCulture) * 1000000 / sizeof(float) : count;
        float* values = (float*)NativeMemory.AlignedAlloc((nuint)(count * sizeof(float)), 64);
        new Span<float>(values, (int)count).Fill(1);
        List<double> times = [];
        for (int round = 0; round < 12; round++)
        {
            communicator.Barrier();
            long began = Stopwatch.GetTimestamp();
            List<PendingOperation> pending = [];
            for (long start = 0; start < count; start += bucket)
            {
                pending.Add(communicator.StartAllReduceSum((nint)(values + start), Math.Min(bucket, count - start)));
            }

            pending.ForEach(p => p.Wait());
            times.Add(Stopwatch.GetElapsedTime(began).TotalMilliseconds);
        }

        if (communicator.Rank == 0)
        {
            Console.WriteLine(string.Join(' ', times.Select(t => t.ToString("0.0", CultureInfo.InvariantCulture))));
        }
    }
}
