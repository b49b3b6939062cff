using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace SimCse.Bench;

/// <summary>
/// The requests of a side that is the ranks of one <c>mpirun</c>: rank 0 reads them from standard input and hands each line on to the others over a socket in the run's folder. Waiting costs nothing there;
/// a rank that waited in MPI would poll, and take the processor from the side that is measured meanwhile.
/// </summary>
internal sealed class RankRequests : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private readonly List<IDisposable> _open = [];

    /// <param name="rank">This process's place.</param>
    /// <param name="ranks">How many there are.</param>
    /// <param name="socket">The path of the socket.</param>
    /// <param name="input">Where rank 0 reads.</param>
    public RankRequests(int rank, int ranks, string socket, TextReader input)
    {
        Rank = rank;
        Requests = rank == 0 ? new RelayingReader(input, Accept(socket, ranks - 1)) : Connect(socket);
    }

    /// <summary>This process's place among the ranks.</summary>
    public int Rank { get; }

    /// <summary>The lines, the same at every rank.</summary>
    public TextReader Requests { get; }

    /// <summary>Null where this process was not started by <c>mpirun</c>.</summary>
    public static RankRequests? FromEnvironment(string folder) =>
        Number("OMPI_COMM_WORLD_RANK") is { } rank && Number("OMPI_COMM_WORLD_SIZE") is { } ranks ? new RankRequests(rank, ranks, Path.Combine(folder, "ranks.sock"), Console.In) : null;

    public void Dispose() => _open.ForEach(o => o.Dispose());

    private static int? Number(string variable) => int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;

    private StreamWriter[] Accept(string socket, int others)
    {
        Socket listener = Keep(new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified));
        File.Delete(socket); // of an earlier mpirun of the same run
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        listener.Listen(others);
        return [.. Enumerable.Range(0, others).Select(_ => Keep(new StreamWriter(new NetworkStream(Keep(listener.Accept()))) { AutoFlush = true, NewLine = "\n" }))];
    }

    private StreamReader Connect(string socket)
    {
        long start = System.Diagnostics.Stopwatch.GetTimestamp();
        while (true)
        {
            Socket end = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                end.Connect(new UnixDomainSocketEndPoint(socket));
                return Keep(new StreamReader(new NetworkStream(Keep(end)), Encoding.UTF8));
            }
            catch (SocketException) when (System.Diagnostics.Stopwatch.GetElapsedTime(start) < s_patience)
            {
                end.Dispose(); // rank 0 does not listen yet
                Thread.Sleep(20);
            }
        }
    }

    private T Keep<T>(T opened)
        where T : IDisposable
    {
        _open.Insert(0, opened);
        return opened;
    }

    /// <summary>Hands on each line that it reads.</summary>
    private sealed class RelayingReader(TextReader source, StreamWriter[] others) : TextReader
    {
        public override string? ReadLine()
        {
            string? line = source.ReadLine();
            foreach (StreamWriter other in line is null ? [] : others)
            {
                other.WriteLine(line);
            }

            return line;
        }
    }
}
