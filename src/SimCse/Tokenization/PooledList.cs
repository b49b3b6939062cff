using System.Buffers;

namespace SimCse.Tokenization;

/// <summary>A list on rented memory: grows as needed, returned with <see cref="Dispose"/>. Never copied, only passed by reference.</summary>
internal ref struct PooledList<T>(int capacity)
    where T : unmanaged
{
    private T[] _items = ArrayPool<T>.Shared.Rent(capacity);

    public int Count { get; private set; }

    public readonly ReadOnlySpan<T> Items => _items.AsSpan(0, Count);

    public readonly ref T this[int index] => ref _items[index];

    public void Add(T item)
    {
        if (Count == _items.Length)
        {
            Grow(1);
        }

        _items[Count++] = item;
    }

    public void AddRange(ReadOnlySpan<T> items)
    {
        if (items.Length > _items.Length - Count)
        {
            Grow(items.Length);
        }

        items.CopyTo(_items.AsSpan(Count));
        Count += items.Length;
    }

    /// <summary>Forgets everything from <paramref name="count"/> on.</summary>
    public void Truncate(int count) => Count = count;

    public readonly void Dispose() => ArrayPool<T>.Shared.Return(_items);

    private void Grow(int by)
    {
        T[] larger = ArrayPool<T>.Shared.Rent(Math.Max(checked(Count + by), (int)Math.Min(2L * _items.Length, Array.MaxLength)));
        Items.CopyTo(larger);
        ArrayPool<T>.Shared.Return(_items);
        _items = larger;
    }
}
