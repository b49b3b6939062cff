namespace SimCse.Search;

/// <summary>Texts with their vectors, to be searched by cosine: <see cref="SentenceIndex"/> in files of its own, or a database of the adapters' packages.</summary>
public interface ISentenceIndex : IAsyncDisposable
{
    /// <summary>H, the number of components of a vector.</summary>
    int Dimensions { get; }

    /// <summary>The number of entries.</summary>
    ValueTask<long> CountAsync(CancellationToken cancellationToken = default);

    /// <summary>Adds entries, all or none. An entry whose id is there already takes its place. When the call returns, they are on the disk.</summary>
    /// <param name="entries">n entries of different ids.</param>
    /// <param name="vectors">n × H: the vector of each. Only their directions count.</param>
    /// <param name="cancellationToken">Before anything is added.</param>
    /// <exception cref="ArgumentException">n or H differ, an id is empty or comes twice.</exception>
    /// <exception cref="InvalidDataException">A vector has a component or a length that is not finite.</exception>
    ValueTask AddAsync(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, CancellationToken cancellationToken = default);

    /// <summary>Removes the entries of these ids, all or none.</summary>
    /// <returns>How many of them were there.</returns>
    ValueTask<int> DeleteAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken = default);

    /// <summary>For each of <paramref name="queries"/>, the entries most like it, best first.</summary>
    /// <param name="queries">Q × H.</param>
    /// <param name="options">How many, and which may be hits.</param>
    /// <param name="cancellationToken">Stops the search.</param>
    /// <exception cref="ArgumentException">The queries do not have H components, or an option is out of its range.</exception>
    /// <exception cref="InvalidDataException">A query has a component or a length that is not finite.</exception>
    ValueTask<IReadOnlyList<IndexHit>[]> SearchAsync(EmbeddingMatrix queries, IndexSearchOptions options, CancellationToken cancellationToken = default);
}
