using System.Runtime.InteropServices;

namespace SimCse.Search;

/// <summary>The metadata of an index by field, read when the first filter asks for it: a filter then looks at each different value once, and at four bytes a row.</summary>
internal sealed class MetadataColumns
{
    private const int None = -1;
    private readonly Dictionary<string, Column> _columns = new(StringComparer.Ordinal);
    private int _rows;

    /// <summary>The rows that a filter accepts, deleted ones too.</summary>
    public RowSet Accepted(IndexFilter filter, IndexFile file)
    {
        lock (_columns)
        {
            Read(file);
            return Rows(filter);
        }
    }

    private void Read(IndexFile file)
    {
        foreach (IndexBlock block in file.Blocks)
        {
            for (int row = Math.Max(_rows, block.FirstRow); row < block.FirstRow + block.Entries; row++)
            {
                ReadOnlySpan<byte> json = block.ReadMetadata(file.Bytes, row);
                if (json.IsEmpty)
                {
                    continue;
                }

                foreach ((string field, MetadataValue value) in MetadataJson.Read(json))
                {
                    (CollectionsMarshal.GetValueRefOrAddDefault(_columns, field, out _) ??= new Column()).Set(row, value);
                }
            }
        }

        _rows = file.Rows.Count;
    }

    private RowSet Rows(IndexFilter filter)
    {
        RowSet rows;
        switch (filter)
        {
            case IndexFilter.Equal(string field, _):
                return Rows(filter, field);
            case IndexFilter.Between(string field, _, _):
                return Rows(filter, field);
            case IndexFilter.Not(IndexFilter refused):
                rows = RowSet.All(_rows);
                rows.ExceptWith(Rows(refused));
                return rows;
            case IndexFilter.Any(IReadOnlyList<IndexFilter> filters):
                rows = new RowSet(_rows);
                foreach (IndexFilter one in filters)
                {
                    rows.UnionWith(Rows(one));
                }

                return rows;
            case IndexFilter.All(IReadOnlyList<IndexFilter> filters):
                rows = RowSet.All(_rows);
                foreach (IndexFilter one in filters)
                {
                    rows.IntersectWith(Rows(one));
                }

                return rows;
            default:
                throw new ArgumentException($"{filter} is no filter that is known here", nameof(filter));
        }
    }

    /// <summary>The rows of a filter that looks at one field.</summary>
    private RowSet Rows(IndexFilter filter, string field)
    {
        RowSet rows = new(_rows);
        if (_columns.TryGetValue(field, out Column? column))
        {
            bool[] accepted = [.. column.Values.Select(value => filter.Accepts(new Dictionary<string, MetadataValue>(StringComparer.Ordinal) { [field] = value }))];
            ReadOnlySpan<int> places = CollectionsMarshal.AsSpan(column.Places);
            for (int row = 0; row < places.Length; row++)
            {
                if (places[row] != None && accepted[places[row]])
                {
                    rows.Add(row);
                }
            }
        }

        return rows;
    }

    /// <summary>A field: its different values, and for each row the place of its value among them.</summary>
    private sealed class Column
    {
        private readonly Dictionary<MetadataValue, int> _placeOf = [];

        public List<MetadataValue> Values { get; } = [];

        public List<int> Places { get; } = [];

        public void Set(int row, MetadataValue value)
        {
            while (Places.Count < row)
            {
                Places.Add(None);
            }

            if (!_placeOf.TryGetValue(value, out int place))
            {
                place = Values.Count;
                _placeOf.Add(value, place);
                Values.Add(value);
            }

            Places.Add(place);
        }
    }
}
