using System.Text;

namespace SimCse.Data;

/// <summary>A file that a table was read from.</summary>
/// <param name="Path">The file.</param>
/// <param name="Sha256">Of its bytes on disk, lower-case hexadecimal.</param>
/// <param name="Rows">The rows read from it.</param>
public sealed record SentenceSource(string Path, string Sha256, long Rows);

/// <summary>
/// Training data in memory, checked as a whole before anything is made of it. Rows are kept as UTF-8, in about the size of the unpacked file.
/// </summary>
public sealed class SentenceTable
{
    private readonly Utf8Texts _texts;
    private readonly long[] _lines;

    private SentenceTable(Utf8Texts texts, long[] lines, int columns, IReadOnlyList<SentenceSource> sources)
    {
        _texts = texts;
        _lines = lines;
        Columns = columns;
        Sources = sources;
    }

    /// <summary>The number of rows.</summary>
    public int Count => _lines.Length;

    /// <summary>1: sentences; 2: pairs; 3: pairs with hard negatives.</summary>
    public int Columns { get; }

    /// <summary>The files, with their hashes, for a run's manifest.</summary>
    public IReadOnlyList<SentenceSource> Sources { get; }

    /// <summary>Row <paramref name="row"/>, from 0.</summary>
    public SentenceRow this[int row]
    {
        get
        {
            long first = (long)row * Columns;
            return new SentenceRow(_lines[row], _texts[first], Columns > 1 ? _texts[first + 1] : null, Columns > 2 ? _texts[first + 2] : null);
        }
    }

    /// <summary>Reads and checks one file: see <see cref="SentenceFile"/>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">Only the first so many rows are read; null for all.</param>
    /// <param name="hasHeader">See <see cref="SentenceFile.Open"/>.</param>
    /// <param name="cancellationToken">Checked at every row.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">Rows are bad: the first few by line, and how many there are.</exception>
    public static SentenceTable Load(string path, int? limit = null, bool? hasHeader = null, CancellationToken cancellationToken = default) =>
        Load([path], limit, hasHeader, cancellationToken);

    /// <summary>Reads and checks several files with the same number of columns, one after the other.</summary>
    /// <exception cref="InvalidDataException">Rows are bad, or the files differ in their number of columns.</exception>
    public static SentenceTable Load(IReadOnlyList<string> paths, int? limit = null, bool? hasHeader = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(paths);
        ArgumentOutOfRangeException.ThrowIfZero(paths.Count);
        if (limit is { } given)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(given, 1, nameof(limit));
        }

        Utf8Texts texts = new();
        List<long> lines = [];
        List<SentenceSource> sources = [];
        int columns = 0;
        foreach (string path in paths)
        {
            if (lines.Count >= limit)
            {
                break;
            }

            SentenceFile file = SentenceFile.Open(path, hasHeader);
            if (columns > 0 && file.Columns != columns)
            {
                throw new InvalidDataException($"{path}: {file.Columns} columns; expected {columns} as in {paths[0]}");
            }

            columns = file.Columns;
            long rows = file.Validate(
                limit is { } most ? most - lines.Count : Array.MaxLength - lines.Count,
                row =>
                {
                    lines.Add(row.Line);
                    texts.Add(row.Sentence);
                    if (row.Positive is not null)
                    {
                        texts.Add(row.Positive);
                    }

                    if (row.HardNegative is not null)
                    {
                        texts.Add(row.HardNegative);
                    }
                },
                cancellationToken);
            sources.Add(new SentenceSource(path, DataFiles.Sha256(path), rows));
        }

        return new SentenceTable(texts, [.. lines], columns, sources);
    }

    /// <summary>Many short texts as UTF-8 in a few large blocks.</summary>
    private sealed class Utf8Texts
    {
        private const int BlockSize = 1 << 20;
        private readonly List<byte[]> _blocks = [];
        private readonly List<(int Block, int Start, int Length)> _places = [];
        private int _used = BlockSize;

        public string this[long index]
        {
            get
            {
                (int block, int start, int length) = _places[checked((int)index)];
                return Encoding.UTF8.GetString(_blocks[block], start, length);
            }
        }

        public void Add(string text)
        {
            int length = Encoding.UTF8.GetByteCount(text);
            if (_blocks.Count == 0 || _used + length > _blocks[^1].Length)
            {
                _blocks.Add(new byte[Math.Max(BlockSize, length)]);
                _used = 0;
            }

            Encoding.UTF8.GetBytes(text, _blocks[^1].AsSpan(_used));
            _places.Add((_blocks.Count - 1, _used, length));
            _used += length;
        }
    }
}
