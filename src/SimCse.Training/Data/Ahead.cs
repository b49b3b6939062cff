namespace SimCse.Training.Data;

/// <summary>Making things in parallel and ahead of their use, in order, a bounded number at a time.</summary>
internal static class Ahead
{
    /// <summary>
    /// What <paramref name="make"/> gives for each item, in the items' order: while one is used, up to <paramref name="ahead"/> of the next are being made on other threads or lie
    /// ready. Items are taken, and results given, on the caller's thread; where making one throws, that comes out in its place.
    /// </summary>
    public static IEnumerable<TResult> SelectAhead<T, TResult>(this IEnumerable<T> items, int ahead, Func<T, TResult> make)
    {
        Queue<Task<TResult>> made = new();
        foreach (T item in items)
        {
            made.Enqueue(Task.Run(() => make(item)));
            if (made.Count > ahead)
            {
                yield return made.Dequeue().GetAwaiter().GetResult();
            }
        }

        while (made.TryDequeue(out Task<TResult>? next))
        {
            yield return next.GetAwaiter().GetResult();
        }
    }
}
