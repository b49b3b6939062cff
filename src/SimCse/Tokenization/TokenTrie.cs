namespace SimCse.Tokenization;

/// <summary>The tokens of a vocabulary as a tree of characters: finds the longest one that begins a text in one walk, with nothing allocated.</summary>
internal sealed class TokenTrie
{
    /// <summary>The node of the empty text.</summary>
    public const int Root = 0;

    private readonly List<int> _tokens = [-1];
    private ulong[] _edges = new ulong[1 << 12];
    private int[] _children = new int[1 << 12];
    private int _shift = 64 - 12;

    /// <summary>Adds a token.</summary>
    public void Add(ReadOnlySpan<char> token, int id)
    {
        int node = Root;
        foreach (char c in token)
        {
            int child = Child(node, c);
            if (child < 0)
            {
                child = _tokens.Count;
                _tokens.Add(-1);
                Insert(Edge(node, c), child);
            }

            node = child;
        }

        _tokens[node] = id;
    }

    /// <summary>The node of a text, −1 where no token begins with it.</summary>
    public int Find(ReadOnlySpan<char> text)
    {
        int node = Root;
        foreach (char c in text)
        {
            node = Child(node, c);
            if (node < 0)
            {
                return -1;
            }
        }

        return node;
    }

    /// <summary>The longest token that goes on from <paramref name="node"/> with the beginning of <paramref name="text"/>; its id, or −1, and how much of the text it takes.</summary>
    public int Longest(int node, ReadOnlySpan<char> text, out int length)
    {
        int id = -1;
        length = 0;
        for (int i = 0; i < text.Length && (node = Child(node, text[i])) >= 0; i++)
        {
            int token = _tokens[node];
            if (token >= 0)
            {
                id = token;
                length = i + 1;
            }
        }

        return id;
    }

    // An edge is never 0: the root's edges count from node 1.
    private static ulong Edge(int node, char c) => ((ulong)(uint)(node + 1) << 16) | c;

    private int Child(int node, char c)
    {
        ulong edge = Edge(node, c);
        ulong[] edges = _edges;
        int mask = edges.Length - 1;
        for (int slot = Slot(edge); ; slot = (slot + 1) & mask)
        {
            ulong at = edges[slot];
            if (at == edge)
            {
                return _children[slot];
            }

            if (at == 0)
            {
                return -1;
            }
        }
    }

    private int Slot(ulong edge) => (int)((edge * 0x9E3779B97F4A7C15) >> _shift);

    private void Insert(ulong edge, int child)
    {
        if (_tokens.Count * 2 > _edges.Length)
        {
            (ulong[] edges, int[] children) = (_edges, _children);
            _edges = new ulong[edges.Length * 2];
            _children = new int[edges.Length * 2];
            _shift--;
            for (int i = 0; i < edges.Length; i++)
            {
                if (edges[i] != 0)
                {
                    Place(edges[i], children[i]);
                }
            }
        }

        Place(edge, child);
    }

    private void Place(ulong edge, int child)
    {
        int slot = Slot(edge);
        while (_edges[slot] != 0)
        {
            slot = (slot + 1) & (_edges.Length - 1);
        }

        _edges[slot] = edge;
        _children[slot] = child;
    }
}
