namespace SimCse.Tokenization;

/// <summary>The merges of a byte-pair encoding, and the merging of a word's bytes: always the pair that was learned first, the leftmost of equals.</summary>
internal sealed class BytePairMerges
{
    private const int Missing = -1;

    private readonly Dictionary<ulong, (int Rank, int Id)> _merges;
    private readonly int[] _byteIds = new int[256];
    private readonly int _unknown;
    private readonly bool _fuseUnknown;

    /// <param name="vocabulary">Token to id.</param>
    /// <param name="merges">Left id, right id, id of what they make, in the order they were learned.</param>
    /// <param name="unknown">The id that stands for a byte that the vocabulary lacks; −1: such a byte is left out.</param>
    /// <param name="fuseUnknown">Whether neighbouring unknown bytes make one token.</param>
    public BytePairMerges(IReadOnlyDictionary<string, int> vocabulary, IReadOnlyList<(int Left, int Right, int Merged)> merges, int unknown, bool fuseUnknown)
    {
        _unknown = unknown;
        _fuseUnknown = fuseUnknown;
        for (int b = 0; b < _byteIds.Length; b++)
        {
            _byteIds[b] = vocabulary.TryGetValue(ByteLevelAlphabet.CharacterOf(b).ToString(), out int id) ? id : Missing;
        }

        _merges = new Dictionary<ulong, (int, int)>(merges.Count);
        for (int rank = 0; rank < merges.Count; rank++)
        {
            (int left, int right, int merged) = merges[rank];
            _merges[Pair(left, right)] = (rank, merged);
        }
    }

    /// <summary>Adds the ids of a word to <paramref name="ids"/>. Takes n log n steps for n bytes.</summary>
    public void Encode(scoped ReadOnlySpan<byte> word, ref PooledList<int> ids)
    {
        var symbols = new PooledList<Symbol>(word.Length);
        var queue = new PooledList<ulong>(word.Length);
        try
        {
            foreach (byte b in word)
            {
                int id = _byteIds[b];
                if (id == Missing)
                {
                    id = _unknown;
                    if (id == Missing || (_fuseUnknown && symbols.Count > 0 && symbols[symbols.Count - 1].IsUnknown))
                    {
                        continue;
                    }
                }

                symbols.Add(new Symbol(id, symbols.Count - 1, symbols.Count + 1, _byteIds[b] == Missing));
            }

            for (int i = 0; i + 1 < symbols.Count; i++)
            {
                Propose(ref symbols, ref queue, i);
            }

            while (queue.Count > 0)
            {
                ulong top = Pop(ref queue);
                int at = (int)(uint)top;
                ref Symbol left = ref symbols[at];
                if (left.Id < 0 || left.Next >= symbols.Count)
                {
                    continue;
                }

                ref Symbol right = ref symbols[left.Next];
                if (!_merges.TryGetValue(Pair(left.Id, right.Id), out (int Rank, int Id) merge) || merge.Rank != (int)(top >> 32))
                {
                    continue; // a neighbour has changed since
                }

                left.Id = merge.Id;
                left.Next = right.Next;
                right.Id = -1;
                if (left.Next < symbols.Count)
                {
                    symbols[left.Next].Previous = at;
                    Propose(ref symbols, ref queue, at);
                }

                if (left.Previous >= 0)
                {
                    Propose(ref symbols, ref queue, left.Previous);
                }
            }

            for (int i = 0; i < symbols.Count; i = symbols[i].Next)
            {
                ids.Add(symbols[i].Id);
            }
        }
        finally
        {
            symbols.Dispose();
            queue.Dispose();
        }
    }

    private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

    // The queue is a binary heap of rank and position: what was learned first, then what stands first, comes first.
    private void Propose(ref PooledList<Symbol> symbols, ref PooledList<ulong> queue, int at)
    {
        if (!_merges.TryGetValue(Pair(symbols[at].Id, symbols[symbols[at].Next].Id), out (int Rank, int Id) merge))
        {
            return;
        }

        queue.Add(((ulong)(uint)merge.Rank << 32) | (uint)at);
        int child = queue.Count - 1;
        while (child > 0 && queue[(child - 1) / 2] > queue[child])
        {
            int parent = (child - 1) / 2;
            (queue[parent], queue[child]) = (queue[child], queue[parent]);
            child = parent;
        }
    }

    private static ulong Pop(ref PooledList<ulong> queue)
    {
        ulong top = queue[0];
        int last = queue.Count - 1;
        queue[0] = queue[last];
        queue.Truncate(last);
        int parent = 0;
        while (true)
        {
            int child = (parent * 2) + 1;
            if (child >= last)
            {
                return top;
            }

            if (child + 1 < last && queue[child + 1] < queue[child])
            {
                child++;
            }

            if (queue[parent] <= queue[child])
            {
                return top;
            }

            (queue[parent], queue[child]) = (queue[child], queue[parent]);
            parent = child;
        }
    }

    private record struct Symbol(int Id, int Previous, int Next, bool IsUnknown);
}
