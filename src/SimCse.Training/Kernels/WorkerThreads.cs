using TorchSharp;

namespace SimCse.Training.Kernels;

/// <summary>
/// Threads that wait, spinning for a moment before they sleep, so that the short parallel pieces of a training step start at once. As many as libtorch uses
/// (<c>--threads</c>), the caller among them. Which thread takes which item is left to chance; no result may depend on it.
/// </summary>
internal static class WorkerThreads
{
    private const int SpinsBeforeSleep = 2000;

    private static readonly Lock s_entry = new();
    private static Crew? s_crew;

    /// <summary>How many threads share the work.</summary>
    public static int Count => torch.get_num_threads();

    /// <summary>Runs <paramref name="work"/> for the items 0 … <paramref name="items"/> − 1 and returns when all are done.</summary>
    /// <param name="items">The number of items; they are taken in order.</param>
    /// <param name="work">Called with the item and the worker, 0 … <see cref="Count"/> − 1, that runs it: two calls with one worker never overlap.</param>
    /// <exception cref="AggregateException">What <paramref name="work"/> threw; the other items were done or left out.</exception>
    public static void Run(int items, Action<int, int> work)
    {
        if (items == 0)
        {
            return;
        }

        lock (s_entry) // one caller at a time: the scratch memory of a worker has one user
        {
            int count = Count;
            if (count == 1)
            {
                for (int item = 0; item < items; item++)
                {
                    work(item, 0);
                }

                return;
            }

            if (s_crew?.Size != count)
            {
                s_crew?.Dismiss();
                s_crew = new Crew(count);
            }

            s_crew.Run(items, work);
        }
    }

    private sealed class Crew
    {
        private readonly AutoResetEvent[] _bells;
        private readonly int[] _asleep;
        private Action<int, int>? _work;
        private int _items, _next, _generation, _busy;
        private Exception? _failure;
        private volatile bool _dismissed;

        public Crew(int size)
        {
            Size = size;
            _bells = [.. Enumerable.Range(0, size).Select(_ => new AutoResetEvent(false))];
            _asleep = new int[size];
            for (int worker = 1; worker < size; worker++)
            {
                int own = worker;
                new Thread(() => Serve(own)) { IsBackground = true, Name = $"simcse worker {worker}" }.Start();
            }
        }

        public int Size { get; }

        public void Run(int items, Action<int, int> work)
        {
            (_work, _items, _failure) = (work, items, null);
            Volatile.Write(ref _next, 0);
            Volatile.Write(ref _busy, Size - 1);
            Wake();
            Take(0);
            SpinWait spin = default;
            while (Volatile.Read(ref _busy) > 0)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }

            _work = null;
            if (_failure is not null)
            {
                throw new AggregateException(_failure);
            }
        }

        public void Dismiss()
        {
            _dismissed = true;
            Wake();
        }

        private void Wake()
        {
            Interlocked.Increment(ref _generation);
            for (int worker = 1; worker < Size; worker++)
            {
                if (Interlocked.Exchange(ref _asleep[worker], 0) == 1)
                {
                    _bells[worker].Set();
                }
            }
        }

        private void Serve(int worker)
        {
            for (int seen = 0; ; seen++)
            {
                for (int spins = 0; Volatile.Read(ref _generation) == seen; spins++)
                {
                    if (spins < SpinsBeforeSleep)
                    {
                        Thread.SpinWait(20);
                        continue;
                    }

                    // Whoever takes the mark back, this thread or the one that brings work, decides whether the bell is rung.
                    Interlocked.Exchange(ref _asleep[worker], 1); // a full fence: the mark stands before the generation is read again
                    if (Volatile.Read(ref _generation) == seen || Interlocked.Exchange(ref _asleep[worker], 0) == 0)
                    {
                        _bells[worker].WaitOne();
                    }
                }

                if (_dismissed)
                {
                    return;
                }

                Take(worker);
                Interlocked.Decrement(ref _busy);
            }
        }

        private void Take(int worker)
        {
            try
            {
                while (_failure is null)
                {
                    int item = Interlocked.Increment(ref _next) - 1;
                    if (item >= _items)
                    {
                        return;
                    }

                    _work!(item, worker);
                }
            }
#pragma warning disable CA1031 // carried to the caller's thread
            catch (Exception failure)
#pragma warning restore CA1031
            {
                _failure = failure;
            }
        }
    }
}
