using System.Globalization;
using System.Text;
using System.Text.Json;
using SimCse.Data;

namespace SimCse.Tests;

public sealed class VectorFileTests : IDisposable
{
    private static readonly float[] s_special = [0.1f, -0f, float.Epsilon, float.MaxValue, 1e-10f, 123456.789f];
    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void An_npy_file_is_byte_for_byte_what_the_format_says()
    {
        // numpy.lib.format, version 1.0: magic, version, little-endian header length, dictionary padded with spaces to a multiple of 64, line feed, values.
        string path = Write("golden.npy", [[1, -2, 0.5f], [0, 3, 4]]);
        byte[] expected =
        [
            0x93, .. "NUMPY"u8, 1, 0, 118, 0,
            .. Encoding.ASCII.GetBytes("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".PadRight(117) + "\n"),
            0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F, 0, 0, 0, 0, 0, 0, 0x40, 0x40, 0, 0, 0x80, 0x40,
        ];
        Assert.Equal(expected, File.ReadAllBytes(path));
        Assert.Equal([1, -2, 0.5f, 0, 3, 4], NpyFile.Read(path).Values.ToArray());
    }

    [Fact]
    public void An_npy_file_of_no_rows_keeps_its_width()
    {
        EmbeddingMatrix matrix = NpyFile.Read(Write("none.npy", [], dimensions: 7));
        Assert.Equal((0, 7), (matrix.Count, matrix.Dimensions));
    }

    [Theory]
    [InlineData(1, "{\"shape\": (1, 2), 'fortran_order': False, 'descr': '<f4'}")]
    [InlineData(2, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }   \n")]
    [InlineData(3, "{ 'descr' : '<f4' , 'fortran_order' : False , 'shape' : ( 1 , 2 , ) , }\n")]
    public void Other_writers_headers_are_read(byte version, string header) =>
        Assert.Equal([5, 6], NpyFile.Read(Npy(version, header, 5, 6)).Values.ToArray());

    [Theory]
    [InlineData("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }", ": values of type '<f8' in C order, shape (1, 1); expected '<f4' (little-endian float32) in C order, shape (n, H)")]
    [InlineData("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", ": values of type '<f4' in Fortran order, shape (1, 2); expected")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", ": values of type '<f4' in C order, shape (2); expected")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }", ": 8 bytes of values; its header says float32 of shape (2, 2)")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4), }", ": 8 bytes of values; its header says float32 of shape (4611686018427387904, 4)")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807), }", ": 8 bytes of values")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 0), }", ": 8 bytes of values")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 1), }", ": the header is wrong at character 72; expected a length that fits 63 bits")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 2), }", ": the header is wrong at character 52; expected a length that fits 63 bits")]
    [InlineData("{'descr': '<f4', 'fortran_order': 0, 'shape': (1, 2), }", ": the header is wrong at character 35; expected True or False")]
    [InlineData("{'descr': '<f4', 'descr': '<f4', 'shape': (1, 2), }", ": the header is wrong at character 26; expected each of descr, fortran_order and shape once, not 'descr'")]
    [InlineData("{'descr': '<f4', 'fortran_order': False}", ": the header is wrong at character 41; expected descr, fortran_order and shape")]
    [InlineData("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), } x", ": the header is wrong at character 60; expected nothing after the dictionary")]
    [InlineData("{'descr': '<f4", ": the header is wrong at character 12; expected a closing quote")]
    [InlineData("", ": the header is wrong at character 1; expected '{'")]
    public void A_header_that_lies_is_refused(string header, string message)
    {
        string path = Npy(1, header, 5, 6);
        Assert.StartsWith(path + message, Assert.Throws<InvalidDataException>(() => NpyFile.Read(path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_that_are_not_npy_are_refused()
    {
        string path = Path.Combine(_directory, "x.npy");
        foreach ((byte[] bytes, string message) in new (byte[], string)[]
        {
            ([], "it does not begin as a .npy file does"),
            ([.. "PK\x03\x04 something longer than that"u8], "it does not begin as a .npy file does"),
            ([0x93, .. "NUMPY"u8, 9, 0, 118, 0, 0, 0, 0], "version 9.0 of the .npy format; expected 1.0, 2.0 or 3.0"),
            ([0x93, .. "NUMPY"u8, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0], "a header of 4294967295 bytes in a file of 13; expected at most 65536"),
            ([0x93, .. "NUMPY"u8, 1, 0, 118, 0, 0, 0, 0], "a header of 118 bytes in a file of 13; expected at most 65536"),
        })
        {
            File.WriteAllBytes(path, bytes);
            Assert.Equal($"{path}: {message}", Assert.Throws<InvalidDataException>(() => NpyFile.Read(path)).Message);
        }
    }

    [Fact]
    public void Mutated_npy_files_are_read_or_refused_and_never_anything_else()
    {
        byte[] whole = File.ReadAllBytes(Write("whole.npy", [[1, 2], [3, 4]]));
        string path = Path.Combine(_directory, "mutated.npy");
        Random random = new(3);
        for (int i = 0; i < 1000; i++)
        {
            byte[] bytes = random.Next(4) == 0 ? whole[..random.Next(whole.Length)] : [.. whole];
            for (int change = random.Next(1, 4); change > 0 && bytes.Length > 0; change--)
            {
                bytes[random.Next(bytes.Length)] = (byte)random.Next(256);
            }

            File.WriteAllBytes(path, bytes);
            try
            {
                Assert.Equal(4, NpyFile.Read(path).Values.Length);
            }
            catch (InvalidDataException e)
            {
                Assert.StartsWith(path, e.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void Json_lines_hold_text_and_embedding_that_read_back_exactly()
    {
        string path = Write("v.jsonl", [s_special, s_special], "a \"b\"\n\té 한 \U0001F600", "");
        string[] lines = File.ReadAllLines(path);
        Assert.Equal(2, lines.Length);
        Assert.StartsWith("{\"text\":\"a \\\"b\\\"\\n\\té 한 ", lines[0], StringComparison.Ordinal);
        using JsonDocument json = JsonDocument.Parse(lines[0]);
        Assert.Equal("a \"b\"\n\té 한 \U0001F600", json.RootElement.GetProperty("text").GetString());
        Assert.Equal(s_special, json.RootElement.GetProperty("embedding").EnumerateArray().Select(v => v.GetSingle()));
        Assert.StartsWith("{\"text\":\"\",\"embedding\":[0.1,-0,", lines[1], StringComparison.Ordinal);
    }

    [Fact]
    public void Tsv_holds_numbers_alone_that_read_back_exactly()
    {
        string path = Write("v.tsv", [s_special, [1, 2, 3, 4, 5, 6]], "with\ttab", "b");
        string[] lines = File.ReadAllLines(path);
        Assert.Equal(s_special, lines[0].Split('\t').Select(v => float.Parse(v, CultureInfo.InvariantCulture)));
        Assert.Equal("1\t2\t3\t4\t5\t6", lines[1]);
        Assert.Equal(2, lines.Length);
    }

    [Fact]
    public async Task Parquet_holds_text_and_a_list_of_float_over_several_row_groups()
    {
        // 2^22 values a group: 1,100 rows of 4,096 make two.
        const int Rows = 1100, Width = 4096;
        string path = Path.Combine(_directory, "v.parquet");
        using (VectorWriter writer = VectorWriter.Create(path, Width))
        {
            for (int row = 0; row < Rows; row++)
            {
                writer.Write($"text {row} 한", [.. Enumerable.Range(0, Width).Select(i => (float)((row * 31) + i))]);
            }

            writer.Complete();
        }

        await using Parquet.ParquetReader reader = await Parquet.ParquetReader.CreateAsync(path, cancellationToken: TestContext.Current.CancellationToken);
        Parquet.Schema.DataField[] fields = reader.Schema.GetDataFields();
        Assert.Equal("text, embedding/list/element", string.Join(", ", fields.Select(f => f.Path.ToString())));
        Assert.Equal(2, reader.RowGroupCount);
        int start = 0;
        for (int group = 0; group < 2; group++)
        {
            using Parquet.ParquetRowGroupReader rows = reader.OpenRowGroupReader(group);
            string?[] texts = new string?[rows.RowCount];
            float[] values = new float[rows.RowCount * Width];
            int[] levels = new int[values.Length];
            await rows.ReadAsync(fields[0], texts.AsMemory(), cancellationToken: TestContext.Current.CancellationToken);
            await rows.ReadRawAsync<float>(fields[1], values.AsMemory(), new int[values.Length].AsMemory(), levels.AsMemory(), TestContext.Current.CancellationToken);
            for (int row = 0; row < texts.Length; row++)
            {
                Assert.Equal($"text {start + row} 한", texts[row]);
                Assert.Equal(0, levels[row * Width]);
                Assert.Equal(((start + row) * 31) + Width - 1, values[((row + 1) * Width) - 1]);
            }

            start += texts.Length;
        }

        Assert.Equal(Rows, start);
    }

    [Theory]
    [InlineData(".npy")]
    [InlineData(".jsonl")]
    [InlineData(".tsv")]
    [InlineData(".parquet")]
    public void A_writer_without_end_leaves_what_was_there(string ending)
    {
        string path = Path.Combine(_directory, "kept" + ending);
        File.WriteAllText(path, "old");
        using (VectorWriter writer = VectorWriter.Create(path, 2))
        {
            writer.Write("a", [1, 2]);
            Assert.Throws<ArgumentException>(() => writer.Write("b", [1]));
            Assert.Equal("old", File.ReadAllText(path));
        }

        Assert.Equal("old", File.ReadAllText(path));
        Assert.Equal(path, Assert.Single(Directory.GetFileSystemEntries(_directory)));

        using (VectorWriter writer = VectorWriter.Create(path, 2))
        {
            writer.Write("a", [1, 2]);
            writer.Complete();
            Assert.Equal(1, writer.Count);
        }

        Assert.NotEqual("old".Length, new FileInfo(path).Length);
        Assert.Equal(path, Assert.Single(Directory.GetFileSystemEntries(_directory)));
    }

    [Theory]
    [InlineData(".jsonl")]
    [InlineData(".tsv")]
    public void Text_formats_refuse_what_is_not_a_number(string ending)
    {
        string path = Path.Combine(_directory, "v" + ending);
        using VectorWriter writer = VectorWriter.Create(path, 1);
        writer.Write("a", [1]);
        Assert.Equal($"{path}: row 2 holds a component that is not a finite number, which this format cannot hold",
            Assert.Throws<InvalidDataException>(() => writer.Write("b", [float.NaN])).Message);
    }

    [Fact]
    public void Unknown_endings_and_missing_folders_are_said_plainly()
    {
        Assert.Equal("v.bin: the ending '.bin' names no format of vectors; expected .npy, .jsonl, .tsv or .parquet",
            Assert.Throws<InvalidDataException>(() => VectorWriter.Create("v.bin", 1)).Message);
        string path = Path.Combine(_directory, "absent", "v.npy");
        Assert.Equal($"{path}: the folder {Path.Combine(_directory, "absent")} is not there; make it first",
            Assert.Throws<DirectoryNotFoundException>(() => VectorWriter.Create(path, 1)).Message);
    }

    private string Write(string name, float[][] rows, params string[] texts) => Write(name, rows, rows[0].Length, texts);

    private string Write(string name, float[][] rows, int dimensions, params string[] texts)
    {
        string path = Path.Combine(_directory, name);
        using VectorWriter writer = VectorWriter.Create(path, dimensions);
        for (int i = 0; i < rows.Length; i++)
        {
            writer.Write(i < texts.Length ? texts[i] : "", rows[i]);
        }

        writer.Complete();
        return path;
    }

    private string Npy(byte version, string header, params float[] values)
    {
        string path = Path.Combine(_directory, "hand.npy");
        byte[] length = version == 1 ? BitConverter.GetBytes((ushort)header.Length) : BitConverter.GetBytes(header.Length);
        File.WriteAllBytes(path, [0x93, .. "NUMPY"u8, version, 0, .. length, .. Encoding.ASCII.GetBytes(header), .. values.SelectMany(BitConverter.GetBytes)]);
        return path;
    }
}
