using System.Net;

namespace SimCse.Server;

/// <summary>What an <see cref="EmbeddingServer"/> is started with. The limits have the names and defaults of text-embeddings-inference.</summary>
public sealed record EmbeddingServerOptions
{
    /// <summary>What the server calls the model: in answers, and the <c>model</c> that a request to <c>/v1/embeddings</c> may name.</summary>
    public required string ModelName { get; init; }

    /// <summary>The IP address to listen on, or <c>localhost</c>. Loopback by default.</summary>
    public string Host { get; init; } = "127.0.0.1";

    /// <summary>The port to listen on; 0 for a free one (<see cref="EmbeddingServer.Address"/> says which).</summary>
    public int Port { get; init; } = 8080;

    /// <summary>Keys of which every request must bring one, as <c>Authorization: Bearer KEY</c>. None are needed on loopback.</summary>
    public IReadOnlyList<string> ApiKeys { get; init; } = [];

    /// <summary>Whether an address other than loopback may be served without <see cref="ApiKeys"/>.</summary>
    public bool AllowAnonymous { get; init; }

    /// <summary>
    /// Names that the Host header of a request may have, without port. Empty (the default): on loopback localhost, 127.0.0.1 and [::1], so that no web page can reach the server by a name of its own that leads there;
    /// on other addresses any.
    /// </summary>
    public IReadOnlyList<string> AllowedHosts { get; init; } = [];

    /// <summary>Requests that may wait for vectors at once; more are refused with 429.</summary>
    public int MaxConcurrentRequests { get; init; } = 512;

    /// <summary>The most tokens that a thread takes from the queue at once.</summary>
    public int MaxBatchTokens { get; init; } = 16_384;

    /// <summary>The most texts of a request; more are refused with 413.</summary>
    public int MaxClientBatchSize { get; init; } = 32;

    /// <summary>The most bytes of a request's body; more are refused with 413.</summary>
    public int PayloadLimit { get; init; } = 2_000_000;

    /// <summary>Whether a text longer than the model takes is cut where the request says nothing of it; else it is refused with 413.</summary>
    public bool AutoTruncate { get; init; }

    /// <summary>How long a thread with less than a full batch waits for more texts while others are busy.</summary>
    public TimeSpan BatchWindow { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>How long a request may take to arrive, and then again to be answered: 408, 503.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a stopping server answers on while <c>/health/ready</c> already says no, so that a load balancer can notice.</summary>
    public TimeSpan DrainDelay { get; init; } = TimeSpan.Zero;

    /// <summary>How long a stopping server waits for the requests that are under way.</summary>
    public TimeSpan ShutdownTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The output directory of a training run, whose <c>metrics.jsonl</c> the page shows as it grows; null for none.</summary>
    public string? RunDirectory { get; init; }

    /// <summary>The address to listen on.</summary>
    internal IPAddress ListenAddress => string.Equals(Host, "localhost", StringComparison.OrdinalIgnoreCase) ? IPAddress.Loopback : IPAddress.Parse(Host);

    /// <summary>Checks the values.</summary>
    /// <exception cref="ArgumentException">One is out of its range, or other machines could use the server without a key.</exception>
    public void Validate()
    {
        if (string.IsNullOrWhiteSpace(ModelName))
        {
            throw new ArgumentException("the model has no name; expected what /v1/embeddings is to call it");
        }

        if (!string.Equals(Host, "localhost", StringComparison.OrdinalIgnoreCase) && !IPAddress.TryParse(Host, out _))
        {
            throw new ArgumentException($"the host is '{Host}'; expected an IP address of this machine, 0.0.0.0 for all, or localhost");
        }

        if (!IPAddress.IsLoopback(ListenAddress) && ApiKeys.Count == 0 && !AllowAnonymous)
        {
            throw new ArgumentException($"{Host} is reached from other machines: give API keys that requests must bring, or allow anonymous requests");
        }

        if (ApiKeys.Any(key => key.Length < 16 || key.Any(c => c is < '!' or > '~')))
        {
            throw new ArgumentException("an API key is not one; expected at least 16 printable ASCII characters without spaces");
        }

        Require(Port is >= 0 and <= 65_535, "port", Port, "0 to 65,535");
        Require(MaxConcurrentRequests >= 1, "number of concurrent requests", MaxConcurrentRequests, "at least 1");
        Require(MaxBatchTokens >= 1, "number of tokens of a batch", MaxBatchTokens, "at least 1");
        Require(MaxClientBatchSize >= 1, "number of texts of a request", MaxClientBatchSize, "at least 1");
        Require(PayloadLimit >= 1, "payload limit", PayloadLimit, "at least 1 byte");
        Require(BatchWindow >= TimeSpan.Zero && BatchWindow <= TimeSpan.FromSeconds(1), "batch window", BatchWindow.TotalMilliseconds, "0 to 1,000 milliseconds");
        Require(RequestTimeout > TimeSpan.Zero && RequestTimeout <= TimeSpan.FromHours(1), "request timeout", RequestTimeout.TotalSeconds, "above 0 and at most 3,600 seconds");
        Require(DrainDelay >= TimeSpan.Zero && DrainDelay <= TimeSpan.FromHours(1), "drain delay", DrainDelay.TotalSeconds, "0 to 3,600 seconds");
        Require(ShutdownTimeout >= TimeSpan.Zero && ShutdownTimeout <= TimeSpan.FromHours(1), "shutdown timeout", ShutdownTimeout.TotalSeconds, "0 to 3,600 seconds");
    }

    private static void Require(bool holds, string what, double value, string expected)
    {
        if (!holds)
        {
            throw new ArgumentException($"the {what} is {value}; expected {expected}");
        }
    }
}
