namespace SimCse.Data;

/// <summary>
/// Writes vectors to a file, row by row, so that memory does not grow with their number. The format is told by the file's ending:
/// <list type="bullet">
/// <item><c>.npy</c>: NumPy's format 1.0, float32, shape (n, H), C order; no texts.</item>
/// <item><c>.jsonl</c>: a line a row, <c>{"text": "…", "embedding": [0.1, …]}</c>.</item>
/// <item><c>.tsv</c>: a line a row, H numbers separated by tabs, no header and no texts, as TensorFlow's embedding projector reads it.</item>
/// <item><c>.parquet</c>: the columns <c>text</c> (string) and <c>embedding</c> (list of float).</item>
/// </list>
/// Numbers in text are the shortest that read back as the same float32. The file appears in its place, whole, with <see cref="Complete"/>;
/// a writer that is disposed without it leaves what was there before.
/// </summary>
public abstract class VectorWriter : IDisposable
{
    private readonly PendingFile _file;
    private bool _complete;

    private protected VectorWriter(string path, int dimensions)
    {
        Path = path;
        Dimensions = dimensions;
        _file = new PendingFile(path);
    }

    /// <summary>The file that <see cref="Complete"/> makes.</summary>
    public string Path { get; }

    /// <summary>H, the number of components of a row.</summary>
    public int Dimensions { get; }

    /// <summary>The number of rows written.</summary>
    public long Count { get; private set; }

    private protected Stream Stream => _file.Stream;

    /// <summary>Starts a file.</summary>
    /// <param name="path">Its ending tells the format.</param>
    /// <param name="dimensions">H, at least 1.</param>
    /// <exception cref="InvalidDataException">The ending is none of the four.</exception>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    public static VectorWriter Create(string path, int dimensions)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(dimensions, 1);
        CheckEnding(path);
        return System.IO.Path.GetExtension(path).ToLowerInvariant() switch
        {
            ".npy" => new NpyWriter(path, dimensions),
            ".jsonl" => new JsonLinesVectorWriter(path, dimensions),
            ".tsv" => new TsvVectorWriter(path, dimensions),
            _ => new ParquetVectorWriter(path, dimensions),
        };
    }

    /// <summary>Whether a file of this name can be written, to be asked before a model is loaded.</summary>
    /// <exception cref="InvalidDataException">The ending is none of the four.</exception>
    public static void CheckEnding(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        string ending = System.IO.Path.GetExtension(path).ToLowerInvariant();
        if (ending is not (".npy" or ".jsonl" or ".tsv" or ".parquet"))
        {
            throw new InvalidDataException($"{path}: the ending '{ending}' names no format of vectors; expected .npy, .jsonl, .tsv or .parquet");
        }
    }

    /// <summary>Writes one row.</summary>
    /// <param name="text">What the vector is of; .npy and .tsv do not keep it.</param>
    /// <param name="vector">H components.</param>
    /// <exception cref="ArgumentException">The vector has another number of components.</exception>
    /// <exception cref="InvalidDataException">A component is not finite and the format is .jsonl or .tsv.</exception>
    public void Write(string text, ReadOnlySpan<float> vector)
    {
        ArgumentNullException.ThrowIfNull(text);
        ObjectDisposedException.ThrowIf(_complete, this);
        if (vector.Length != Dimensions)
        {
            throw new ArgumentException($"row {Count + 1} has {vector.Length} components; expected {Dimensions}", nameof(vector));
        }

        WriteRow(text, vector);
        Count++;
    }

    /// <summary>Finishes the file and renames it into its place.</summary>
    public void Complete()
    {
        ObjectDisposedException.ThrowIf(_complete, this);
        Finish();
        _complete = true;
        _file.Commit();
    }

    /// <summary>Removes what was written unless <see cref="Complete"/> was called.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Removes what was written unless <see cref="Complete"/> was called.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            _file.Dispose();
        }
    }

    private protected abstract void WriteRow(string text, ReadOnlySpan<float> vector);

    private protected abstract void Finish();

    private protected void RequireFinite(ReadOnlySpan<float> vector)
    {
        if (vector.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
        {
            throw new InvalidDataException($"{Path}: row {Count + 1} holds a component that is not a finite number, which this format cannot hold");
        }
    }
}
