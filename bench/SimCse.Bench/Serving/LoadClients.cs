using System.Diagnostics;
using System.Globalization;
using System.Net;
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
/// are read to their end and not parsed, and one thread serves all connections, in one wait for whichever have something to read.
/// </summary>
internal sealed class LoadClients : IDisposable
{
    private const int RefusedMilliseconds = 100; // a tenth of what Retry-After asks for: the pressure stays

    private readonly byte[][] _requests;
    private readonly Client[] _clients;
    private readonly byte[] _answer = new byte[1 << 16];
    private readonly List<double> _served = [];
    private readonly List<double> _refused = [];
    private int _next;
    private int _failed;

    private LoadClients(int port, int clients, IReadOnlyList<string> bodies)
    {
        _requests = [.. bodies.Select(Request)];
        _clients = [.. Enumerable.Range(0, clients).Select(_ => new Client(port))];
    }

    /// <param name="port">Of loopback.</param>
    /// <param name="clients">How many at once.</param>
    /// <param name="seconds">After which no request begins.</param>
    /// <param name="bodies">JSON bodies for <c>POST /embed</c>, which the clients go through again and again.</param>
    public static LoadOutcome Run(int port, int clients, double seconds, IReadOnlyList<string> bodies)
    {
        using LoadClients load = new(port, clients, bodies);
        return load.Run(seconds);
    }

    public void Dispose()
    {
        foreach (Client client in _clients)
        {
            client.Socket.Dispose();
        }
    }

    private LoadOutcome Run(double seconds)
    {
        long start = Stopwatch.GetTimestamp();
        foreach (Client client in _clients)
        {
            Send(client);
        }

        Dictionary<Socket, Client> waiting = _clients.ToDictionary(client => client.Socket);
        List<Client> resting = [];
        List<Socket> readable = [];
        while (waiting.Count + resting.Count > 0)
        {
            bool over = Stopwatch.GetElapsedTime(start).TotalSeconds >= seconds;
            foreach (Client client in resting.Where(client => over || Stopwatch.GetElapsedTime(client.Began).TotalMilliseconds >= RefusedMilliseconds).ToList())
            {
                resting.Remove(client);
                if (!over)
                {
                    Send(client);
                    waiting.Add(client.Socket, client);
                }
            }

            if (waiting.Count == 0)
            {
                Thread.Sleep(1);
                continue;
            }

            readable.Clear();
            readable.AddRange(waiting.Keys);
            Socket.Select(readable, null, null, resting.Count > 0 ? TimeSpan.FromMilliseconds(1) : Timeout.InfiniteTimeSpan);
            foreach (Socket socket in readable)
            {
                Client client = waiting[socket];
                if (!client.Receive(_answer, out int status))
                {
                    continue;
                }

                double milliseconds = Stopwatch.GetElapsedTime(client.Began).TotalMilliseconds;
                switch (status)
                {
                    case 200:
                        _served.Add(milliseconds);
                        break;
                    case 429:
                        _refused.Add(milliseconds);
                        client.Began = Stopwatch.GetTimestamp();
                        resting.Add(client);
                        break;
                    default:
                        _failed++;
                        break;
                }

                if (status is 429 or 0 || Stopwatch.GetElapsedTime(start).TotalSeconds >= seconds)
                {
                    waiting.Remove(socket);
                }
                else
                {
                    Send(client);
                }
            }
        }

        return new LoadOutcome(Stopwatch.GetElapsedTime(start).TotalSeconds, [.. _served.Order()], [.. _refused.Order()], _failed);
    }

    private void Send(Client client)
    {
        client.Send(_requests[_next]);
        _next = (_next + 1) % _requests.Length;
    }

    private static byte[] Request(string body) => Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture,
        $"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));

    /// <summary>A connection.</summary>
    private sealed class Client
    {
        private readonly byte[] _last = new byte[7];
        private int _status;

        public Client(int port)
        {
            Socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
            Socket.Connect(IPAddress.Loopback, port);
        }

        public Socket Socket { get; }

        /// <summary>When its request was sent, or refused.</summary>
        public long Began { get; set; }

        public void Send(ReadOnlySpan<byte> request)
        {
            _status = 0;
            Began = Stopwatch.GetTimestamp();
            while (!request.IsEmpty)
            {
                request = request[Socket.Send(request)..];
            }
        }

        /// <summary>Reads what has come of an answer, which comes in chunks.</summary>
        /// <returns>Whether it was read to its end; the status is 0 where the connection ended before.</returns>
        public bool Receive(byte[] buffer, out int status)
        {
            int read = Socket.Receive(buffer);
            if (read == 0)
            {
                status = 0;
                return true;
            }

            if (_status == 0)
            {
                _status = int.Parse(Encoding.ASCII.GetString(buffer, "HTTP/1.1 ".Length, 3), CultureInfo.InvariantCulture);
            }

            // The end of what was read until now.
            int kept = Math.Min(read, _last.Length);
            Array.Copy(_last, kept, _last, 0, _last.Length - kept);
            Array.Copy(buffer, read - kept, _last, _last.Length - kept, kept);
            status = _status;
            return _last.AsSpan().SequenceEqual("\r\n0\r\n\r\n"u8);
        }
    }
}
