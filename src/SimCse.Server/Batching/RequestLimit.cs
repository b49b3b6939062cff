using Microsoft.AspNetCore.Http;

namespace SimCse.Server.Batching;

/// <summary>The places for requests that wait for vectors. A request that finds none is refused at once; nobody queues for a place.</summary>
internal sealed class RequestLimit(EmbeddingServerOptions options)
{
    private int _taken;

    /// <summary>Places taken now.</summary>
    public int Taken => Volatile.Read(ref _taken);

    /// <summary>Takes a place, until the result is disposed: when the vectors are there, so that no client that reads slowly keeps one.</summary>
    /// <exception cref="RequestException">All are taken: 429.</exception>
    public Place Enter(HttpContext context)
    {
        if (Interlocked.Increment(ref _taken) > options.MaxConcurrentRequests)
        {
            Interlocked.Decrement(ref _taken);
            throw RequestException.Overloaded($"{options.MaxConcurrentRequests} requests are under way, as many as there may be at once; try again later");
        }

        return new Place(this, options.RequestTimeout, context.RequestAborted);
    }

    /// <summary>A place, and how long it may be kept.</summary>
    internal sealed class Place : IDisposable
    {
        private readonly RequestLimit _limit;
        private readonly CancellationTokenSource _time;

        internal Place(RequestLimit limit, TimeSpan timeout, CancellationToken aborted)
        {
            _limit = limit;
            _time = CancellationTokenSource.CreateLinkedTokenSource(aborted);
            _time.CancelAfter(timeout);
        }

        /// <summary>Cancelled when the client is gone, or the time is over.</summary>
        public CancellationToken CancellationToken => _time.Token;

        public void Dispose()
        {
            Interlocked.Decrement(ref _limit._taken);
            _time.Dispose();
        }
    }
}
