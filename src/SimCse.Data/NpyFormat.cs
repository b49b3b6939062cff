using System.Buffers.Binary;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace SimCse.Data;

/// <summary>
/// NumPy's .npy, as numpy.lib.format documents it: the bytes 93 'NUMPY', version 1 0, the length of the header as a little-endian uint16, the header
/// (a Python dictionary in ASCII with descr, fortran_order and shape, padded with spaces and ended by a line feed so that the data begins at a multiple
/// of 64), then the values.
/// </summary>
internal sealed class NpyWriter : VectorWriter
{
    /// <summary>Where the data begins: room for a count of any length, and what NumPy writes for a matrix itself.</summary>
    private const int HeaderBytes = 128;

    public NpyWriter(string path, int dimensions)
        : base(path, dimensions) => Stream.Write(Header(0));

    private protected override void WriteRow(string text, ReadOnlySpan<float> vector)
    {
        if (BitConverter.IsLittleEndian)
        {
            Stream.Write(MemoryMarshal.AsBytes(vector));
            return;
        }

        Span<byte> bytes = stackalloc byte[sizeof(float)];
        foreach (float value in vector)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes, value);
            Stream.Write(bytes);
        }
    }

    private protected override void Finish()
    {
        Stream.Position = 0;
        Stream.Write(Header(Count));
    }

    private byte[] Header(long count)
    {
        string dictionary = string.Create(CultureInfo.InvariantCulture, $"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count}, {Dimensions}), }}");
        byte[] header = new byte[HeaderBytes];
        Array.Fill(header, (byte)' ');
        NpyFile.Magic.CopyTo(header);
        header[6] = 1;
        header[7] = 0;
        BinaryPrimitives.WriteUInt16LittleEndian(header.AsSpan(8), HeaderBytes - 10);
        Encoding.ASCII.GetBytes(dictionary, header.AsSpan(10));
        header[^1] = (byte)'\n';
        return header;
    }
}

/// <summary>Reads .npy files of float32 matrices.</summary>
public static class NpyFile
{
    /// <summary>A header that is longer is not one of a plain matrix.</summary>
    private const int LongestHeader = 1 << 16;

    /// <summary>Values read at once: as bytes, a whole matrix may be more than a span can hold.</summary>
    private const int ReadAtOnce = 1 << 24;

    internal static ReadOnlySpan<byte> Magic => [0x93, (byte)'N', (byte)'U', (byte)'M', (byte)'P', (byte)'Y'];

    /// <summary>Reads an n × H matrix of float32 in C order, versions 1.0, 2.0 and 3.0 of the format.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not .npy, holds other values or another number of axes, or its size is not what its header says; nothing is allocated for it then.
    /// </exception>
    public static EmbeddingMatrix Read(string path)
    {
        using FileStream stream = DataFiles.OpenFile(path);
        (long count, long dimensions) = ReadHeader(path, stream);
        long bytes = stream.Length - stream.Position;
        if (count < 0 || dimensions < 1 || count > long.MaxValue / sizeof(float) / dimensions || count * dimensions * sizeof(float) != bytes)
        {
            throw new InvalidDataException($"{path}: {bytes} bytes of values; its header says float32 of shape ({count}, {dimensions}), and a matrix of vectors needs n × H × 4 bytes with H at least 1");
        }

        if (count * dimensions > Array.MaxLength)
        {
            throw new InvalidDataException($"{path}: {count} × {dimensions} values; expected at most {Array.MaxLength}");
        }

        float[] values = new float[count * dimensions];
        for (long start = 0; start < values.Length; start += ReadAtOnce)
        {
            stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan((int)start, (int)Math.Min(ReadAtOnce, values.Length - start))));
        }

        if (!BitConverter.IsLittleEndian)
        {
            Span<int> bits = MemoryMarshal.Cast<float, int>(values.AsSpan());
            BinaryPrimitives.ReverseEndianness(bits, bits);
        }

        return new EmbeddingMatrix(values, (int)count, (int)dimensions);
    }

    private static (long Count, long Dimensions) ReadHeader(string path, FileStream stream)
    {
        Span<byte> start = stackalloc byte[12];
        int read = stream.ReadAtLeast(start, 12, throwOnEndOfStream: false);
        if (read < 12 || !start.StartsWith(Magic))
        {
            throw new InvalidDataException($"{path}: it does not begin as a .npy file does");
        }

        (byte major, byte minor) = (start[6], start[7]);
        if (major is not (1 or 2 or 3) || minor != 0)
        {
            throw new InvalidDataException($"{path}: version {major}.{minor} of the .npy format; expected 1.0, 2.0 or 3.0");
        }

        int prefix = major == 1 ? 10 : 12;
        uint length = major == 1 ? BinaryPrimitives.ReadUInt16LittleEndian(start[8..]) : BinaryPrimitives.ReadUInt32LittleEndian(start[8..]);
        if (length > LongestHeader || length > stream.Length - prefix)
        {
            throw new InvalidDataException($"{path}: a header of {length} bytes in a file of {stream.Length}; expected at most {LongestHeader}");
        }

        byte[] header = new byte[length];
        stream.Position = prefix;
        stream.ReadExactly(header);
        NpyHeader dictionary = new(path, Encoding.Latin1.GetString(header));
        return dictionary.Parse();
    }
}

/// <summary>The dictionary in the header: <c>{'descr': '&lt;f4', 'fortran_order': False, 'shape': (3, 4), }</c>, its keys in any order.</summary>
internal ref struct NpyHeader(string path, string text)
{
    private int _at;

    public (long Count, long Dimensions) Parse()
    {
        string? descr = null;
        bool? fortranOrder = null;
        List<long>? shape = null;
        Expect('{');
        while (!Take('}'))
        {
            string key = Quoted();
            Expect(':');
            switch (key)
            {
                case "descr" when descr is null:
                    descr = Quoted();
                    break;
                case "fortran_order" when fortranOrder is null:
                    fortranOrder = TakeWord("True") || (TakeWord("False") ? false : throw Wrong("True or False"));
                    break;
                case "shape" when shape is null:
                    shape = Tuple();
                    break;
                default:
                    throw Wrong($"each of descr, fortran_order and shape once, not '{key}'");
            }

            if (!Take(','))
            {
                Expect('}');
                break;
            }
        }

        if (text.AsSpan(_at).Trim().Length > 0)
        {
            throw Wrong("nothing after the dictionary");
        }

        if (descr is null || fortranOrder is null || shape is null)
        {
            throw Wrong("descr, fortran_order and shape");
        }

        if (descr is not "<f4" || fortranOrder.Value || shape.Count != 2)
        {
            throw new InvalidDataException(
                $"{path}: values of type '{descr}' in {(fortranOrder.Value ? "Fortran" : "C")} order, shape ({string.Join(", ", shape)}); expected '<f4' (little-endian float32) in C order, shape (n, H)");
        }

        return (shape[0], shape[1]);
    }

    private List<long> Tuple()
    {
        List<long> numbers = [];
        Expect('(');
        while (!Take(')'))
        {
            SkipSpace();
            int start = _at;
            while (_at < text.Length && char.IsAsciiDigit(text[_at]))
            {
                _at++;
            }

            numbers.Add(long.TryParse(text.AsSpan(start, _at - start), NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : throw Wrong("a length that fits 63 bits"));
            if (!Take(','))
            {
                Expect(')');
                break;
            }
        }

        return numbers;
    }

    private string Quoted()
    {
        char quote = Take('"') ? '"' : '\'';
        if (quote == '\'')
        {
            Expect('\'');
        }

        int end = text.IndexOf(quote, _at);
        if (end < 0)
        {
            throw Wrong("a closing quote");
        }

        string value = text[_at..end];
        _at = end + 1;
        return value;
    }

    private bool TakeWord(string word)
    {
        SkipSpace();
        bool found = text.AsSpan(_at).StartsWith(word, StringComparison.Ordinal);
        _at += found ? word.Length : 0;
        return found;
    }

    private bool Take(char c)
    {
        SkipSpace();
        bool found = _at < text.Length && text[_at] == c;
        _at += found ? 1 : 0;
        return found;
    }

    private void Expect(char c)
    {
        if (!Take(c))
        {
            throw Wrong($"'{c}'");
        }
    }

    private void SkipSpace()
    {
        while (_at < text.Length && text[_at] is ' ' or '\n')
        {
            _at++;
        }
    }

    private readonly InvalidDataException Wrong(string expected) =>
        new($"{path}: the header is wrong at character {Math.Min(_at, text.Length) + 1}; expected {expected}");
}
