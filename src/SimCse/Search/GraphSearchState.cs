namespace SimCse.Search;

/// <summary>What one walk over the graph needs: the rows it has seen, and those it may go on from. Kept for the next walk.</summary>
internal sealed class GraphSearchState(int mostLinks, int width)
{
    private int[] _seen = [];
    private int _walk;
    private SearchHit[] _heap = new SearchHit[256];
    private int _count;

    /// <summary>Room for the rows of a list of links.</summary>
    public int[] Rows { get; } = new int[mostLinks];

    /// <summary>Room for the codes of a row as the left side of products.</summary>
    public byte[] Shifted { get; } = new byte[width];

    /// <summary>Forgets the last walk.</summary>
    public void Begin(int rows)
    {
        if (_seen.Length < rows)
        {
            Array.Resize(ref _seen, Math.Max(rows, _seen.Length * 5 / 4));
        }

        if (_walk == int.MaxValue)
        {
            Array.Clear(_seen);
            _walk = 0;
        }

        _walk++;
        _count = 0;
    }

    /// <summary>Whether this walk sees the row for the first time.</summary>
    public bool IsNew(int row)
    {
        if (_seen[row] == _walk)
        {
            return false;
        }

        _seen[row] = _walk;
        return true;
    }

    /// <summary>Keeps a row to go on from.</summary>
    public void Push(SearchHit hit)
    {
        if (_count == _heap.Length)
        {
            Array.Resize(ref _heap, 2 * _count);
        }

        int at = _count++;
        while (at > 0 && Precedes(hit, _heap[(at - 1) / 2]))
        {
            _heap[at] = _heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }

        _heap[at] = hit;
    }

    /// <summary>Takes the best of the rows to go on from.</summary>
    public bool TryPop(out SearchHit best)
    {
        if (_count == 0)
        {
            best = default;
            return false;
        }

        best = _heap[0];
        SearchHit last = _heap[--_count];
        int at = 0;
        for (int child = 1; child < _count; child = (2 * at) + 1)
        {
            if (child + 1 < _count && Precedes(_heap[child + 1], _heap[child]))
            {
                child++;
            }

            if (!Precedes(_heap[child], last))
            {
                break;
            }

            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = last;
        return true;
    }

    private static bool Precedes(SearchHit a, SearchHit b) => a.Score > b.Score || (a.Score == b.Score && a.Row < b.Row);
}
