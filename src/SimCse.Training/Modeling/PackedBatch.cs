using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// R token sequences laid end to end, without padding, in order of length: T real tokens in all. Every linear layer, norm and embedding
/// then works on (T, H) and attention on groups of rows of one length, where no mask is needed.
/// </summary>
public sealed class PackedBatch : IDisposable
{
    /// <summary>Packs the sequences.</summary>
    /// <param name="rows">The token ids of each row, special tokens included; none empty.</param>
    /// <param name="positionOffset">What is added to a token's index to give its position (RoBERTa: padding id + 1).</param>
    /// <param name="device">Where the tensors are wanted; null for the CPU.</param>
    public PackedBatch(IReadOnlyList<int[]> rows, int positionOffset, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(rows);
        int[] order = [.. Enumerable.Range(0, rows.Count).OrderBy(r => rows[r].Length)]; // stable: equal lengths keep the batch's order
        int tokens = rows.Sum(r => r.Length);
        long[] ids = new long[tokens], positions = new long[tokens], first = new long[rows.Count], unsort = new long[rows.Count];
        List<Group> groups = [];
        int at = 0;
        for (int s = 0; s < order.Length; s++)
        {
            int[] row = rows[order[s]];
            if (row.Length == 0)
            {
                throw new ArgumentException($"row {order[s]} has no tokens", nameof(rows));
            }

            if (groups.Count > 0 && groups[^1].Length == row.Length)
            {
                groups[^1] = groups[^1] with { Rows = groups[^1].Rows + 1 };
            }
            else
            {
                groups.Add(new Group(1, row.Length));
            }

            first[s] = at;
            unsort[order[s]] = s;
            for (int t = 0; t < row.Length; t++, at++)
            {
                ids[at] = row[t];
                positions[at] = t + positionOffset;
            }
        }

        Tokens = tokens;
        IdValues = [.. ids.Select(i => (int)i)];
        PositionValues = [.. positions.Select(p => (int)p)];
        FirstTokens = [.. first.Select(f => (int)f)];
        Groups = groups;
        Order = order;
        Ids = tensor(ids, device: device);
        Positions = tensor(positions, device: device);
        First = tensor(first, device: device);
        Unsort = tensor(unsort, device: device);
        TokenParts = [.. order.Select(r => (r, rows[r].Length))];
    }

    /// <summary>Rows of one length L that stand one after another.</summary>
    public readonly record struct Group(int Rows, int Length);

    /// <summary>T, the number of tokens.</summary>
    public int Tokens { get; }

    /// <summary>R, the number of rows.</summary>
    public int Rows => Order.Count;

    /// <summary>The groups of equal length, shortest first.</summary>
    public IReadOnlyList<Group> Groups { get; }

    /// <summary>The batch's row at each place of the packed order.</summary>
    public IReadOnlyList<int> Order { get; }

    /// <summary>Token ids, (T).</summary>
    public Tensor Ids { get; }

    /// <summary>Position ids, (T).</summary>
    public Tensor Positions { get; }

    /// <summary>The index of each row's first token, in packed order, (R).</summary>
    public Tensor First { get; }

    /// <summary>For each row of the batch its place in the packed order, (R).</summary>
    public Tensor Unsort { get; }

    /// <summary>Token ids, (T).</summary>
    internal int[] IdValues { get; }

    /// <summary>Position ids, (T).</summary>
    internal int[] PositionValues { get; }

    /// <summary>The index of each row's first token, in packed order, (R).</summary>
    internal int[] FirstTokens { get; }

    /// <summary>The row and the number of tokens of each packed row.</summary>
    internal IReadOnlyList<(int Row, int Length)> TokenParts { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Ids.Dispose();
        Positions.Dispose();
        First.Dispose();
        Unsort.Dispose();
    }
}
