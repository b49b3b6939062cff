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
}
