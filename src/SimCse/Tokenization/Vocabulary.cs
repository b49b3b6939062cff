namespace SimCse.Tokenization;

/// <summary>Tokens and their ids, both ways.</summary>
internal sealed class Vocabulary
{
    private readonly Dictionary<string, int> _ids = new(StringComparer.Ordinal);
    private readonly List<string?> _tokens = [];
    private readonly HashSet<int> _special = [];

    /// <summary>The largest id + 1.</summary>
    public int Size => _tokens.Count;

    /// <summary>The number of different tokens.</summary>
    public int Count => _ids.Count;

    /// <summary>All tokens with their ids.</summary>
    public IReadOnlyDictionary<string, int> Ids => _ids;

    /// <summary>Adds a token. A token that is there already moves to the new id, as a line that comes twice in a vocab.txt does.</summary>
    public void Add(string token, int id)
    {
        while (_tokens.Count <= id)
        {
            _tokens.Add(null);
        }

        _tokens[id] = token;
        _ids[token] = id;
    }

    public bool TryGetId(string token, out int id) => _ids.TryGetValue(token, out id);

    /// <summary>The token of an id; null where the id has none.</summary>
    public string? TokenOf(int id) => (uint)id < (uint)_tokens.Count ? _tokens[id] : null;

    public void MarkSpecial(int id) => _special.Add(id);

    public bool IsSpecial(int id) => _special.Contains(id);
}
