using System.IO.Compression;
using System.Text.Json;
using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training.Tests;

public sealed class TrainingCorpusTests : IDisposable
{
    private const int MaxLength = 12;

    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    private static Tokenizer Tokenizer { get; } = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));

    private string TokenFilePath => TrainingCorpus.FileOf(Path.Combine(_directory, "new", "output"));

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    /// <summary>The meaning of a corpus: row r of column c is what the tokenizer gives for that text.</summary>
    [Theory]
    [InlineData(".txt", 1)]
    [InlineData(".tsv", 1)]
    [InlineData(".tsv", 2)]
    [InlineData(".csv", 3)]
    [InlineData(".jsonl", 3)]
    [InlineData(".parquet", 1)]
    [InlineData(".parquet", 3)]
    public async Task Rows_are_what_the_tokenizer_gives_for_each_text_in_every_format(string ending, int columns)
    {
        string[][] rows = Rows(700, columns); // more than two blocks
        string path = await WriteAsync("data" + ending, rows);
        foreach (string file in new[] { path, Compress(path) })
        {
            using TrainingCorpus corpus = Load(file);
            Assert.Equal((700, columns), (corpus.Rows, corpus.Columns));
            Same(rows, corpus);
        }

        using TrainingCorpus inMemory = TrainingCorpus.Tokenize(rows, Tokenizer, MaxLength, TestContext.Current.CancellationToken);
        Same(rows, inMemory);
        Assert.Null(inMemory.DataSha256);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(255)]
    [InlineData(256)]
    [InlineData(257)]
    public void Any_number_of_rows_comes_back(int count)
    {
        string[][] rows = Rows(count, 2);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(rows, Tokenizer, MaxLength, TestContext.Current.CancellationToken);
        Assert.Equal(count, corpus.Rows);
        Same(rows, corpus);
        Assert.Equal(rows.SelectMany(r => r).Count(t => Tokenizer.Encode(t).Ids.Length > MaxLength), corpus.Truncated);
    }

    [Fact]
    public void Ids_of_a_vocabulary_beyond_two_bytes_come_back()
    {
        string vocabulary = Directory.CreateDirectory(Path.Combine(_directory, "large")).FullName;
        File.WriteAllLines(Path.Combine(vocabulary, "vocab.txt"), ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", .. Enumerable.Range(0, 70_000).Select(i => $"w{i}")]);
        Tokenizer large = Tokenizer.Load(vocabulary);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize([["w69999 w3"], ["w65535"]], large, MaxLength, TestContext.Current.CancellationToken);
        Assert.Equal([2, 70_004, 8, 3], corpus.Ids(0, 0));
        Assert.Equal([2, 65_540, 3], corpus.Ids(1, 0));
    }

    [Fact]
    public void Batches_hold_the_rows_that_the_order_says_whether_made_ahead_or_not()
    {
        string[][] rows = Rows(100, 3);
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(rows, Tokenizer, MaxLength, TestContext.Current.CancellationToken);
        EpochOrder order = new(100, 8, seed: 4);
        StepBatches batches = new(corpus, order);
        foreach (int step in new[] { 0, 1, 2, 12, 13, 14, 5, 6, 5 }) // in order, over an epoch's end, and back
        {
            ContrastiveBatch ahead = batches.At(step), direct = corpus.Batch(order.RowsOf(step));
            Assert.Equal(order.RowsOf(step).Length, ahead.Rows);
            for (int view = 0; view < 3; view++)
            {
                Assert.Equal(direct.Views[view], ahead.Views[view]);
                Assert.Equal(order.RowsOf(step).Select(r => Tokenizer.Encode(rows[r][view], MaxLength).Ids), ahead.Views[view]);
            }
        }
    }

    [Fact]
    public void A_session_that_follows_uses_the_token_file_that_is_there()
    {
        string path = WriteLines("data.txt", Rows(300, 1));
        Load(path).Dispose();
        DateTime made = new(2020, 1, 1, 0, 0, 0, DateTimeKind.Utc);
        File.SetLastWriteTimeUtc(TokenFilePath, made);
        using (TrainingCorpus again = Load(path))
        {
            Assert.Equal(made, File.GetLastWriteTimeUtc(TokenFilePath));
            Same(Rows(300, 1), again);
        }

        using TrainingCorpus copy = Load(WriteLines("copy.txt", Rows(300, 1)));
        Assert.Equal(made, File.GetLastWriteTimeUtc(TokenFilePath)); // the same bytes in another file are the same data
    }

    [Fact]
    public void Other_data_format_limit_length_or_tokenizer_make_the_token_file_anew()
    {
        string path = WriteLines("data.txt", Rows(300, 1));
        string otherTokenizer = Path.Combine(_directory, "tokenizer");
        Directory.CreateDirectory(otherTokenizer);
        File.Copy(Path.Combine(RepositoryPaths.Fixture("tiny-bert"), "vocab.txt"), Path.Combine(otherTokenizer, "vocab.txt"));
        CorpusSource first = Source(path);
        foreach (CorpusSource other in new[]
        {
            Source(WriteLines("other.txt", Rows(301, 1))), Source(WriteLines("data.tsv", Rows(300, 1))), first with { Limit = 10 }, first with { MaxLength = 5 },
            first with { TokenizerDirectory = otherTokenizer },
        })
        {
            Load(first).Dispose();
            byte[] before = File.ReadAllBytes(TokenFilePath);
            Load(other).Dispose();
            Assert.NotEqual(before, File.ReadAllBytes(TokenFilePath));
        }
    }

    [Fact]
    public void A_token_file_that_is_cut_off_or_damaged_anywhere_is_made_anew()
    {
        string path = WriteLines("data.txt", Rows(300, 1));
        Load(path).Dispose();
        byte[] whole = File.ReadAllBytes(TokenFilePath);
        Random random = new(1);
        IEnumerable<byte[]> wrong = [[], .. new[] { 1, 8, 11, 12, 20, whole.Length / 2, whole.Length - 1 }.Select(length => whole[..length]), .. Enumerable.Range(0, 60).Select(_ => Flip())];
        foreach (byte[] bytes in wrong)
        {
            File.WriteAllBytes(TokenFilePath, bytes);
            using TrainingCorpus corpus = Load(path);
            Assert.Equal(whole, File.ReadAllBytes(TokenFilePath));
            Same(Rows(300, 1), corpus);
        }

        byte[] Flip()
        {
            byte[] bytes = [.. whole];
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            return bytes;
        }
    }

    /// <summary>A kill leaves what was written beside the place so far, and nothing in it.</summary>
    [Fact]
    public void What_a_killed_pass_has_left_is_written_over()
    {
        string path = WriteLines("data.txt", Rows(300, 1));
        Load(path).Dispose();
        byte[] whole = File.ReadAllBytes(TokenFilePath);
        File.WriteAllBytes(TokenFilePath + ".writing", whole[..1000]);
        File.Delete(TokenFilePath);
        Load(path).Dispose();
        Assert.Equal([TokenFilePath], Directory.GetFiles(Path.GetDirectoryName(TokenFilePath)!));
        Assert.Equal(whole, File.ReadAllBytes(TokenFilePath));
    }

    [Fact]
    public void Bad_rows_and_a_stop_leave_nothing_behind()
    {
        string path = Path.Combine(_directory, "bad.tsv");
        File.WriteAllText(path, string.Concat(Enumerable.Range(0, 5000).Select(i => i is 2000 or 4000 ? "alone\n" : "a\tb\n")));
        string message = Assert.Throws<InvalidDataException>(() => Load(path)).Message;
        Assert.Equal($"{path}:2001: 1 columns; expected 2 as in the first row (2 bad rows of 5000, among them 4001: 1 columns; expected 2 as in the first row)", message);
        Assert.False(Directory.Exists(Path.Combine(_directory, "new")));

        using CancellationTokenSource source = new();
        string good = WriteLines("data.txt", Rows(20_000, 1));
        Assert.ThrowsAny<OperationCanceledException>(() => TrainingCorpus.Load(Source(good), Tokenizer, TokenFilePath, new Stop(source), source.Token));
        Assert.False(Directory.Exists(Path.Combine(_directory, "new")));
    }

    [Fact]
    public void Rows_in_memory_that_do_not_fit_are_refused()
    {
        Assert.Contains("no rows", Refusal([]), StringComparison.Ordinal);
        Assert.Contains("4 columns", Refusal([["a", "b", "c", "d"]]), StringComparison.Ordinal);
        Assert.Contains("row 1 of the training data has 1 columns; expected 2", Refusal([["a", "b"], ["c"]]), StringComparison.Ordinal);

        static string Refusal(string[][] rows) => Assert.Throws<InvalidDataException>(() => TrainingCorpus.Tokenize(rows, Tokenizer, MaxLength)).Message;
    }

    [Fact]
    public void A_token_file_that_is_cut_off_while_in_use_ends_in_an_error_with_file_and_row()
    {
        using TrainingCorpus corpus = Load(WriteLines("data.txt", Rows(300, 1)));
        using (FileStream stream = new(TokenFilePath, FileMode.Open, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete))
        {
            stream.SetLength(600);
        }

        Assert.StartsWith($"{TokenFilePath}: cut off", Assert.Throws<InvalidDataException>(() => new StepBatches(corpus, new EpochOrder(300, 300, 1)).At(0)).Message, StringComparison.Ordinal);
        Assert.Contains("row 299", Assert.Throws<InvalidDataException>(() => corpus.Ids(299, 0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_batch_takes_the_same_memory_from_few_rows_and_from_many()
    {
        long few = Allocated(1000), many = Allocated(50_000);
        Assert.Equal(few, many);

        static long Allocated(int rows)
        {
            using TrainingCorpus corpus = TrainingCorpus.Tokenize(Enumerable.Repeat<IReadOnlyList<string>>(["a man reads"], rows), Tokenizer, MaxLength);
            int[] batch = [.. Enumerable.Range(rows - 64, 64)];
            corpus.Batch(batch);
            long before = GC.GetAllocatedBytesForCurrentThread();
            corpus.Batch(batch);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    /// <summary>Rows are taken from their source no further ahead than the blocks under way, so what is held of the texts is bounded.</summary>
    [Fact]
    public void Items_are_taken_a_bounded_number_ahead_and_results_come_in_order()
    {
        int taken = 0, given = 0, most = 0;
        IEnumerable<int> items = Enumerable.Range(0, 500).Select(i =>
        {
            most = Math.Max(most, ++taken - given);
            return i;
        });
        foreach (int result in items.SelectAhead(4, i => i * i))
        {
            Assert.Equal(given * given, result);
            given++;
        }

        Assert.Equal((500, 5), (given, most));
        Assert.Equal("3", Assert.Throws<InvalidDataException>(() => Enumerable.Range(0, 10).SelectAhead(2, i => i == 3 ? throw new InvalidDataException("3") : i).Sum()).Message);
    }

    private static void Same(string[][] rows, TrainingCorpus corpus)
    {
        for (int column = 0; column < rows[0].Length; column++)
        {
            Assert.Equal(rows.Select(r => Tokenizer.Encode(r[column], MaxLength).Ids), Enumerable.Range(0, rows.Length).Select(r => corpus.Ids(r, column)));
        }
    }

    private TrainingCorpus Load(string path) => Load(Source(path));

    private TrainingCorpus Load(CorpusSource source) => TrainingCorpus.Load(source, Tokenizer, TokenFilePath, cancellationToken: TestContext.Current.CancellationToken);

    private static CorpusSource Source(string path) => new(path, Limit: null, RepositoryPaths.Fixture("tiny-bert"), MaxLength);

    /// <summary>Texts of very different lengths, all distinct.</summary>
    private static string[][] Rows(int count, int columns) =>
        [.. Enumerable.Range(0, count).Select(r => Enumerable.Range(0, columns).Select(c => string.Concat(Enumerable.Repeat("the dog reads ", (r * 7 % 5) + c)) + $"row {r} column {c}").ToArray())];

    private string WriteLines(string name, string[][] rows)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllLines(path, rows.Select(r => string.Join('\t', r)));
        return path;
    }

    private async Task<string> WriteAsync(string name, string[][] rows)
    {
        string path = Path.Combine(_directory, name);
        switch (Path.GetExtension(name))
        {
            case ".parquet":
                Parquet.Schema.DataField[] fields = [.. rows[0].Select((_, c) => new Parquet.Schema.DataField($"text{c}", typeof(string)))];
                await using (FileStream stream = File.Create(path))
                await using (Parquet.ParquetWriter writer = await Parquet.ParquetWriter.CreateAsync(new Parquet.Schema.ParquetSchema(fields.Cast<Parquet.Schema.Field>().ToArray()), stream, cancellationToken: TestContext.Current.CancellationToken))
                {
                    foreach (string[][] group in rows.Chunk(300))
                    {
                        using Parquet.ParquetRowGroupWriter to = writer.CreateRowGroup();
                        for (int c = 0; c < fields.Length; c++)
                        {
                            await to.WriteAsync(fields[c], [.. group.Select(r => r[c])]);
                        }

                        to.CompleteValidate();
                    }
                }

                return path;
            case ".jsonl":
                await File.WriteAllLinesAsync(path, rows.Select(r => JsonSerializer.Serialize(r)), TestContext.Current.CancellationToken);
                return path;
            case ".csv":
                await File.WriteAllLinesAsync(path, rows.Select(r => string.Join(',', r.Select(t => $"\"{t}\""))), TestContext.Current.CancellationToken);
                return path;
            default:
                return WriteLines(name, rows);
        }
    }

    private static string Compress(string path)
    {
        using FileStream from = File.OpenRead(path);
        using GZipStream to = new(File.Create(path + ".gz"), CompressionLevel.Fastest);
        from.CopyTo(to);
        return path + ".gz";
    }

    private sealed class Stop(CancellationTokenSource source) : IProgress<long>
    {
        public void Report(long value) => source.Cancel();
    }
}
