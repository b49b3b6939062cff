namespace SimCse.Data;

/// <summary>
/// A file of training data, read as a stream: one column is sentences, two are pairs, three are pairs with hard negatives. The name's
/// ending tells the format (see <see cref="SentenceFormat"/>); each may be compressed, with .gz after it.
/// </summary>
/// <remarks>
/// Text must be UTF-8. The first row fixes the number of columns. In .tsv and .csv files the first row is a header where every field of it
/// is a name that data sets use for these columns (sent0, sent1, hard_neg, sentence, sentence1, text, anchor, positive, negative, query, premise,
/// hypothesis and some more, in any case); columns are taken in their order. An object in a .jsonl file is read by such names, or field by field where
/// it has none of them and at most three fields.
/// </remarks>
public sealed class SentenceFile
{
    /// <summary>How many bad rows a message names.</summary>
    private const int NamedProblems = 5;

    private SentenceFile(string path, SentenceFormat format, int columns, IReadOnlyList<string>? header)
    {
        Path = path;
        Format = format;
        Columns = columns;
        Header = header;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>Told by the name's ending.</summary>
    public SentenceFormat Format { get; }

    /// <summary>1, 2 or 3.</summary>
    public int Columns { get; }

    /// <summary>The header's fields; null where the first row is data.</summary>
    public IReadOnlyList<string>? Header { get; }

    /// <summary>Looks at a file's name and first rows.</summary>
    /// <param name="path">The file.</param>
    /// <param name="hasHeader">Whether the first row of a .tsv or .csv is a header; null to tell by its fields.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The ending is unknown, there is no row, or the first has not one to three columns.</exception>
    public static SentenceFile Open(string path, bool? hasHeader = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        SentenceFormat format = FormatOf(path);
        IReadOnlyList<string>? header = null;
        long rows = 0;
        foreach (RawRow row in SentenceRows.Read(path, format, CancellationToken.None))
        {
            rows++;
            if (rows == 1 && row.Problem is null && format is SentenceFormat.Tsv or SentenceFormat.Csv && (hasHeader ?? ColumnNames.AreHeader(row.Fields)))
            {
                header = row.Fields;
            }
            else if (row.Problem is not null || row.Fields is [var only] && string.IsNullOrWhiteSpace(only))
            {
                continue; // reported when the rows are read
            }

            return row.Fields.Length is >= 1 and <= 3
                ? new SentenceFile(path, format, row.Fields.Length, header)
                : throw new InvalidDataException($"{path}:{row.Line}: {row.Fields.Length} columns; expected one (sentences), two (pairs) or three (pairs with hard negatives)");
        }

        if (rows == 0)
        {
            throw new InvalidDataException($"{path}: there is no row in it; expected at least one sentence");
        }

        // Every row is bad: let reading them say how.
        return new SentenceFile(path, format, 1, null);
    }

    /// <summary>The good rows, streamed: memory does not grow with the file. Bad ones are passed over, and reported all at once after the last row.</summary>
    /// <param name="limit">Rows after this many are not looked at.</param>
    /// <param name="cancellationToken">Checked at every row.</param>
    /// <exception cref="InvalidDataException">After the last row: there are bad rows, how many, and the first few by line; or there is none at all.</exception>
    public IEnumerable<SentenceRow> Rows(long limit = long.MaxValue, CancellationToken cancellationToken = default)
    {
        long good = 0;
        long bad = 0;
        List<(long Line, string Problem)> named = [];
        foreach ((SentenceRow row, string? problem) in RowsAndProblems(cancellationToken))
        {
            if (problem is null)
            {
                good++;
                yield return row;
            }
            else if (++bad <= NamedProblems)
            {
                named.Add((row.Line, problem));
            }

            if (good + bad >= limit)
            {
                break;
            }
        }

        if (bad == 1)
        {
            throw new InvalidDataException($"{Path}:{named[0].Line}: {named[0].Problem}");
        }

        if (bad > 1)
        {
            string others = string.Join("; ", named.Skip(1).Select(p => $"{p.Line}: {p.Problem}"));
            throw new InvalidDataException($"{Path}:{named[0].Line}: {named[0].Problem} ({bad} bad rows of {good + bad}, among them {others})");
        }

        if (good == 0)
        {
            throw new InvalidDataException($"{Path}: there is no row in it but the header; expected at least one sentence");
        }
    }

    internal static SentenceFormat FormatOf(string path) => DataFiles.FormatEnding(path) switch
    {
        ".txt" => SentenceFormat.Text,
        ".tsv" => SentenceFormat.Tsv,
        ".csv" => SentenceFormat.Csv,
        ".jsonl" or ".ndjson" => SentenceFormat.JsonLines,
        ".parquet" => SentenceFormat.Parquet,
        string other => throw new InvalidDataException($"{path}: the ending '{other}' names no format; expected .txt, .tsv, .csv, .jsonl or .parquet, each also with .gz after it"),
    };

    private IEnumerable<(SentenceRow Row, string? Problem)> RowsAndProblems(CancellationToken cancellationToken)
    {
        bool skip = Header is not null;
        foreach (RawRow raw in SentenceRows.Read(Path, Format, cancellationToken))
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (skip)
            {
                skip = false;
                continue;
            }

            string? problem = raw.Problem ?? Problem(raw.Fields);
            yield return problem is null
                ? (new SentenceRow(raw.Line, raw.Fields[0], Columns > 1 ? raw.Fields[1] : null, Columns > 2 ? raw.Fields[2] : null), null)
                : (new SentenceRow(raw.Line, "", null, null), problem);
        }
    }

    private string? Problem(string[] fields)
    {
        if (fields is [var only] && string.IsNullOrWhiteSpace(only))
        {
            return "an empty line; expected " + (Columns == 1 ? "a sentence" : $"{Columns} columns");
        }

        if (fields.Length != Columns)
        {
            return $"{fields.Length} columns; expected {Columns} as in the first row";
        }

        int empty = Array.FindIndex(fields, string.IsNullOrWhiteSpace);
        return empty < 0 ? null : $"column {empty + 1} is empty; expected a sentence";
    }
}
