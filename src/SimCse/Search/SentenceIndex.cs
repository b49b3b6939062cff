namespace SimCse.Search;

/// <summary>
/// Texts, their metadata and their vectors in a directory of their own, searched by cosine: entries are added, replaced and deleted at any time, filters choose among them, and a graph finds
/// the neighbours of a query among many without comparing it with all.
/// </summary>
/// <remarks>
/// <para>The first pass of every search reads int8 codes; the candidates are scored in float32 where the index keeps it. Where the graph would not pay (few entries, or a filter that accepts few),
/// every accepted entry is compared instead; entries that the graph has not taken up yet always are.</para>
/// <para>What a call has added or deleted when it returns is on the disk, and survives a crash at any moment; what a crash interrupts is there whole or not at all. One process may write at a time,
/// any number may read; a reader sees what was committed when it opened the index. Searches may run side by side, and beside a call that writes.</para>
/// <para>The entries are mapped into memory: pages are read when they are touched. In memory itself are the graph (some 4 (2M + 3) bytes an entry), 8 bytes an entry, and with the first call that adds or deletes
/// the ids.</para>
/// </remarks>
public sealed class SentenceIndex : ISentenceIndex, IDisposable
{
    private const string EntriesFile = "entries", GraphFile = "graph", LockFile = "lock";
    private const int LeastBreadth = 96;
    private const int Oversampling = 4;

    // The graph compares a query with about this many rows for each that it keeps in view; a scan compares three times as fast.
    private const double ScanWorth = 48;

    // Deleted rows that the graph walks over in vain: beyond a tenth of it they are linked around.
    private const int DeletedShare = 10;
    private const int BlockRows = 2048;

    private readonly string _directory;
    private readonly FileStream? _lock;
    private readonly IndexFile _file;
    private readonly HnswGraph _graph;
    private readonly MetadataColumns _columns = new();
    private readonly Lock _writing = new();
    private readonly ReaderWriterLockSlim _gate = new();
    private Dictionary<string, int>? _rowOf;
    private bool _graphChanged;
    private bool _disposed;

    private SentenceIndex(string directory, bool writable)
    {
        if (!BitConverter.IsLittleEndian)
        {
            throw new PlatformNotSupportedException("index files hold little-endian numbers, which this processor does not read");
        }

        _directory = directory;
        string entries = Path.Combine(directory, EntriesFile);
        if (!File.Exists(entries))
        {
            throw new FileNotFoundException($"{directory}: no index; expected a directory with the file '{EntriesFile}', as simcse index makes it", entries);
        }

        _lock = writable ? Lock(directory) : null;
        try
        {
            _file = IndexFile.Open(entries, writable);
        }
        catch
        {
            _lock?.Dispose();
            throw;
        }

        SentenceIndexOptions options = _file.Options;
        _graph = new HnswGraph(_file.Rows, options.Links, options.ConstructionBreadth, options.Seed);
        HnswFile.TryRead(Path.Combine(directory, GraphFile), _graph, _file.Identity, _file.Rows.Count);
    }

    /// <summary>What it was made with.</summary>
    public SentenceIndexOptions Options => _file.Options;

    /// <inheritdoc/>
    public int Dimensions => Options.Dimensions;

    /// <summary>The number of entries.</summary>
    public int Count => Reading(() => _file.Rows.Count - _file.Deleted.Count);

    /// <summary>Whether it was opened for searching only.</summary>
    public bool ReadOnly => _lock is null;

    /// <summary>Entries that are deleted or replaced and still take their place in the file, until <see cref="Compact"/>.</summary>
    public int DeletedCount => Reading(() => _file.Deleted.Count);

    /// <summary>Entries, deleted ones too, that the graph has taken up; the others are scanned.</summary>
    public int GraphCount => Reading(() => _graph.Count);

    /// <summary>Bytes of the entries' file.</summary>
    public long FileLength => Reading(() => _file.Length);

    /// <summary>Whether a directory holds an index.</summary>
    public static bool Exists(string directory) => File.Exists(Path.Combine(directory, EntriesFile));

    /// <summary>Makes an index without entries, and opens it for writing.</summary>
    /// <param name="directory">Made where it is not there.</param>
    /// <param name="options">What it is made with.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="IOException">The directory holds an index already.</exception>
    public static SentenceIndex Create(string directory, SentenceIndexOptions options)
    {
        ArgumentNullException.ThrowIfNull(directory);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Directory.CreateDirectory(directory);
        using (Lock(directory))
        {
            if (Exists(directory))
            {
                throw new IOException($"{directory}: holds an index already; it is left alone");
            }

            IndexFile.Create(Path.Combine(directory, EntriesFile), options);
        }

        return Open(directory);
    }

    /// <summary>Opens an index, and checks all of its checksums.</summary>
    /// <param name="directory">Where it is.</param>
    /// <param name="readOnly">Whether it is only searched; then another process may write.</param>
    /// <exception cref="FileNotFoundException">There is no index.</exception>
    /// <exception cref="InvalidDataException">The file is damaged: where.</exception>
    /// <exception cref="IOException">Another process writes to it.</exception>
    public static SentenceIndex Open(string directory, bool readOnly = false)
    {
        ArgumentNullException.ThrowIfNull(directory);
        return new SentenceIndex(directory, !readOnly);
    }

    /// <summary>Writes an index anew, without the entries that were deleted or replaced, and builds its graph anew. A crash leaves the old entries or the new ones.</summary>
    /// <param name="directory">Where it is. No one else may write to it meanwhile; who has it open for reading goes on with the old entries.</param>
    /// <param name="progress">Told how many entries the new graph has taken up.</param>
    /// <param name="cancellationToken">Before the new entries take their place, all stays as it was.</param>
    public static void Compact(string directory, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        using (SentenceIndex old = Open(directory))
        {
            string entries = Path.Combine(directory, EntriesFile), beside = entries + ".compacting";
            IndexFile.Create(beside, old.Options);
            using (IndexFile compact = IndexFile.Open(beside, writable: true))
            {
                foreach (int[] rows in Enumerable.Range(0, old._file.Rows.Count).Where(row => !old._file.Deleted.Contains(row)).Chunk(BlockRows))
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    EmbeddingMatrix vectors = old.Vectors(rows);
                    compact.Publish(compact.Commit([], [.. rows.Select(old._file.ReadEntry)], vectors, VectorLengths.Inverse(vectors, "vector")));
                }
            }

            File.Move(beside, entries, overwrite: true);
            File.Delete(Path.Combine(directory, GraphFile));
        }

        using SentenceIndex index = Open(directory);
        index.UpdateGraph(progress, cancellationToken);
    }

    /// <inheritdoc cref="ISentenceIndex.AddAsync"/>
    public void Add(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(entries);
        ArgumentNullException.ThrowIfNull(vectors);
        IndexInput.Check(entries, vectors, Dimensions);
        float[] inverseLengths = VectorLengths.Inverse(vectors, "vector");
        if (entries.Count == 0)
        {
            return;
        }

        lock (_writing)
        {
            RequireWritable();
            Dictionary<string, int> rowOf = RowOf();
            cancellationToken.ThrowIfCancellationRequested();
            int[] replaced = [.. entries.Where(entry => rowOf.ContainsKey(entry.Id)).Select(entry => rowOf[entry.Id])];
            int first = _file.Rows.Count;
            Commit(replaced, entries, vectors, inverseLengths);
            for (int i = 0; i < entries.Count; i++)
            {
                rowOf[entries[i].Id] = first + i;
            }

            TakeUp(cancellationToken);
        }
    }

    /// <inheritdoc cref="ISentenceIndex.DeleteAsync"/>
    public int Delete(IReadOnlyCollection<string> ids, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        lock (_writing)
        {
            RequireWritable();
            Dictionary<string, int> rowOf = RowOf();
            cancellationToken.ThrowIfCancellationRequested();
            string[] present = [.. ids.Distinct(StringComparer.Ordinal).Where(rowOf.ContainsKey)];
            if (present.Length > 0)
            {
                Commit([.. present.Select(id => rowOf[id])], [], null, []);
                foreach (string id in present)
                {
                    rowOf.Remove(id);
                }

                TakeUp(cancellationToken);
            }

            return present.Length;
        }
    }

    /// <summary>The entry of an id; null where there is none.</summary>
    public IndexEntry? Find(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        lock (_writing)
        {
            return RowOf().TryGetValue(id, out int row) ? _file.ReadEntry(row) : null;
        }
    }

    /// <summary>All entries, in the order in which they were added.</summary>
    public IEnumerable<IndexEntry> Entries()
    {
        for (int row = 0; ; row++)
        {
            IndexEntry? entry = null;
            _gate.EnterReadLock();
            try
            {
                ObjectDisposedException.ThrowIf(_disposed, this);
                while (row < _file.Rows.Count && _file.Deleted.Contains(row))
                {
                    row++;
                }

                entry = row < _file.Rows.Count ? _file.ReadEntry(row) : null;
            }
            finally
            {
                _gate.ExitReadLock();
            }

            if (entry is null)
            {
                yield break;
            }

            yield return entry;
        }
    }

    /// <summary>Entries evenly spread over the index in the order in which they were added, and their vectors, of which only the directions count.</summary>
    /// <param name="most">The most entries; all where there are no more.</param>
    /// <returns>n entries and n × H; null where the index is empty.</returns>
    public (IReadOnlyList<IndexEntry> Entries, EmbeddingMatrix Vectors)? Sample(int most)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 1);
        return Reading<(IReadOnlyList<IndexEntry>, EmbeddingMatrix)?>(() =>
        {
            int[] live = [.. Enumerable.Range(0, _file.Rows.Count).Where(row => !_file.Deleted.Contains(row))];
            int count = Math.Min(most, live.Length);
            int[] rows = [.. Enumerable.Range(0, count).Select(i => live[(int)((long)i * live.Length / count)])];
            return count == 0 ? null : ([.. rows.Select(_file.ReadEntry)], Vectors(rows));
        });
    }

    /// <summary>Takes into the graph what is not in it, such as after a build that was interrupted.</summary>
    /// <param name="progress">Told how many entries the graph has taken up.</param>
    /// <param name="cancellationToken">What is done stays done.</param>
    public void UpdateGraph(IProgress<int>? progress, CancellationToken cancellationToken)
    {
        lock (_writing)
        {
            RequireWritable();
            while (_file.Rows.Count - _graph.Count >= _graph.NextBatch)
            {
                Apply(_graph.PlanNext(_graph.NextBatch, _file.Deleted, cancellationToken));
                progress?.Report(_graph.Count);
            }

            int walkedInVain = _file.Deleted.Rows().Count(row => row < _graph.Count && _graph.LevelOf(row) != HnswGraph.Absent);
            if (walkedInVain > _graph.Count / DeletedShare)
            {
                Apply(_graph.PlanRepair(_file.Deleted, cancellationToken));
            }
        }
    }

    /// <summary>Writes the graph to its file, where it has changed. Closing does so too; without it the next to open the index scans, or builds the graph again.</summary>
    public void SaveGraph()
    {
        lock (_writing)
        {
            if (_graphChanged)
            {
                HnswFile.Write(Path.Combine(_directory, GraphFile), _graph, _file.Identity);
                _graphChanged = false;
            }
        }
    }

    /// <summary>The entries most like a query, best first.</summary>
    /// <inheritdoc cref="Search(EmbeddingMatrix, IndexSearchOptions?, CancellationToken)"/>
    public IReadOnlyList<IndexHit> Search(ReadOnlySpan<float> query, IndexSearchOptions? options = null, CancellationToken cancellationToken = default) =>
        Search(new EmbeddingMatrix(query.ToArray(), 1, query.Length), options, cancellationToken)[0];

    /// <inheritdoc cref="ISentenceIndex.SearchAsync"/>
    public IReadOnlyList<IndexHit>[] Search(EmbeddingMatrix queries, IndexSearchOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(queries);
        options ??= new IndexSearchOptions();
        options.Validate();
        IndexInput.CheckQueries(queries, Dimensions);
        float[] inverseLengths = VectorLengths.Inverse(queries, "query");
        Int8Queries codes = new(queries, inverseLengths);
        return Reading(() =>
        {
            RowSet? allowed = options.Filter is null ? null : _columns.Accepted(options.Filter, _file);
            allowed?.ExceptWith(_file.Deleted);
            int accepted = allowed?.Count ?? _file.Rows.Count - _file.Deleted.Count;
            int k = Math.Min(options.K, accepted);
            int breadth = options.Breadth ?? Math.Max(LeastBreadth, 2 * options.K);
            IReadOnlyList<IndexHit>[] hits = new IReadOnlyList<IndexHit>[queries.Count];
            if (k == 0)
            {
                Array.Fill(hits, []);
                return hits;
            }

            double share = (double)accepted / _file.Rows.Count;
            bool scan = options.Exact || accepted * share < ScanWorth * breadth;
            TopHits[] best = scan ? Scan(codes, 0, allowed, (int)Math.Min(accepted, (long)k * Oversampling), cancellationToken) : Walk(codes, breadth, allowed, cancellationToken);
            Parallel.For(0, queries.Count, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = queries.Count < 4 ? 1 : -1 }, q =>
                hits[q] = [.. Rescored(queries[q], inverseLengths[q], best[q], k).Select(hit => new IndexHit(_file.ReadEntry(hit.Row), hit.Score))]);
            return hits;
        });
    }

    /// <inheritdoc/>
    public ValueTask<long> CountAsync(CancellationToken cancellationToken = default) => ValueTask.FromResult((long)Count);

    /// <inheritdoc/>
    public ValueTask AddAsync(IReadOnlyList<IndexEntry> entries, EmbeddingMatrix vectors, CancellationToken cancellationToken = default) =>
        new(Task.Run(() => Add(entries, vectors, cancellationToken), cancellationToken));

    /// <inheritdoc/>
    public ValueTask<int> DeleteAsync(IReadOnlyCollection<string> ids, CancellationToken cancellationToken = default) => new(Task.Run(() => Delete(ids, cancellationToken), cancellationToken));

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<IndexHit>[]> SearchAsync(EmbeddingMatrix queries, IndexSearchOptions options, CancellationToken cancellationToken = default) =>
        new(Task.Run(() => Search(queries, options, cancellationToken), cancellationToken));

    /// <summary>Saves the graph, and closes the files.</summary>
    public void Dispose()
    {
        lock (_writing)
        {
            if (_disposed)
            {
                return;
            }

            if (_lock is not null)
            {
                SaveGraph();
            }

            _gate.EnterWriteLock();
            _disposed = true;
            _file.Dispose();
            _lock?.Dispose();
            _gate.ExitWriteLock();
        }
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        Dispose();
        return ValueTask.CompletedTask;
    }

    private static FileStream Lock(string directory)
    {
        try
        {
            return new FileStream(Path.Combine(directory, LockFile), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e) when (e is not (DirectoryNotFoundException or PathTooLongException))
        {
            throw new IOException($"{directory}: another process writes to this index; wait for it, or open the index for reading only ({e.Message})", e);
        }
    }

    private T Reading<T>(Func<T> read)
    {
        _gate.EnterReadLock();
        try
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return read();
        }
        finally
        {
            _gate.ExitReadLock();
        }
    }

    private void Writing(Action write)
    {
        _gate.EnterWriteLock();
        try
        {
            write();
        }
        finally
        {
            _gate.ExitWriteLock();
        }
    }

    private void RequireWritable()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_lock is null)
        {
            throw new InvalidOperationException($"{_directory}: the index was opened for reading only");
        }
    }

    private void Commit(int[] deleted, IReadOnlyList<IndexEntry> entries, EmbeddingMatrix? vectors, float[] inverseLengths)
    {
        IndexBlock block = _file.Commit(deleted, entries, vectors, inverseLengths);
        Writing(() => _file.Publish(block));
    }

    private void Apply(GraphChange change)
    {
        Writing(() => _graph.Apply(change));
        _graphChanged = true;
    }

    private Dictionary<string, int> RowOf()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_rowOf is null)
        {
            _rowOf = new Dictionary<string, int>(_file.Rows.Count, StringComparer.Ordinal);
            foreach (IndexBlock block in _file.Blocks)
            {
                for (int row = block.FirstRow; row < block.FirstRow + block.Entries; row++)
                {
                    if (!_file.Deleted.Contains(row))
                    {
                        _rowOf[block.ReadId(_file.Bytes, row)] = row;
                    }
                }
            }
        }

        return _rowOf;
    }

    /// <summary>After a commit: it holds whether or not the graph has taken it up.</summary>
    private void TakeUp(CancellationToken cancellationToken)
    {
        try
        {
            UpdateGraph(progress: null, cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // What is not in the graph is scanned; the next call takes it up.
        }
    }

    /// <summary>Compares the queries with every accepted row from <paramref name="firstRow"/> on.</summary>
    private TopHits[] Scan(Int8Queries queries, int firstRow, RowSet? allowed, int candidates, CancellationToken cancellationToken)
    {
        List<(int Row, int Count)> stretches = [];
        foreach (IndexBlock block in _file.Blocks)
        {
            for (int row = Math.Max(firstRow, block.FirstRow), end = block.FirstRow + block.Entries; row < end; row += BlockRows)
            {
                stretches.Add((row, Math.Min(BlockRows, end - row)));
            }
        }

        // A filter that accepts few rows: these alone, wherever they lie.
        bool sparse = allowed is not null && (long)allowed.Count * 8 < _file.Rows.Count;
        RowSet? rows = allowed;
        if (rows is null && _file.Deleted.Count > 0)
        {
            rows = RowSet.All(_file.Rows.Count);
            rows.ExceptWith(_file.Deleted);
        }

        if (sparse)
        {
            stretches = [.. allowed!.Rows().Where(row => row >= firstRow).Select(row => (row, 1))];
        }

        int workers = (long)stretches.Sum(s => (long)s.Count) * queries.Count * Dimensions < 1 << 18 ? 1 : Math.Max(1, Math.Min(Environment.ProcessorCount, stretches.Count));
        TopHits[][] best = new TopHits[workers][];
        Parallel.For(0, workers, new ParallelOptions { CancellationToken = cancellationToken, MaxDegreeOfParallelism = workers }, worker =>
        {
            TopHits[] mine = best[worker] = [.. Enumerable.Range(0, queries.Count).Select(_ => new TopHits(candidates))];
            int end = (int)((long)stretches.Count * (worker + 1) / workers);
            for (int i = (int)((long)stretches.Count * worker / workers); i < end; i++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                Scan(queries, stretches[i], sparse ? null : rows, mine);
            }
        });

        for (int q = 0; q < queries.Count; q++)
        {
            for (int worker = 1; worker < workers; worker++)
            {
                best[0][q].Offer(best[worker][q]);
            }
        }

        return best[0];
    }

    private unsafe void Scan(Int8Queries queries, (int Row, int Count) stretch, RowSet? allowed, TopHits[] best) =>
        Int8Scan.Run(queries, _file.Rows[stretch.Row], stretch.Count, stretch.Row, allowed, best);

    /// <summary>Walks over the graph, and scans what it has not taken up.</summary>
    private TopHits[] Walk(Int8Queries queries, int breadth, RowSet? allowed, CancellationToken cancellationToken)
    {
        TopHits[] best = Scan(queries, _graph.Count, allowed, breadth, cancellationToken);
        Parallel.For(0, queries.Count, new ParallelOptions { CancellationToken = cancellationToken }, q => best[q].Offer(Walk(queries, q, breadth, allowed)));
        return best;
    }

    private unsafe TopHits Walk(Int8Queries queries, int q, int breadth, RowSet? allowed)
    {
        fixed (byte* query = queries.Shifted)
        {
            return _graph.Search(query + ((long)q * queries.Width), queries.Scales[q], breadth, allowed, _file.Deleted);
        }
    }

    /// <summary>The vectors of rows: as they were added, at length one, or as their codes say.</summary>
    private unsafe EmbeddingMatrix Vectors(int[] rows)
    {
        float[] values = new float[rows.Length * Dimensions];
        for (int i = 0; i < rows.Length; i++)
        {
            Span<float> vector = values.AsSpan(i * Dimensions, Dimensions);
            if (Options.KeepFloats)
            {
                new ReadOnlySpan<float>(_file.BlockOf(rows[i]).Floats(_file.Bytes, rows[i]), Dimensions).CopyTo(vector);
                continue;
            }

            sbyte* codes = (sbyte*)_file.Rows[rows[i]];
            for (int j = 0; j < Dimensions; j++)
            {
                vector[j] = codes[j];
            }
        }

        return new EmbeddingMatrix(values, rows.Length, Dimensions);
    }

    private unsafe SearchHit[] Rescored(ReadOnlySpan<float> query, float inverseLength, TopHits candidates, int k)
    {
        TopHits best = new(k);
        fixed (float* q = query)
        {
            foreach (SearchHit candidate in candidates.Kept)
            {
                float score = Options.KeepFloats ? FloatProducts.One(q, _file.BlockOf(candidate.Row).Floats(_file.Bytes, candidate.Row), Dimensions) * inverseLength : candidate.Score;
                best.Offer(candidate.Row, score);
            }
        }

        return best.Sorted();
    }
}
