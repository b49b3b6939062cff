using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace SimCse.Bench.Serving;

/// <summary>What clients met in a while.</summary>
/// <param name="Seconds">How long it was.</param>
/// <param name="Latencies">Of the requests that were answered with 200, sorted, milliseconds.</param>
/// <param name="RefusalLatencies">Of those that were refused with 429, sorted, milliseconds.</param>
/// <param name="Failed">Requests answered with anything else, or not at all.</param>
internal sealed record LoadOutcome(double Seconds, double[] Latencies, double[] RefusalLatencies, int Failed)
{
    /// <summary>The latency that a share of the requests stays below.</summary>
    public static double Quantile(double[] sorted, double share) => sorted.Length == 0 ? 0 : sorted[Math.Min(sorted.Length - 1, (int)(share * sorted.Length))];
}

/// <summary>
/// Clients that each send a request, wait for the answer and send the next, over a connection that stays open. They share the machine with the server, so they do as little as they can: requests are made before, answers
/// are read to their end and not parsed.
/// </summary>
internal static class LoadClients
{
    /// <param name="port">Of loopback.</param>
    /// <param name="clients">How many at once.</param>
    /// <param name="seconds">After which no request begins.</param>
    /// <param name="bodies">JSON bodies for <c>POST /embed</c>, which the clients go through again and again.</param>
    public static LoadOutcome Run(int port, int clients, double seconds, IReadOnlyList<string> bodies)
    {
        byte[][] requests = [.. bodies.Select(Request)];
        long start = Stopwatch.GetTimestamp();
        int next = -1;
        (List<double> Served, List<double> Refused, int Failed)[] outcomes = Task.WhenAll(Enumerable.Range(0, clients).Select(_ => Task.Run(ClientAsync))).Result;
        double took = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new LoadOutcome(took, [.. outcomes.SelectMany(o => o.Served).Order()], [.. outcomes.SelectMany(o => o.Refused).Order()], outcomes.Sum(o => o.Failed));

        async Task<(List<double> Served, List<double> Refused, int Failed)> ClientAsync()
        {
            List<double> served = [], refused = [];
            int failed = 0;
            byte[] answer = new byte[1 << 16];
            using TcpClient client = new() { NoDelay = true };
            await client.ConnectAsync("127.0.0.1", port);
            NetworkStream stream = client.GetStream();
            while (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds)
            {
                long began = Stopwatch.GetTimestamp();
                await stream.WriteAsync(requests[(uint)Interlocked.Increment(ref next) % requests.Length]);
                int status = await AnswerAsync(stream, answer);
                double milliseconds = Stopwatch.GetElapsedTime(began).TotalMilliseconds;
                switch (status)
                {
                    case 200:
                        served.Add(milliseconds);
                        break;
                    case 429:
                        refused.Add(milliseconds);
                        await Task.Delay(100); // a tenth of what Retry-After asks for: the pressure stays
                        break;
                    default:
                        failed++;
                        break;
                }
            }

            return (served, refused, failed);
        }
    }

    private static byte[] Request(string body) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
        $"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));

    /// <summary>Reads an answer, which comes in chunks, to its end.</summary>
    private static async Task<int> AnswerAsync(NetworkStream stream, byte[] buffer)
    {
        int status = 0;
        byte[] last = new byte[7];
        while (true)
        {
            int read = await stream.ReadAsync(buffer);
            if (read == 0)
            {
                return 0;
            }

            if (status == 0)
            {
                status = int.Parse(Encoding.ASCII.GetString(buffer, "HTTP/1.1 ".Length, 3), CultureInfo.InvariantCulture);
            }

            // The end of what was read until now.
            int kept = Math.Min(read, last.Length);
            Array.Copy(last, kept, last, 0, last.Length - kept);
            Array.Copy(buffer, read - kept, last, last.Length - kept, kept);
            if (last.AsSpan().SequenceEqual("\r\n0\r\n\r\n"u8))
            {
                return status;
            }
        }
    }
}
