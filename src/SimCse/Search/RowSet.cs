using System.Numerics;

namespace SimCse.Search;

/// <summary>A set of rows: one bit a row.</summary>
internal sealed class RowSet(int capacity)
{
    private ulong[] _words = new ulong[(capacity + 63) / 64];

    /// <summary>The number of rows in it.</summary>
    public int Count { get; private set; }

    public bool Contains(int row) => row >> 6 < _words.Length && (_words[row >> 6] >> row & 1) != 0;

    public void Add(int row)
    {
        if (row >> 6 >= _words.Length)
        {
            Array.Resize(ref _words, Math.Max((row >> 6) + 1, _words.Length * 2));
        }

        ulong bit = 1UL << row;
        if ((_words[row >> 6] & bit) == 0)
        {
            _words[row >> 6] |= bit;
            Count++;
        }
    }

    /// <summary>Keeps the rows that are in the other too.</summary>
    public void IntersectWith(RowSet other) => Combine(other, static (mine, others) => mine & others);

    /// <summary>Adds the rows of the other.</summary>
    public void UnionWith(RowSet other) => Combine(other, static (mine, others) => mine | others);

    /// <summary>Takes out the rows of the other.</summary>
    public void ExceptWith(RowSet other) => Combine(other, static (mine, others) => mine & ~others);

    /// <summary>The rows before <paramref name="count"/>.</summary>
    public static RowSet All(int count)
    {
        RowSet all = new(count);
        Array.Fill(all._words, ulong.MaxValue);
        if (count % 64 != 0)
        {
            all._words[^1] = (1UL << count) - 1;
        }

        all.Count = count;
        return all;
    }

    /// <summary>Its rows, ascending.</summary>
    public IEnumerable<int> Rows()
    {
        for (int word = 0; word < _words.Length; word++)
        {
            for (ulong left = _words[word]; left != 0; left &= left - 1)
            {
                yield return (word * 64) + BitOperations.TrailingZeroCount(left);
            }
        }
    }

    private void Combine(RowSet other, Func<ulong, ulong, ulong> combine)
    {
        if (_words.Length < other._words.Length)
        {
            Array.Resize(ref _words, other._words.Length);
        }

        Count = 0;
        for (int word = 0; word < _words.Length; word++)
        {
            _words[word] = combine(_words[word], word < other._words.Length ? other._words[word] : 0);
            Count += BitOperations.PopCount(_words[word]);
        }
    }
}
