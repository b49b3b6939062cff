using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace SimCse.Search;

/// <summary>
/// A hierarchical navigable small-world graph over int8 records (Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
/// Navigable Small World graphs", TPAMI 2020; algorithms 1 to 5, neighbours chosen by algorithm 4).
/// </summary>
/// <remarks>
/// <para>Rows are added in batches whose size is a function of the graph's size alone. The rows of a batch look for their neighbours in the graph as it was before it, side by side, and are linked
/// together (Dobson et al., "Scaling graph-based ANNS algorithms to billion-size datasets", PPoPP 2024). A row's level is a function of the seed and the row. So the graph is a function of the rows
/// and the seed, whatever the number of threads and of calls.</para>
/// <para>Deleted rows stay as places to walk over until <see cref="PlanRepair"/> links around them (Singh et al., FreshDiskANN, 2021, algorithm 4).</para>
/// <para>Searches may run side by side, and beside a Plan; not beside <see cref="Apply"/>.</para>
/// </remarks>
internal sealed unsafe class HnswGraph
{
    /// <summary>The level of a row that is not in the graph.</summary>
    public const byte Absent = byte.MaxValue;

    private const int HighestLevel = 30;
    private const int LargestBatch = 1024;
    private const int BatchShare = 50;

    private readonly Int8Rows _rows;
    private readonly ConcurrentBag<GraphSearchState> _states = [];
    private byte[] _levels = [];
    private int[] _ground = []; // level 0: rows × (1 + 2M), each the number of links, then the links
    private int[]?[] _upper = []; // levels from 1 on: level × (1 + M)

    public HnswGraph(Int8Rows rows, int links, int breadth, ulong seed)
    {
        _rows = rows;
        Links = links;
        Breadth = breadth;
        Seed = seed;
    }

    /// <summary>M: the links that a new row makes on each level; a row has at most 2M on level 0, and M above.</summary>
    public int Links { get; }

    /// <summary>efConstruction: the candidates that a new row chooses its links from.</summary>
    public int Breadth { get; }

    public ulong Seed { get; }

    /// <summary>The rows that were offered to it: those before this number.</summary>
    public int Count { get; private set; }

    /// <summary>Where searches begin; -1 in an empty graph.</summary>
    public int Entry { get; private set; } = -1;

    /// <summary>How many rows to add next.</summary>
    public int NextBatch => Math.Clamp(Count / BatchShare, 1, LargestBatch);

    /// <summary>The highest level that the row is on; <see cref="Absent"/> where it is not in the graph.</summary>
    public byte LevelOf(int row) => _levels[row];

    /// <summary>The most links of a row on a level.</summary>
    public int MostLinks(int level) => level == 0 ? 2 * Links : Links;

    /// <summary>The rows that a row is linked to on a level that it is on.</summary>
    public ReadOnlySpan<int> LinksOf(int row, int level)
    {
        Span<int> list = ListOf(row, level);
        return list.Slice(1, list[0]);
    }

    /// <summary>The best rows for a query among those allowed and not deleted.</summary>
    /// <param name="query">Its shifted codes.</param>
    /// <param name="scale">Its scale.</param>
    /// <param name="breadth">ef: how many rows the walk keeps in view; as many are returned.</param>
    /// <param name="allowed">Null for all.</param>
    /// <param name="deleted">Rows that are walked over and not returned.</param>
    public TopHits Search(byte* query, float scale, int breadth, RowSet? allowed, RowSet deleted)
    {
        TopHits best = new(breadth);
        if (Entry >= 0)
        {
            GraphSearchState state = TakeState();
            WalkGround(state, query, scale, allowed, deleted, best);
            _states.Add(state);
        }

        return best;
    }

    /// <summary>Finds the links of the next rows; changes nothing.</summary>
    /// <param name="count">At most <see cref="NextBatch"/>.</param>
    /// <param name="deleted">Rows that are not to be added, nor linked to.</param>
    /// <param name="cancellationToken">Checked at every row.</param>
    public GraphChange PlanNext(int count, RowSet deleted, CancellationToken cancellationToken)
    {
        int first = Count;
        byte[] levels = new byte[count];
        SearchHit[][][] chosen = new SearchHit[count][][]; // row, level, links
        ForEach(count, i =>
        {
            levels[i] = deleted.Contains(first + i) ? Absent : RandomLevel(first + i);
            chosen[i] = levels[i] == Absent ? [] : ChooseLinks(first + i, levels[i], deleted);
        }, cancellationToken);

        List<LinkList> lists = [];
        Dictionary<(int Row, int Level), List<SearchHit>> back = [];
        for (int i = 0; i < count; i++)
        {
            for (int level = 0; level < chosen[i].Length; level++)
            {
                lists.Add(new LinkList(first + i, level, [.. chosen[i][level].Select(hit => hit.Row)]));
                foreach (SearchHit hit in chosen[i][level])
                {
                    (CollectionsMarshal.GetValueRefOrAddDefault(back, (hit.Row, level), out _) ??= []).Add(new SearchHit(first + i, hit.Score));
                }
            }
        }

        LinkList[] changed = new LinkList[back.Count];
        ((int Row, int Level) Place, List<SearchHit> Links)[] targets = [.. back.Select(pair => (pair.Key, pair.Value))];
        ForEach(targets.Length, i => changed[i] = LinkBack(targets[i].Place.Row, targets[i].Place.Level, targets[i].Links), cancellationToken);
        return new GraphChange(levels, [], [.. lists, .. changed]);
    }

    /// <summary>Finds links around the deleted rows, which then leave the graph; changes nothing.</summary>
    public GraphChange PlanRepair(RowSet deleted, CancellationToken cancellationToken)
    {
        ConcurrentBag<LinkList> changed = [];
        ForEach(Count, row =>
        {
            if (_levels[row] == Absent || deleted.Contains(row))
            {
                return;
            }

            for (int level = 0; level <= _levels[row]; level++)
            {
                HashSet<int> around = [];
                foreach (int link in LinksOf(row, level))
                {
                    if (deleted.Contains(link))
                    {
                        around.UnionWith(LinksOf(link, level).ToArray());
                    }
                }

                if (around.Count > 0 || HasAny(LinksOf(row, level), deleted))
                {
                    around.UnionWith(LinksOf(row, level).ToArray());
                    changed.Add(new LinkList(row, level, Best(row, around.Where(r => r != row && !deleted.Contains(r)), MostLinks(level))));
                }
            }
        }, cancellationToken);
        return new GraphChange([], [.. deleted.Rows().Where(row => row < Count && _levels[row] != Absent)], [.. changed]);
    }

    /// <summary>Makes a change that was found.</summary>
    public void Apply(GraphChange change)
    {
        Grow(Count + change.NewLevels.Length);
        foreach (byte level in change.NewLevels)
        {
            _levels[Count] = level;
            _upper[Count] = level is 0 or Absent ? null : new int[level * (1 + Links)];
            if (level != Absent && (Entry < 0 || level > _levels[Entry]))
            {
                Entry = Count;
            }

            Count++;
        }

        foreach (LinkList list in change.Lists)
        {
            Span<int> place = ListOf(list.Row, list.Level);
            place[0] = list.Links.Length;
            list.Links.CopyTo(place[1..]);
        }

        foreach (int row in change.Removed)
        {
            ListOf(row, 0)[0] = 0;
            _upper[row] = null;
            _levels[row] = Absent;
        }

        if (Entry >= 0 && _levels[Entry] == Absent)
        {
            Entry = -1;
            for (int row = 0; row < Count; row++)
            {
                if (_levels[row] != Absent && (Entry < 0 || _levels[row] > _levels[Entry]))
                {
                    Entry = row;
                }
            }
        }
    }

    /// <summary>Fills an empty graph with levels and lists (of each row, of each of its levels: the number of links, the links). False, and it stays empty, where they contradict each other.</summary>
    public bool TryRestore(ReadOnlySpan<byte> levels, ReadOnlySpan<byte> lists, int entry)
    {
        Grow(levels.Length);
        ReadOnlySpan<int> left = MemoryMarshal.Cast<byte, int>(lists);
        for (int row = 0; row < levels.Length; row++)
        {
            _levels[row] = levels[row];
            _upper[row] = levels[row] is 0 or Absent ? null : levels[row] <= HighestLevel ? new int[levels[row] * (1 + Links)] : [];
        }

        bool holds = lists.Length % sizeof(int) == 0 && (entry < 0 ? !levels.ContainsAnyExcept(Absent) : entry < levels.Length && levels[entry] <= HighestLevel);
        for (int row = 0; row < levels.Length && holds; row++)
        {
            for (int level = 0; levels[row] != Absent && level <= levels[row] && holds; level++)
            {
                holds = levels[row] <= HighestLevel && !left.IsEmpty && left[0] >= 0 && left[0] <= MostLinks(level) && left[0] < left.Length;
                if (!holds)
                {
                    break;
                }

                foreach (int link in left.Slice(1, left[0]))
                {
                    holds &= link >= 0 && link < levels.Length && levels[link] != Absent && levels[link] >= level;
                }

                left[..(1 + left[0])].CopyTo(ListOf(row, level));
                left = left[(1 + left[0])..];
            }
        }

        if (!holds || !left.IsEmpty)
        {
            (_levels, _ground, _upper) = ([], [], []);
            return false;
        }

        (Count, Entry) = (levels.Length, entry);
        return true;
    }

    private static void ForEach(int count, Action<int> each, CancellationToken cancellationToken)
    {
        if (count < 8)
        {
            for (int i = 0; i < count; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                each(i);
            }

            return;
        }

        Parallel.For(0, count, new ParallelOptions { CancellationToken = cancellationToken }, each);
    }

    private static bool HasAny(ReadOnlySpan<int> links, RowSet deleted)
    {
        foreach (int link in links)
        {
            if (deleted.Contains(link))
            {
                return true;
            }
        }

        return false;
    }

    private Span<int> ListOf(int row, int level) => level == 0
        ? _ground.AsSpan(row * (1 + (2 * Links)), 1 + (2 * Links))
        : _upper[row].AsSpan((level - 1) * (1 + Links), 1 + Links);

    private void Grow(int rows)
    {
        if (rows > _levels.Length)
        {
            int capacity = Math.Max(rows, Math.Max(1024, _levels.Length * 3 / 2));
            Array.Resize(ref _levels, capacity);
            Array.Resize(ref _upper, capacity);
            Array.Resize(ref _ground, checked(capacity * (1 + (2 * Links))));
        }
    }

    private GraphSearchState TakeState() => _states.TryTake(out GraphSearchState? state) ? state : new GraphSearchState((2 * Links) + 1, _rows.Width);

    /// <summary>A level l with probability (1 − 1/M) M^−l (the paper's m_L = 1/ln M), from SplitMix64 of seed and row.</summary>
    private byte RandomLevel(int row)
    {
        ulong z = Seed + ((ulong)(row + 1) * 0x9E3779B97F4A7C15);
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        z ^= z >> 31;
        double uniform = ((z >> 11) + 1) * (1.0 / (1UL << 53)); // (0, 1]
        return (byte)Math.Min(HighestLevel, (int)(-Math.Log(uniform) / Math.Log(Links)));
    }

    private SearchHit[][] ChooseLinks(int row, int level, RowSet deleted)
    {
        SearchHit[][] chosen = [.. Enumerable.Repeat<SearchHit[]>([], level + 1)];
        if (Entry < 0)
        {
            return chosen;
        }

        GraphSearchState state = TakeState();
        byte[] shifted = new byte[_rows.Width];
        Int8Products.Shifted(new ReadOnlySpan<byte>(_rows[row], _rows.Width), shifted);
        float scale = Int8Products.Scale(_rows[row], _rows.Width);
        fixed (byte* query = shifted)
        {
            SearchHit at = new(Entry, scale * Int8Products.One(query, _rows[Entry], _rows.Width));
            for (int l = _levels[Entry]; l > level; l--)
            {
                at = Climb(query, scale, at, l);
            }

            for (int l = Math.Min(level, (int)_levels[Entry]); l >= 0; l--)
            {
                TopHits candidates = new(Breadth);
                Walk(state, query, scale, at, l, allowed: null, deleted, candidates);
                SearchHit[] sorted = candidates.Sorted();
                chosen[l] = Select(state, sorted, Links);
                at = sorted.Length > 0 ? sorted[0] : at;
            }
        }

        _states.Add(state);
        return chosen;
    }

    private void WalkGround(GraphSearchState state, byte* query, float scale, RowSet? allowed, RowSet deleted, TopHits best)
    {
        SearchHit at = new(Entry, scale * Int8Products.One(query, _rows[Entry], _rows.Width));
        for (int level = _levels[Entry]; level > 0; level--)
        {
            at = Climb(query, scale, at, level);
        }

        Walk(state, query, scale, at, level: 0, allowed, deleted, best);
    }

    /// <summary>Algorithm 2 with ef = 1: from row to better row until there is none.</summary>
    private SearchHit Climb(byte* query, float scale, SearchHit at, int level)
    {
        for (bool better = true; better;)
        {
            better = false;
            foreach (int link in LinksOf(at.Row, level))
            {
                float score = scale * Int8Products.One(query, _rows[link], _rows.Width);
                if (score > at.Score)
                {
                    at = new SearchHit(link, score);
                    better = true;
                }
            }
        }

        return at;
    }

    /// <summary>Algorithm 2: goes on from the best row not yet gone on from, until that is worse than all that are kept.</summary>
    private void Walk(GraphSearchState state, byte* query, float scale, SearchHit from, int level, RowSet? allowed, RowSet deleted, TopHits best)
    {
        state.Begin(_rows.Count);
        state.IsNew(from.Row);
        Meet(state, from, allowed, deleted, best);
        Span<float> products = stackalloc float[4];
        int[] unseen = state.Rows;
        while (state.TryPop(out SearchHit at) && at.Score >= best.Floor)
        {
            int count = 0;
            foreach (int link in LinksOf(at.Row, level))
            {
                if (state.IsNew(link))
                {
                    unseen[count++] = link;
                    Prefetch(_rows[link]);
                }
            }

            int i = 0;
            for (; i <= count - 4; i += 4)
            {
                Int8Products.OneByFour(query, _rows[unseen[i]], _rows[unseen[i + 1]], _rows[unseen[i + 2]], _rows[unseen[i + 3]], _rows.Width, products);
                for (int j = 0; j < 4; j++)
                {
                    Meet(state, new SearchHit(unseen[i + j], scale * products[j]), allowed, deleted, best);
                }
            }

            for (; i < count; i++)
            {
                Meet(state, new SearchHit(unseen[i], scale * Int8Products.One(query, _rows[unseen[i]], _rows.Width)), allowed, deleted, best);
            }
        }
    }

    private static void Meet(GraphSearchState state, SearchHit hit, RowSet? allowed, RowSet deleted, TopHits best)
    {
        if (hit.Score > best.Floor)
        {
            state.Push(hit);
            if ((allowed is null || allowed.Contains(hit.Row)) && !deleted.Contains(hit.Row))
            {
                best.Offer(hit.Row, hit.Score);
            }
        }
    }

    private void Prefetch(byte* record)
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < _rows.Stride; i += 64)
            {
                Sse.Prefetch0(record + i);
            }
        }
    }

    /// <summary>Algorithm 4: from the best on, each candidate that is more like the row than like any chosen before it.</summary>
    private SearchHit[] Select(GraphSearchState state, SearchHit[] sorted, int most)
    {
        if (sorted.Length == 0)
        {
            return [];
        }

        List<SearchHit> chosen = new(most);
        fixed (byte* shifted = state.Shifted)
        {
            foreach (SearchHit candidate in sorted)
            {
                byte* record = _rows[candidate.Row];
                Int8Products.Shifted(new ReadOnlySpan<byte>(record, _rows.Width), state.Shifted);
                float scale = Int8Products.Scale(record, _rows.Width);
                bool apart = true;
                for (int i = 0; i < chosen.Count && apart; i++)
                {
                    apart = scale * Int8Products.One(shifted, _rows[chosen[i].Row], _rows.Width) <= candidate.Score;
                }

                if (apart)
                {
                    chosen.Add(candidate);
                    if (chosen.Count == most)
                    {
                        break;
                    }
                }
            }
        }

        return [.. chosen];
    }

    private LinkList LinkBack(int row, int level, List<SearchHit> newLinks)
    {
        ReadOnlySpan<int> old = LinksOf(row, level);
        IEnumerable<int> all = [.. old, .. newLinks.Select(hit => hit.Row)];
        return new LinkList(row, level, old.Length + newLinks.Count <= MostLinks(level) ? [.. all] : Best(row, all, MostLinks(level)));
    }

    /// <summary>The links of a row chosen from candidates that are not yet compared with it.</summary>
    private int[] Best(int row, IEnumerable<int> candidates, int most)
    {
        GraphSearchState state = TakeState();
        Int8Products.Shifted(new ReadOnlySpan<byte>(_rows[row], _rows.Width), state.Shifted);
        float scale = Int8Products.Scale(_rows[row], _rows.Width);
        List<SearchHit> hits = [];
        fixed (byte* query = state.Shifted)
        {
            foreach (int candidate in candidates)
            {
                hits.Add(new SearchHit(candidate, scale * Int8Products.One(query, _rows[candidate], _rows.Width)));
            }
        }

        SearchHit[] chosen = Select(state, [.. hits.OrderByDescending(hit => hit.Score).ThenBy(hit => hit.Row)], most);
        _states.Add(state);
        return [.. chosen.Select(hit => hit.Row)];
    }
}

/// <summary>The links of a row on a level.</summary>
internal sealed record LinkList(int Row, int Level, int[] Links);

/// <summary>What is to become of a graph.</summary>
/// <param name="NewLevels">The levels of the rows that follow those it has.</param>
/// <param name="Removed">Rows that leave it.</param>
/// <param name="Lists">The links that rows have from now on.</param>
internal sealed record GraphChange(byte[] NewLevels, int[] Removed, IReadOnlyList<LinkList> Lists);
