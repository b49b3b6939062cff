using System.Diagnostics.Metrics;

namespace SimCse.Server.Telemetry;

/// <summary>
/// What the server counts, as instruments of <see cref="System.Diagnostics.Metrics"/> under the meter <c>SimCse.Server</c>: <c>/metrics</c> gives them as Prometheus' text, and OpenTelemetry can listen too.
/// </summary>
internal sealed class ServerMetrics : IDisposable
{
    private static readonly double[] s_seconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
    private static readonly double[] s_sizes = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];

    private readonly Meter _meter = new("SimCse.Server");
    private readonly Counter<long> _requests;
    private readonly Counter<long> _texts;
    private readonly Counter<long> _tokens;
    private readonly Histogram<double> _requestDuration;
    private readonly Histogram<double> _tokenizationDuration;
    private readonly Histogram<double> _queueDuration;
    private readonly Histogram<double> _batchDuration;
    private readonly Histogram<double> _batchTexts;
    private readonly Histogram<double> _batchTokens;

    public ServerMetrics()
    {
        Text = new PrometheusText(_meter);
        _requests = _meter.CreateCounter<long>("simcse.requests", description: "Requests answered, by route and HTTP status.");
        _texts = _meter.CreateCounter<long>("simcse.texts", description: "Texts encoded.");
        _tokens = _meter.CreateCounter<long>("simcse.tokens", description: "Tokens encoded, special ones included.");
        _requestDuration = Seconds("simcse.request.duration", "From a request's headers to the end of its answer, by route.");
        _tokenizationDuration = Seconds("simcse.tokenization.duration", "Tokenizing the texts of a request.");
        _queueDuration = Seconds("simcse.queue.duration", "How long a text waited before its batch ran.");
        _batchDuration = Seconds("simcse.batch.duration", "Running a batch.");
        _batchTexts = Sizes("simcse.batch.texts", "Texts of a batch.");
        _batchTokens = Sizes("simcse.batch.tokens", "Tokens of a batch.");
        _meter.CreateObservableGauge("simcse.process.memory.bytes", () => Environment.WorkingSet, description: "Memory of the process that is resident.");
    }

    /// <summary>The same as Prometheus reads it.</summary>
    public PrometheusText Text { get; }

    public void ObserveQueue(Func<long> tokens) => _meter.CreateObservableGauge("simcse.queue.tokens", tokens, description: "Tokens that wait for a batch.");

    public void ObserveRequests(Func<int> places) => _meter.CreateObservableGauge("simcse.requests.in_flight", places, description: "Requests that wait for vectors.");

    public void ObserveIndex(Func<int> entries) => _meter.CreateObservableGauge("simcse.index.entries", entries, description: "Entries of the index.");

    public void RequestDone(string route, int status, TimeSpan duration)
    {
        _requests.Add(1, new KeyValuePair<string, object?>("route", route), new KeyValuePair<string, object?>("status", status));
        _requestDuration.Record(duration.TotalSeconds, new KeyValuePair<string, object?>("route", route));
    }

    public void Tokenized(int texts, long tokens, TimeSpan duration)
    {
        _texts.Add(texts);
        _tokens.Add(tokens);
        _tokenizationDuration.Record(duration.TotalSeconds);
    }

    public void Queued(TimeSpan duration) => _queueDuration.Record(duration.TotalSeconds);

    public void BatchTaken(int texts, long tokens)
    {
        _batchTexts.Record(texts);
        _batchTokens.Record(tokens);
    }

    public void BatchDone(TimeSpan duration) => _batchDuration.Record(duration.TotalSeconds);

    public void Dispose()
    {
        Text.Dispose();
        _meter.Dispose();
    }

    private Histogram<double> Seconds(string name, string description) => Buckets(name, "s", description, s_seconds);

    private Histogram<double> Sizes(string name, string description) => Buckets(name, unit: null, description, s_sizes);

    private Histogram<double> Buckets(string name, string? unit, string description, double[] bounds) =>
        _meter.CreateHistogram(name, unit, description, tags: null, new InstrumentAdvice<double> { HistogramBucketBoundaries = bounds });
}
