using System.Buffers;
using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Training.Data;

/// <summary>
/// The token ids of a corpus on disk, read row by row where they lie. In memory is one place for every <see cref="TokenBlock.Rows"/> rows; the file is read, not mapped, so that the
/// process does not grow by the pages it has touched, and a disk that fails is an exception. Safe to use from many threads at once.
/// </summary>
internal sealed class TokenFile : IDisposable
{
    private const int LongestFooter = 1 << 16, CheckedAtOnce = 1 << 20;

    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private readonly long[] _places;

    private TokenFile(string path, SafeFileHandle handle, TokenFileFooter footer, long[] places)
    {
        _path = path;
        _handle = handle;
        _places = places;
        Footer = footer;
    }

    /// <summary>What is in it.</summary>
    public TokenFileFooter Footer { get; }

    /// <summary>Opens a file and checks it to its last byte.</summary>
    /// <exception cref="InvalidDataException">It is not whole, or not as it was written.</exception>
    public static TokenFile Open(string path)
    {
        // Others may delete it while it is read, as the end of a run does.
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read | FileShare.Delete, FileOptions.RandomAccess);
        bool opened = false;
        try
        {
            long length = RandomAccess.GetLength(handle);
            byte[] end = Read(path, handle, length - sizeof(int) - TokenFileWriter.Mark.Length, sizeof(int) + TokenFileWriter.Mark.Length);
            int footerLength = BinaryPrimitives.ReadInt32LittleEndian(end);
            if (!end.AsSpan(sizeof(int)).SequenceEqual(TokenFileWriter.Mark) || footerLength is < 0 or > LongestFooter)
            {
                throw NotWhole(path);
            }

            long footerPlace = length - end.Length - footerLength;
            TokenFileFooter footer = TokenFileFooter.Parse(Read(path, handle, footerPlace, footerLength));
            if (!string.Equals(footer.Sha256, Sha256(path, handle, footerPlace), StringComparison.Ordinal))
            {
                throw NotWhole(path);
            }

            byte[] places = Read(path, handle, footerPlace - (sizeof(long) * Blocks(footer.Rows)), checked((int)(sizeof(long) * Blocks(footer.Rows))));
            opened = true;
            return new TokenFile(path, handle, footer, [.. places.Chunk(sizeof(long)).Select(p => BinaryPrimitives.ReadInt64LittleEndian(p))]);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{path}: the footer is not that of a token file: {e.Message}", e);
        }
        finally
        {
            if (!opened)
            {
                handle.Dispose();
            }
        }
    }

    /// <summary>The file at this place where there is one, whole, and made of the same; else null.</summary>
    public static TokenFile? Find(string path, TokenFileKey key)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        try
        {
            TokenFile found = Open(path);
            if (found.Footer.Key == key)
            {
                return found;
            }

            found.Dispose();
        }
        catch (InvalidDataException)
        {
            // Then it is made again.
        }

        return null;
    }

    /// <summary>The ids of a row's texts.</summary>
    /// <exception cref="InvalidDataException">The file has been cut off since it was opened.</exception>
    public int[][] Row(int row)
    {
        (int block, int within) = Math.DivRem(row, TokenBlock.Rows);
        int columns = Footer.Columns, texts = columns * Math.Min(TokenBlock.Rows, Footer.Rows - (block * TokenBlock.Rows));
        Span<byte> places = stackalloc byte[TokenBlock.PlaceBytes * (columns + 1)];
        Read(row, _places[block] + (TokenBlock.PlaceBytes * columns * within), places);
        uint first = BinaryPrimitives.ReadUInt32LittleEndian(places), end = BinaryPrimitives.ReadUInt32LittleEndian(places[^TokenBlock.PlaceBytes..]);
        int bytes = checked((int)(end - first) * Footer.IdBytes);
        byte[] rented = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Span<byte> ids = rented.AsSpan(0, bytes);
            Read(row, _places[block] + (TokenBlock.PlaceBytes * (texts + 1)) + ((long)first * Footer.IdBytes), ids);
            int[][] result = new int[columns][];
            for (int c = 0; c < columns; c++)
            {
                int length = (int)(BinaryPrimitives.ReadUInt32LittleEndian(places[(TokenBlock.PlaceBytes * (c + 1))..]) - BinaryPrimitives.ReadUInt32LittleEndian(places[(TokenBlock.PlaceBytes * c)..]));
                result[c] = Ids(ids[..(length * Footer.IdBytes)], length);
                ids = ids[(length * Footer.IdBytes)..];
            }

            return result;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    public void Dispose() => _handle.Dispose();

    private int[] Ids(ReadOnlySpan<byte> bytes, int count)
    {
        int[] ids = new int[count];
        for (int i = 0; i < count; i++)
        {
            ids[i] = Footer.IdBytes == sizeof(ushort) ? BinaryPrimitives.ReadUInt16LittleEndian(bytes[(sizeof(ushort) * i)..]) : BinaryPrimitives.ReadInt32LittleEndian(bytes[(sizeof(int) * i)..]);
        }

        return ids;
    }

    private void Read(int row, long place, Span<byte> to)
    {
        if (RandomAccess.Read(_handle, to, place) < to.Length)
        {
            throw new InvalidDataException($"{_path}: cut off while it was in use; the tokens of row {row} are not there");
        }
    }

    private static byte[] Read(string path, SafeFileHandle handle, long place, int count)
    {
        byte[] bytes = new byte[count];
        return place >= 0 && RandomAccess.Read(handle, bytes, place) == count ? bytes : throw NotWhole(path);
    }

    private static string Sha256(string path, SafeFileHandle handle, long length)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = new byte[CheckedAtOnce];
        int read;
        for (long at = 0; at < length; at += read)
        {
            read = RandomAccess.Read(handle, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - at)), at);
            if (read == 0)
            {
                throw NotWhole(path);
            }

            hash.AppendData(buffer, 0, read);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static long Blocks(int rows) => ((long)rows + TokenBlock.Rows - 1) / TokenBlock.Rows;

    private static InvalidDataException NotWhole(string path) => new($"{path}: not a whole token file");
}
