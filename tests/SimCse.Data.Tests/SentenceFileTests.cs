using System.IO.Compression;
using System.Text;
using SimCse.Data;

namespace SimCse.Tests;

public sealed class SentenceFileTests : IDisposable
{
    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("a.txt", "One\tsentence.\nAnother.\n", "1 One\tsentence.||2 Another.")]
    [InlineData("crlf.txt", "\uFEFFOne.\r\nTwo.", "1 One.||2 Two.")]
    [InlineData("pairs.tsv", "a \"quoted\" word\tb\nc\td\n", "1 a \"quoted\" word|b||2 c|d")]
    [InlineData("triplets.tsv", "Sent0\tSENT1\thard_neg\na\tb\tc\n", "2 a|b|c")]
    [InlineData("single.tsv", "sentence\nOne.\n", "2 One.")]
    [InlineData("simcse.csv", "sent0,sent1,hard_neg\n\"A, b \"\"c\"\"\",d,\"e\nf\"\ng,h \"i\" j,k\n", "2 A, b \"c\"|d|e\nf||4 g|h \"i\" j|k")]
    [InlineData("crlf.csv", "a,\"b\r\nc\"\r\nd,e\r\n", "1 a|b\r\nc||3 d|e")]
    [InlineData("quoted.csv", "\"only\"\n\"\"\"\"\n", "1 only||2 \"")]
    [InlineData("objects.jsonl", "{\"hard_neg\":\"c\",\"sent1\":\"b\",\"sent0\":\"a\",\"id\":7}\n{\"sent0\":\"d\",\"sent1\":\"e\",\"hard_neg\":\"f\\n\"}\n", "1 a|b|c||2 d|e|f\n")]
    [InlineData("other.jsonl", "{\"x\":\"a\",\"y\":\"b\"}\n", "1 a|b")]
    [InlineData("arrays.jsonl", "[\"a\",\"b\"]\n[\"c\",\"d\"]\n", "1 a|b||2 c|d")]
    [InlineData("strings.ndjson", "\"a \\u00e9\"\n\"b\"\n", "1 a é||2 b")]
    [InlineData("query.jsonl", "{\"text\":\"a\",\"label\":3}\n", "1 a")]
    public void Each_format_reads_as_documented_plain_and_compressed(string name, string content, string expected)
    {
        string path = Write(name, content);
        Assert.Equal(expected, Show(SentenceFile.Open(path).Rows(cancellationToken: TestContext.Current.CancellationToken)));
        Assert.Equal(expected, Show(Load(Compress(path))));
    }

    [Fact]
    public void A_header_can_be_told_or_denied()
    {
        string path = Write("odd.tsv", "left\tright\na\tb\n");
        Assert.Null(SentenceFile.Open(path).Header);
        Assert.Equal("2 a|b", Show(SentenceFile.Open(path, hasHeader: true).Rows(cancellationToken: TestContext.Current.CancellationToken)));
        string named = Write("named.tsv", "text\nanother\n");
        Assert.Equal("1 text||2 another", Show(SentenceFile.Open(named, hasHeader: false).Rows(cancellationToken: TestContext.Current.CancellationToken)));
    }

    [Theory]
    [InlineData("empty.txt", "", ": there is no row in it; expected at least one sentence")]
    [InlineData("header.tsv", "sent0\tsent1\n", ": there is no row in it but the header; expected at least one sentence")]
    [InlineData("gap.txt", "a\n\nb\n", ":2: an empty line; expected a sentence")]
    [InlineData("first.txt", "\na\n", ":1: an empty line; expected a sentence")]
    [InlineData("blank.txt", " \t \n", ":1: an empty line; expected a sentence")]
    [InlineData("gap.tsv", "a\tb\n\nc\td\n", ":2: an empty line; expected 2 columns")]
    [InlineData("short.tsv", "a\tb\tc\nd\te\n", ":2: 2 columns; expected 3 as in the first row")]
    [InlineData("hole.tsv", "a\tb\nc\t\n", ":2: column 2 is empty; expected a sentence")]
    [InlineData("wide.tsv", "a\tb\tc\td\n", ":1: 4 columns; expected one (sentences), two (pairs) or three (pairs with hard negatives)")]
    [InlineData("many.tsv", "a\tb\nc\nd\ne\nf\t\ng\nh\ni\tj\n", ":2: 1 columns; expected 2 as in the first row (6 bad rows of 8, among them 3: 1 columns; expected 2 as in the first row; 4: 1 columns; expected 2 as in the first row; 5: column 2 is empty; expected a sentence; 6: 1 columns; expected 2 as in the first row)")]
    [InlineData("open.csv", "a,b\nc,\"d\ne,f\n", ":2:3: this quote is never closed; expected a closing quote")]
    [InlineData("after.csv", "a,b\n\"c\"x,d\n", ":2: 'x' at column 4 after a closing quote; expected a comma or the end of the line")]
    [InlineData("trailing.csv", "a,b\nc,\n", ":2: column 2 is empty; expected a sentence")]
    [InlineData("broken.jsonl", "{\"sent0\":\"a\"}\n{\"sent0\":\n", ":2: not JSON (byte column 10); expected a string, an array of strings or an object of strings")]
    [InlineData("missing.jsonl", "{\"sent0\":\"a\",\"sent1\":\"b\"}\n{\"sent0\":\"c\"}\n", ":2: no field 'sent1'; expected sent0, sent1")]
    [InlineData("typed.jsonl", "{\"text\":\"a\"}\n{\"text\":null}\n", ":2: field 'text' is a JSON null; expected a string")]
    [InlineData("number.jsonl", "\"a\"\n7\n", ":2: found a JSON number; expected a string, an array of strings or an object of strings")]
    [InlineData("inner.jsonl", "[\"a\",\"b\"]\n[\"a\",1]\n", ":2: found a JSON number in the array; expected strings")]
    [InlineData("half.jsonl", "\"a\"\n\"\\ud800\"\n", ":2: a JSON string holds half a surrogate pair and is no text")]
    [InlineData("fields.jsonl", "{\"w\":\"a\",\"x\":\"b\",\"y\":\"c\",\"z\":\"d\"}\n", ":1: an object with the fields w, x, y, z; expected sent0, sent1 and hard_neg, or other names that data sets use, or at most three fields")]
    [InlineData("not.parquet", "PAR1 this is not one PAR1", ": not a parquet file that can be read: ")]
    [InlineData("unknown.xml", "<a/>", ": the ending '.xml' names no format; expected .txt, .tsv, .csv, .jsonl or .parquet, each also with .gz after it")]
    [InlineData("not.txt.gz", "no gzip at all", ": the compressed data is damaged or cut off after line 0: ")]
    public void What_is_wrong_is_said_with_file_and_line(string name, string content, string message)
    {
        string path = Write(name, content);
        string found = LoadError(path);
        Assert.StartsWith(path + message, found, StringComparison.Ordinal);
        if (!message.EndsWith(": ", StringComparison.Ordinal))
        {
            Assert.Equal(path + message, found);
        }

        Assert.DoesNotContain('\n', found);
    }

    [Fact]
    public void Bytes_that_are_not_UTF8_are_named_by_line_and_byte_column()
    {
        string path = Path.Combine(_directory, "latin1.txt");
        File.WriteAllBytes(path, [.. "fine é\nca"u8, 0xE9, .. "\n"u8]);
        Assert.Equal($"{path}:2: byte 0xE9 at byte column 3 is not UTF-8; expected a UTF-8 file", LoadError(path));

        File.WriteAllBytes(path, [0xFF, 0xFE, .. Encoding.Unicode.GetBytes("a\n")]);
        Assert.Equal($"{path}:1: byte 0xFF at byte column 1 is not UTF-8 (it looks like UTF-16); expected a UTF-8 file", LoadError(path));

        // A sequence that the line's end cuts off, an overlong form, an encoded surrogate.
        foreach (byte[] bytes in new byte[][] { [0x61, 0xC3], [0x61, 0xC0, 0x80], [0x61, 0xED, 0xA0, 0x80] })
        {
            File.WriteAllBytes(path, [.. bytes, (byte)'\n']);
            Assert.Contains($":1: byte 0x{bytes[1]:X2} at byte column 2 is not UTF-8", LoadError(path), StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_file_that_is_cut_off_while_compressed_is_refused()
    {
        string path = Compress(Write("long.txt", string.Concat(Enumerable.Range(0, 20_000).Select(i => $"Sentence {i * 7919 % 10007} of many.\n"))));
        byte[] whole = File.ReadAllBytes(path);
        foreach (int length in new[] { 1, 5, 10, 11, whole.Length / 2, whole.Length - 9, whole.Length - 8, whole.Length - 1 })
        {
            File.WriteAllBytes(path, whole[..length]);
            Assert.Contains("the compressed data is damaged or cut off after line", LoadError(path), StringComparison.Ordinal);
        }

        // Two members, as `cat a.gz b.gz` and block compressors write them, are one text; the second cut off is none.
        File.WriteAllBytes(path, [.. whole, .. whole]);
        Assert.Equal(40_000, Load(path).Length);
        foreach (int length in new[] { whole.Length + 3, whole.Length + (whole.Length / 2), (2 * whole.Length) - 5 })
        {
            File.WriteAllBytes(path, ((byte[])[.. whole, .. whole])[..length]);
            Assert.Contains("the compressed data is damaged or cut off after line", LoadError(path), StringComparison.Ordinal);
        }

        whole[whole.Length / 2] ^= 0x10;
        File.WriteAllBytes(path, whole);
        Assert.Throws<InvalidDataException>(() => Load(path));
    }

    [Fact]
    public void A_missing_file_and_a_folder_are_said_plainly()
    {
        string path = Path.Combine(_directory, "absent.txt");
        Assert.Equal($"{path}: no such file", Assert.Throws<FileNotFoundException>(() => Load(path)).Message);
        string folder = Directory.CreateDirectory(Path.Combine(_directory, "folder.txt")).FullName;
        Assert.Equal($"{folder} is a folder; expected a file", Assert.Throws<FileNotFoundException>(() => Load(folder)).Message);
    }

    [Fact]
    public void A_limit_reads_no_further_than_it_says()
    {
        string path = Write("limited.txt", "a\nb\n\nc\n");
        Assert.Equal("1 a||2 b", Show(Load(path, limit: 2)));
        Assert.Throws<InvalidDataException>(() => Load(path, limit: 3));
    }

    [Fact]
    public void The_SHA_256_is_that_of_the_bytes_on_disk()
    {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        string path = Write("abc.txt", "abc");
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", DataFiles.Sha256(path));
    }

    [Fact]
    public void Long_lines_and_many_rows_come_back_as_they_were()
    {
        string[] lines = [.. Enumerable.Range(0, 3000).Select(i => new string((char)('a' + (i % 26)), i % 50 == 0 ? 70_000 + i : (i % 97) + 1) + " ü 한")];
        string path = Write("long.txt", string.Join('\n', lines));
        Assert.Equal(lines, Load(path).Select(r => r.Sentence), StringComparer.Ordinal);
        Assert.Equal(lines, Load(Compress(path)).Select(r => r.Sentence), StringComparer.Ordinal);
    }

    [Fact]
    public async Task Parquet_string_columns_are_read_in_order_plain_and_compressed()
    {
        string path = Path.Combine(_directory, "rows.parquet");
        Parquet.Schema.DataField<int> id = new("id");
        Parquet.Schema.DataField anchor = new("anchor", typeof(string)), positive = new("positive", typeof(string));
        await using (FileStream stream = File.Create(path))
        await using (Parquet.ParquetWriter writer = await Parquet.ParquetWriter.CreateAsync(new Parquet.Schema.ParquetSchema(id, anchor, positive), stream, cancellationToken: TestContext.Current.CancellationToken))
        {
            foreach (int group in new[] { 0, 1 })
            {
                using Parquet.ParquetRowGroupWriter rows = writer.CreateRowGroup();
                await rows.WriteAsync<int>(id, new[] { 1, 2 }, cancellationToken: TestContext.Current.CancellationToken);
                await rows.WriteAsync(anchor, [$"a{group} é", "한국"]);
                await rows.WriteAsync(positive, [$"b{group}", "x"]);
                rows.CompleteValidate();
            }
        }

        const string Expected = "1 a0 é|b0||2 한국|x||3 a1 é|b1||4 한국|x";
        Assert.Equal(Expected, Show(SentenceFile.Open(path).Rows(cancellationToken: TestContext.Current.CancellationToken)));
        Assert.Equal(Expected, Show(SentenceFile.Open(Compress(path)).Rows(cancellationToken: TestContext.Current.CancellationToken)));

        // Every prefix of the file, and the file with a byte changed anywhere, ends in a clear message or reads.
        byte[] whole = await File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);
        string damaged = Path.Combine(_directory, "damaged.parquet");
        Random random = new(7);
        for (int i = 0; i < 200; i++)
        {
            byte[] bytes = i % 2 == 0 ? whole[..random.Next(whole.Length)] : [.. whole];
            if (bytes.Length > 0)
            {
                bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            }

            await File.WriteAllBytesAsync(damaged, bytes, TestContext.Current.CancellationToken);
            try
            {
                Load(damaged);
            }
            catch (InvalidDataException e)
            {
                Assert.StartsWith(damaged, e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [InlineData("nli/triplets.tsv.gz", 3, 13913, true)]
    [InlineData("nli/triplets_caption_aug.tsv.gz", 3, 31573, true)]
    [InlineData("ko/kornli/triplets.tsv", 3, 2500, true)]
    [InlineData("text/wiki1m_simcse_head.txt.gz", 1, 11914, false)]
    [InlineData("text/ud_ewt_en.txt.gz", 1, 12521, false)]
    [InlineData("ko/text/wiki_ko_40k.txt.gz", 1, 40000, false)]
    public void The_shared_data_has_the_rows_that_its_list_says(string file, int columns, int rows, bool header)
    {
        string path = RepositoryPaths.Shared(["data", .. file.Split('/')]);
        SentenceRow[] read = Load(path);
        Assert.Equal((columns, rows), (SentenceFile.Open(path).Columns, read.Length));
        Assert.Equal(header ? 2 : 1, read[0].Line);
        Assert.Equal(rows + (header ? 1 : 0), read[^1].Line);

        // shared/data/SHA256SUMS.txt
        string sum = Assert.Single(File.ReadLines(RepositoryPaths.Shared("data", "SHA256SUMS.txt")), l => l.EndsWith(file, StringComparison.Ordinal));
        Assert.Equal(sum.Split(' ')[0], DataFiles.Sha256(path));
    }

    [Fact]
    public void A_quarter_of_a_million_sentences_load_whole()
    {
        SentenceRow[] read = Load(RepositoryPaths.Shared("data", "text", "wiki_en_250k.txt.gz"));
        Assert.Equal(250_000, read.Length);

        // The README's table: 34,894,292 bytes uncompressed, a line end after each row among them.
        Assert.Equal(34_894_292, read.Sum(r => Encoding.UTF8.GetByteCount(r.Sentence) + 1L));
    }

    private static SentenceRow[] Load(string path, long limit = long.MaxValue) => [.. SentenceFile.Open(path).Rows(limit, TestContext.Current.CancellationToken)];

    private static string Show(IEnumerable<SentenceRow> rows) => string.Join("||", rows.Select(r =>
        r.Line + " " + string.Join('|', new[] { r.Sentence, r.Positive, r.HardNegative }.Where(t => t is not null))));

    private static string LoadError(string path) => Assert.Throws<InvalidDataException>(() => Load(path)).Message;

    private string Write(string name, string content)
    {
        string path = Path.Combine(_directory, name);
        File.WriteAllText(path, content, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        return path;
    }

    private static string Compress(string path)
    {
        using FileStream from = File.OpenRead(path);
        using GZipStream to = new(File.Create(path + ".gz"), CompressionLevel.Optimal);
        from.CopyTo(to);
        return path + ".gz";
    }
}
