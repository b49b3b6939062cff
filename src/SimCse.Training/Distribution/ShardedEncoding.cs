using System.Globalization;
using System.Runtime.InteropServices;

namespace SimCse.Training.Distribution;

/// <summary>
/// Encodes texts on all ranks. Rank 0 reads them and gives every rank a block of consecutive ones, all ranks encode, rank 0 gathers the vectors and writes them in the order of the texts; and so on, round by round, so
/// that memory does not grow with their number. No other rank touches a file of texts or vectors, so only the model need be on every machine.
/// </summary>
/// <remarks>
/// The blocks are those in which one process encodes the texts, so the vectors are the same, to the bit, where it does so with the same number of threads. All ranks wait for the slowest of a round: machines should be alike.
/// </remarks>
public static class ShardedEncoding
{
    private const string Probe = "The ranks encode this text with the same model.";
    private const double ProbeTolerance = 0.01; // of the largest component: processors of other kinds round otherwise, more so in int8

    /// <summary>Encodes; called by all ranks.</summary>
    /// <param name="communicator">The ranks.</param>
    /// <param name="encoder">The same model at every rank.</param>
    /// <param name="texts">Read at rank 0 only.</param>
    /// <param name="blockSize">Texts that a rank encodes in a round.</param>
    /// <param name="write">Called at rank 0 with a block and its vectors, in the order of the texts, while the next ones are encoded: on another thread, but never twice at once.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    /// <exception cref="InvalidDataException">At rank 0: another rank has another model.</exception>
    /// <exception cref="RankFailureException">Another rank failed or died.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static void Run(
        Communicator communicator, ISentenceEncoder encoder, IEnumerable<string> texts, int blockSize, Action<IReadOnlyList<string>, EmbeddingMatrix> write, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(communicator);
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(write);
        RequireSameModel(communicator, encoder);
        Task writing = Task.CompletedTask;
        using IEnumerator<string[]> blocks = texts.Chunk(blockSize).GetEnumerator();
        try
        {
            while (true)
            {
                string[][] round = communicator.Rank == 0 ? Next(blocks, communicator.Size) : [];
                (int[] counts, string[] own) = Unpack(communicator.Scatter(communicator.Rank == 0 ? Pack(round) : null), communicator);
                if (counts.Sum() == 0)
                {
                    break;
                }

                EmbeddingMatrix vectors = encoder.Encode(own, cancellationToken);
                int[] components = [.. counts.Select(count => checked(count * encoder.Dimensions))];
                float[] all = communicator.Rank == 0 ? new float[components.Sum()] : [];
                communicator.Gather(vectors.Values, all, components);
                writing.GetAwaiter().GetResult();
                writing = communicator.Rank == 0 ? Task.Run(() => Write(round, all, encoder.Dimensions, write), CancellationToken.None) : writing;
            }

            writing.GetAwaiter().GetResult();
        }
        catch (OperationCanceledException)
        {
            communicator.ThrowIfRankFailed(); // mpirun asks the ranks to stop when one of them has died, too
            throw;
        }
        finally
        {
            Task.WaitAny([writing], CancellationToken.None); // whoever called may then dispose what it writes to
        }
    }

    /// <summary>Machines have files of their own: a model that differs on one would put other vectors among the rest, without any other sign.</summary>
    private static void RequireSameModel(Communicator communicator, ISentenceEncoder encoder)
    {
        communicator.RequireSame("vectors", $"of {encoder.Dimensions} components");
        float[] own = encoder.Encode([Probe]).Values.ToArray(), first = [.. own];
        communicator.Broadcast(first);
        float difference = own.Zip(first, (a, b) => Math.Abs(a - b)).Max(), largest = first.Max(Math.Abs);
        communicator.RequireSame("model", difference <= ProbeTolerance * largest ? "that of rank 0" : string.Create(CultureInfo.InvariantCulture, $"one whose vectors differ by {difference:0.000}"));
    }

    /// <summary>As many blocks as there are ranks, or what is left; empty ones after that.</summary>
    private static string[][] Next(IEnumerator<string[]> blocks, int ranks)
    {
        string[][] round = new string[ranks][];
        for (int rank = 0; rank < ranks; rank++)
        {
            round[rank] = blocks.MoveNext() ? blocks.Current : [];
        }

        return round;
    }

    private static void Write(string[][] round, float[] all, int dimensions, Action<IReadOnlyList<string>, EmbeddingMatrix> write)
    {
        int start = 0;
        foreach (string[] block in round.Where(block => block.Length > 0))
        {
            int end = start + (block.Length * dimensions);
            write(block, new EmbeddingMatrix(all[start..end], block.Length, dimensions));
            start = end;
        }
    }

    /// <summary>For each rank: how many texts every rank has, then its own, as UTF-16, which any string is.</summary>
    private static byte[][] Pack(string[][] round) => [.. round.Select(block =>
    {
        using MemoryStream bytes = new();
        using BinaryWriter writer = new(bytes);
        Array.ForEach(round, other => writer.Write(other.Length));
        foreach (string text in block)
        {
            writer.Write(text.Length);
            writer.Write(MemoryMarshal.AsBytes(text.AsSpan()));
        }

        writer.Flush();
        return bytes.ToArray();
    })];

    private static (int[] Counts, string[] Own) Unpack(byte[] part, Communicator communicator)
    {
        using BinaryReader reader = new(new MemoryStream(part));
        int[] counts = [.. Enumerable.Range(0, communicator.Size).Select(_ => reader.ReadInt32())];
        string[] own = [.. Enumerable.Range(0, counts[communicator.Rank]).Select(_ => new string(MemoryMarshal.Cast<byte, char>(reader.ReadBytes(reader.ReadInt32() * sizeof(char)))))];
        return (counts, own);
    }
}
