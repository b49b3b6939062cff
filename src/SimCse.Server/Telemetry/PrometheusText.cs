using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Globalization;
using System.Text;

namespace SimCse.Server.Telemetry;

/// <summary>
/// The instruments of a meter in Prometheus' text format 0.0.4: counters, histograms with the buckets that the instrument advises, gauges. Prometheus' names are the instruments' with underscores, <c>_seconds</c> where
/// these are the unit, and <c>_total</c> for counters.
/// </summary>
internal sealed class PrometheusText : IDisposable
{
    /// <summary>The content type of <see cref="Write"/>.</summary>
    public const string ContentType = "text/plain; version=0.0.4; charset=utf-8";

    private readonly MeterListener _listener = new();
    private readonly ConcurrentDictionary<string, Family> _families = new(StringComparer.Ordinal);

    public PrometheusText(Meter meter)
    {
        _listener.InstrumentPublished = (instrument, listener) =>
        {
            if (ReferenceEquals(instrument.Meter, meter))
            {
                Family family = new(instrument);
                _families[family.Name] = family;
                listener.EnableMeasurementEvents(instrument, family);
            }
        };
        _listener.SetMeasurementEventCallback<double>(static (_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<long>(static (_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.SetMeasurementEventCallback<int>(static (_, value, tags, state) => ((Family)state!).Record(value, tags));
        _listener.Start();
    }

    /// <summary>All that was measured until now.</summary>
    public string Write()
    {
        _listener.RecordObservableInstruments();
        StringBuilder text = new();
        foreach (Family family in _families.Values.OrderBy(f => f.Name, StringComparer.Ordinal))
        {
            family.Write(text);
        }

        return text.ToString();
    }

    public void Dispose() => _listener.Dispose();

    private static string Number(double value) => value.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>An instrument, and what it has measured for each set of labels.</summary>
    private sealed class Family(Instrument instrument)
    {
        private readonly string _kind = instrument is Counter<long> ? "counter" : instrument is Histogram<double> ? "histogram" : "gauge";
        private readonly double[] _bounds = instrument is Histogram<double> { Advice.HistogramBucketBoundaries: { } bounds } ? [.. bounds] : [];
        private readonly ConcurrentDictionary<string, Series> _series = new(StringComparer.Ordinal);

        public string Name { get; } = instrument.Name.Replace('.', '_') + (instrument.Unit is "s" ? "_seconds" : "") + (instrument is Counter<long> ? "_total" : "");

        public void Record(double value, ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            Series series = _series.GetOrAdd(Labels(tags), static (_, buckets) => new Series(buckets), _bounds.Length + 1);
            lock (series)
            {
                series.Count++;
                series.Sum = _kind is "gauge" ? value : series.Sum + value;
                if (_kind is "histogram")
                {
                    int bucket = 0;
                    while (bucket < _bounds.Length && value > _bounds[bucket])
                    {
                        bucket++;
                    }

                    series.Buckets[bucket]++;
                }
            }
        }

        public void Write(StringBuilder text)
        {
            text.Append("# HELP ").Append(Name).Append(' ').Append(instrument.Description).Append('\n').Append("# TYPE ").Append(Name).Append(' ').Append(_kind).Append('\n');
            foreach ((string labels, Series series) in _series.OrderBy(s => s.Key, StringComparer.Ordinal))
            {
                lock (series)
                {
                    if (_kind is "histogram")
                    {
                        WriteHistogram(text, labels, series);
                    }
                    else
                    {
                        text.Append(Name).Append(Braced(labels)).Append(' ').Append(Number(series.Sum)).Append('\n');
                    }
                }
            }
        }

        private void WriteHistogram(StringBuilder text, string labels, Series series)
        {
            string others = labels.Length == 0 ? "" : labels + ",";
            long below = 0;
            for (int bucket = 0; bucket <= _bounds.Length; bucket++)
            {
                below += series.Buckets[bucket];
                string bound = bucket == _bounds.Length ? "+Inf" : Number(_bounds[bucket]);
                text.Append(Name).Append("_bucket{").Append(others).Append("le=\"").Append(bound).Append("\"} ").Append(below).Append('\n');
            }

            text.Append(Name).Append("_sum").Append(Braced(labels)).Append(' ').Append(Number(series.Sum)).Append('\n');
            text.Append(Name).Append("_count").Append(Braced(labels)).Append(' ').Append(series.Count).Append('\n');
        }

        private static string Braced(string labels) => labels.Length == 0 ? "" : $"{{{labels}}}";

        /// <summary>The values are routes and statuses of ours: nothing in them needs to be escaped.</summary>
        private static string Labels(ReadOnlySpan<KeyValuePair<string, object?>> tags)
        {
            string labels = "";
            foreach ((string name, object? value) in tags)
            {
                labels += $"{(labels.Length == 0 ? "" : ",")}{name}=\"{value}\"";
            }

            return labels;
        }
    }

    private sealed class Series(int buckets)
    {
        public long[] Buckets { get; } = new long[buckets];

        public long Count { get; set; }

        public double Sum { get; set; }
    }
}
