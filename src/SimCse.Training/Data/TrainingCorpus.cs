using System.Security.Cryptography;
using System.Text;
using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Tokenization;
using SimCse.Training.Distillation;

namespace SimCse.Training.Data;

/// <summary>A file of training data, and how it is tokenized.</summary>
/// <param name="Path">The data.</param>
/// <param name="Limit">Only the first so many rows are read; null for all.</param>
/// <param name="TokenizerDirectory">Where the tokenizer was loaded from.</param>
/// <param name="MaxLength">Tokens kept of a text, special tokens included.</param>
public sealed record CorpusSource(string Path, int? Limit, string TokenizerDirectory, int MaxLength);

/// <summary>
/// The rows of a data set as token ids: one column (sentences), two (positive pairs) or three (with hard negatives). The ids lie in a file: memory does not grow with the rows.
/// Safe to use from many threads at once.
/// </summary>
public sealed class TrainingCorpus : IDisposable
{
    /// <summary>What decides a tokenizer, of a model directory.</summary>
    private static readonly string[] s_tokenizerFiles = ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json"];

    private readonly TokenFile _tokens;

    private TrainingCorpus(TokenFile tokens) => _tokens = tokens;

    /// <summary>The number of rows.</summary>
    public int Rows => _tokens.Footer.Rows;

    /// <summary>The number of columns, 1 to 3.</summary>
    public int Columns => _tokens.Footer.Columns;

    /// <summary>How many texts were longer than the limit and cut.</summary>
    public long Truncated => _tokens.Footer.Truncated;

    /// <summary>SHA-256 of the data file's bytes as they lie on disk, in lower-case hexadecimal; null where the rows were given in memory.</summary>
    public string? DataSha256 => _tokens.Footer.Key.Data;

    /// <summary>Where a run keeps its token file while it is under way: <c>run/tokens.bin</c> of its output.</summary>
    public static string FileOf(string output) => Path.Combine(output, "run", "tokens.bin");

    /// <summary>
    /// Reads, checks and tokenizes a file in one pass, on all processors and in memory that does not grow with it, into a token file; or opens that file where an earlier session of
    /// the run has made it of the same data, by the same tokenizer, cut at the same length, and it is whole.
    /// </summary>
    /// <param name="source">The data.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="tokenFile">Where the ids go; its folder is made where it is missing, and removed again if the pass fails.</param>
    /// <param name="progress">Told the number of rows tokenized so far.</param>
    /// <param name="cancellationToken">Stops between rows; nothing half-made is left.</param>
    /// <exception cref="FileNotFoundException">There is no such data file.</exception>
    /// <exception cref="InvalidDataException">Rows are bad: the first few by line, and how many there are.</exception>
    public static TrainingCorpus Load(CorpusSource source, Tokenizer tokenizer, string tokenFile, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(tokenizer);
        ArgumentNullException.ThrowIfNull(tokenFile);
        SentenceFile file = SentenceFile.Open(source.Path);
        TokenFileKey key = new(DataFiles.Sha256(source.Path), file.Format.ToString(), source.Limit, Fingerprint(source.TokenizerDirectory), source.MaxLength);
        if (TokenFile.Find(tokenFile, key) is { } made)
        {
            return new TrainingCorpus(made);
        }

        string[] newFolders = [.. MissingFolders(Path.GetDirectoryName(Path.GetFullPath(tokenFile)))];
        try
        {
            Directory.CreateDirectory(newFolders.FirstOrDefault() ?? ".");
            IEnumerable<IReadOnlyList<string>> rows = file.Rows(source.Limit ?? int.MaxValue, cancellationToken).Select(row => row.Texts);
            AtomicFile.Write(tokenFile, stream => Write(stream, rows, key, tokenizer, progress));
        }
        finally
        {
            foreach (string folder in newFolders.Where(f => Directory.Exists(f) && !Directory.EnumerateFileSystemEntries(f).Any()))
            {
                Directory.Delete(folder);
            }
        }

        return new TrainingCorpus(TokenFile.Open(tokenFile));
    }

    /// <summary>Tokenizes rows, on all processors, into a token file that goes when the corpus is closed.</summary>
    /// <param name="rows">Each with the same number of texts, 1 to 3; gone through once.</param>
    /// <param name="tokenizer">The model's.</param>
    /// <param name="maxLength">Tokens kept of a text, special tokens included.</param>
    /// <param name="cancellationToken">Stops between rows.</param>
    /// <exception cref="InvalidDataException">There are no rows, not one to three columns, or a row of another number of columns than the first.</exception>
    public static TrainingCorpus Tokenize(IEnumerable<IReadOnlyList<string>> rows, Tokenizer tokenizer, int maxLength, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(rows);
        ArgumentNullException.ThrowIfNull(tokenizer);
        string path = Path.GetTempFileName();
        try
        {
            using (FileStream stream = File.Create(path))
            {
                Write(stream, Checked(), new TokenFileKey(Data: null, Format: null, Limit: null, Tokenizer: null, maxLength), tokenizer, progress: null);
            }

            return new TrainingCorpus(TokenFile.Open(path));
        }
        finally
        {
            File.Delete(path); // where it is open, what is in it stays until it is closed
        }

        IEnumerable<IReadOnlyList<string>> Checked()
        {
            int row = 0, width = 0;
            foreach (IReadOnlyList<string> texts in rows)
            {
                cancellationToken.ThrowIfCancellationRequested();
                width = row == 0 ? texts.Count : width;
                if (width is < 1 or > 3)
                {
                    throw new InvalidDataException($"the training data has {width} columns; expected one (sentences), two (pairs) or three (with hard negatives)");
                }

                yield return texts.Count == width ? texts : throw new InvalidDataException($"row {row} of the training data has {texts.Count} columns; expected {width} as in the first row");
                row++;
            }

            if (row == 0)
            {
                throw new InvalidDataException("the training data has no rows");
            }
        }
    }

    /// <summary>The batch of these rows.</summary>
    /// <param name="rows">Their places in the data.</param>
    /// <param name="teacher">What a teacher says of the texts, row by row, column by column; null for no teacher.</param>
    public ContrastiveBatch Batch(ReadOnlySpan<int> rows, TeacherTargets? teacher = null)
    {
        int count = rows.Length;
        int[][][] views = [.. Enumerable.Range(0, Columns).Select(_ => new int[count][])]; // [view][row]
        for (int r = 0; r < count; r++)
        {
            int[][] texts = _tokens.Row(rows[r]);
            for (int c = 0; c < views.Length; c++)
            {
                views[c][r] = texts[c];
            }
        }

        if (teacher is null)
        {
            return new ContrastiveBatch(views);
        }

        int[] places = rows.ToArray();
        return new ContrastiveBatch(views, teacher.Of([.. Enumerable.Range(0, Columns).SelectMany(c => places.Select(row => ((long)row * Columns) + c))]));
    }

    /// <summary>The token ids of one text.</summary>
    public int[] Ids(int row, int column) => _tokens.Row(row)[column];

    /// <summary>Closes the token file.</summary>
    public void Dispose() => _tokens.Dispose();

    private static void Write(Stream stream, IEnumerable<IReadOnlyList<string>> rows, TokenFileKey key, Tokenizer tokenizer, IProgress<long>? progress)
    {
        using TokenFileWriter writer = new(stream);
        foreach (TokenBlock block in rows.Chunk(TokenBlock.Rows).SelectAhead(2 * Environment.ProcessorCount, chunk => TokenBlock.Encode(chunk, tokenizer, key.MaxLength)))
        {
            writer.Append(block);
            progress?.Report(writer.Rows);
        }

        writer.Finish(key, TokenBlock.IdBytes(tokenizer.VocabularySize));
    }

    /// <summary>SHA-256 over the tokenizer's files, and over which build's code reads them.</summary>
    private static string Fingerprint(string directory)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(typeof(Tokenizer).Module.ModuleVersionId.ToByteArray());
        foreach (string path in s_tokenizerFiles.Select(name => Path.Combine(directory, name)).Where(File.Exists))
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{Path.GetFileName(path)} {DataFiles.Sha256(path)}\n"));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>The folders of a path that are not there, deepest first.</summary>
    private static IEnumerable<string> MissingFolders(string? folder)
    {
        for (; folder is not null && !Directory.Exists(folder); folder = Path.GetDirectoryName(folder))
        {
            yield return folder;
        }
    }
}
