using SimCse.Tokenization;

namespace SimCse.Training.Data;

/// <summary>The rows of a data set as token ids: one column (sentences), two (positive pairs) or three (with hard negatives).</summary>
public sealed class TrainingCorpus
{
    private readonly int[][][] _columns;

    private TrainingCorpus(int[][][] columns, int truncated)
    {
        _columns = columns;
        Truncated = truncated;
    }

    /// <summary>The number of rows.</summary>
    public int Rows => _columns[0].Length;

    /// <summary>The number of columns, 1 to 3.</summary>
    public int Columns => _columns.Length;

    /// <summary>How many texts were longer than the limit and cut.</summary>
    public int Truncated { get; }

    /// <summary>Tokenizes the rows, on all processors.</summary>
    /// <param name="rows">Each with the same number of texts, 1 to 3.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="maxLength">Tokens kept of a text, special tokens included.</param>
    /// <param name="cancellationToken">Stops between rows.</param>
    /// <exception cref="InvalidDataException">There are no rows, or not one to three columns.</exception>
    public static TrainingCorpus Tokenize(IReadOnlyList<IReadOnlyList<string>> rows, Tokenizer tokenizer, int maxLength, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(rows);
        if (rows.Count == 0)
        {
            throw new InvalidDataException("the training data has no rows");
        }

        int width = rows[0].Count;
        if (width is < 1 or > 3)
        {
            throw new InvalidDataException($"the training data has {width} columns; expected one (sentences), two (pairs) or three (with hard negatives)");
        }

        int[][][] columns = [.. Enumerable.Range(0, width).Select(_ => new int[rows.Count][])];
        int truncated = 0;
        Parallel.For(0, rows.Count, new ParallelOptions { CancellationToken = cancellationToken }, r =>
        {
            for (int c = 0; c < width; c++)
            {
                TokenizedText text = tokenizer.Encode(rows[r][c], maxLength);
                columns[c][r] = text.Ids;
                if (text.Truncated)
                {
                    Interlocked.Increment(ref truncated);
                }
            }
        });
        return new TrainingCorpus(columns, truncated);
    }

    /// <summary>The batch of these rows.</summary>
    public ContrastiveBatch Batch(ReadOnlySpan<int> rows)
    {
        int[] picked = rows.ToArray();
        return new ContrastiveBatch([.. _columns.Select(column => (IReadOnlyList<int[]>)[.. picked.Select(r => column[r])])]);
    }

    /// <summary>All token ids of a column.</summary>
    public IReadOnlyList<int[]> Column(int column) => _columns[column];
}
