namespace SimCse.Search;

/// <summary>
/// The k best of the hits offered: a heap with the worst of them on top. Of equal scores the lower row is the better, so what is kept does not depend on the
/// order of the offers.
/// </summary>
internal sealed class TopHits(int k)
{
    private readonly SearchHit[] _heap = new SearchHit[k];

    /// <summary>The number of hits kept.</summary>
    public int Count { get; private set; }

    /// <summary>A score below this changes nothing.</summary>
    public float Floor { get; private set; } = k == 0 ? float.PositiveInfinity : float.NegativeInfinity;

    /// <summary>What is kept, in no order.</summary>
    public ReadOnlySpan<SearchHit> Kept => _heap.AsSpan(0, Count);

    public void Offer(int row, float score)
    {
        if (score < Floor)
        {
            return;
        }

        SearchHit hit = new(row, score);
        if (Count < _heap.Length)
        {
            Rise(hit, Count++);
        }
        else if (_heap.Length > 0 && IsWorse(_heap[0], hit))
        {
            Sink(hit);
        }
        else
        {
            return;
        }

        if (Count == _heap.Length)
        {
            Floor = _heap[0].Score;
        }
    }

    /// <summary>Offers all that another has kept.</summary>
    public void Offer(TopHits other)
    {
        foreach (SearchHit hit in other.Kept)
        {
            Offer(hit.Row, hit.Score);
        }
    }

    /// <summary>What is kept, best first.</summary>
    public SearchHit[] Sorted()
    {
        SearchHit[] sorted = Kept.ToArray();
        Array.Sort(sorted, static (a, b) => IsWorse(a, b) ? 1 : IsWorse(b, a) ? -1 : 0);
        return sorted;
    }

    private static bool IsWorse(SearchHit a, SearchHit b) => a.Score < b.Score || (a.Score == b.Score && a.Row > b.Row);

    private void Rise(SearchHit hit, int at)
    {
        while (at > 0 && IsWorse(hit, _heap[(at - 1) / 2]))
        {
            _heap[at] = _heap[(at - 1) / 2];
            at = (at - 1) / 2;
        }

        _heap[at] = hit;
    }

    private void Sink(SearchHit hit)
    {
        int at = 0;
        while ((2 * at) + 1 < Count)
        {
            int child = (2 * at) + 1;
            if (child + 1 < Count && IsWorse(_heap[child + 1], _heap[child]))
            {
                child++;
            }

            if (!IsWorse(_heap[child], hit))
            {
                break;
            }

            _heap[at] = _heap[child];
            at = child;
        }

        _heap[at] = hit;
    }
}
