using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;
using SimCse.Data;

namespace SimCse.Training.Distillation;

/// <summary>
/// What a teacher says of every text of a corpus: vectors of length one, computed once and kept in a file as 16-bit floats, D × 2 bytes a text. Safe to use from many threads at once.
/// </summary>
/// <remarks>
/// The file is a header that names teacher and texts (<c>SIMCTEA1</c>, its length, JSON), then blocks of 1,024 vectors (the last may be shorter), each followed by its SHA-256. A block is on the disk before
/// the next is computed: an interrupted computation goes on behind the last whole block.
/// </remarks>
public sealed class TeacherVectors : IDisposable
{
    private const int BlockRows = 1024, LongestHeader = 1 << 16;

    private readonly string _path;
    private readonly SafeFileHandle _handle;
    private readonly long _start;

    private TeacherVectors(string path, SafeFileHandle handle, long start, TeacherVectorsKey key)
    {
        _path = path;
        _handle = handle;
        _start = start;
        Key = key;
    }

    /// <summary>The number of texts.</summary>
    public long Count => Key.Count;

    /// <summary>D, the teacher's components.</summary>
    public int Dimensions => Key.Dimensions;

    /// <summary>What the vectors follow from.</summary>
    public TeacherVectorsKey Key { get; }

    private static ReadOnlySpan<byte> Mark => "SIMCTEA1"u8;

    /// <summary>Where a run keeps them while it is under way, unless it is given another place.</summary>
    public static string FileOf(string output) => Path.Combine(output, "run", "teacher.bin");

    /// <summary>Opens the file where it is there and of this teacher and these texts, after computing what it lacks; makes it where it is not.</summary>
    /// <param name="path">The file; its folder is made where it is missing.</param>
    /// <param name="teacherDirectory">The teacher: any model directory.</param>
    /// <param name="texts">Goes through the texts in their order; called as often as they are needed.</param>
    /// <param name="threads">For the teacher; null for all processors.</param>
    /// <param name="progress">Told how many texts are done.</param>
    /// <param name="cancellationToken">Stops between blocks; what is done stays.</param>
    /// <exception cref="InvalidDataException">The file is there and of another teacher or other texts; or the model directory cannot be read.</exception>
    public static TeacherVectors Compute(
        string path, string teacherDirectory, Func<IEnumerable<string>> texts, int? threads = null, IProgress<long>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        using SentenceEncoder teacher = SentenceEncoder.Load(teacherDirectory, new SentenceEncoderOptions { Normalize = true, Threads = threads });
        (long count, string hash) = Summarize(texts());
        TeacherVectorsKey key = new(HashDirectory(teacherDirectory), hash, count, teacher.Dimensions);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        using (FileStream file = new(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.Read))
        {
            long done = Prepare(file, path, key);
            foreach (string[] block in texts().Skip(checked((int)done)).Chunk(BlockRows))
            {
                cancellationToken.ThrowIfCancellationRequested();
                EmbeddingMatrix vectors = teacher.Encode(block, cancellationToken);
                Half[] halves = new Half[block.Length * key.Dimensions];
                TensorPrimitives.ConvertTruncating(vectors.Values, halves);
                ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes<Half>(halves);
                file.Write(bytes);
                file.Write(SHA256.HashData(bytes));
                file.Flush(flushToDisk: true);
                done += block.Length;
                progress?.Report(done);
            }
        }

        SafeFileHandle handle = File.OpenHandle(path, options: FileOptions.RandomAccess, share: FileShare.Read | FileShare.Delete);
        return new TeacherVectors(path, handle, HeaderLength(key), key);
    }

    /// <summary>Copies the vector of a text, D values of length one, as 32-bit floats.</summary>
    /// <exception cref="InvalidDataException">The file has been cut off since it was opened.</exception>
    public void Read(long text, Span<float> vector)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)text, (ulong)Count, nameof(text));
        Span<Half> halves = stackalloc Half[Dimensions];
        Span<byte> bytes = MemoryMarshal.AsBytes(halves);
        if (RandomAccess.Read(_handle, bytes, _start + (text * bytes.Length) + (text / BlockRows * SHA256.HashSizeInBytes)) < bytes.Length)
        {
            throw new InvalidDataException($"{_path}: cut off while it was in use; the vector of text {text} is not there");
        }

        TensorPrimitives.ConvertToSingle(halves, vector);
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    /// <summary>Writes the header, or checks the one that is there and the blocks behind it; the file then stands behind the last whole block.</summary>
    /// <returns>How many texts are done.</returns>
    private static long Prepare(FileStream file, string path, TeacherVectorsKey key)
    {
        byte[] header = Header(key);
        byte[] found = new byte[Math.Min(header.Length, file.Length)];
        file.ReadExactly(found);
        if (found.Length < header.Length)
        {
            file.SetLength(0); // new, or stopped in its header
            file.Write(header);
            return 0;
        }

        if (!found.AsSpan().SequenceEqual(header))
        {
            throw new InvalidDataException($"{path}: {Difference(file, key)}; choose another file, or delete this one");
        }

        long done = 0;
        byte[] hash = new byte[SHA256.HashSizeInBytes];
        while (done < key.Count)
        {
            int rows = (int)Math.Min(BlockRows, key.Count - done);
            byte[] block = new byte[rows * key.Dimensions * sizeof(ushort)];
            long place = file.Position;
            if (file.ReadAtLeast(block, block.Length, throwOnEndOfStream: false) < block.Length || file.ReadAtLeast(hash, hash.Length, throwOnEndOfStream: false) < hash.Length
                || !SHA256.HashData(block).AsSpan().SequenceEqual(hash))
            {
                file.SetLength(place); // from here on it is computed again
                break;
            }

            done += rows;
        }

        file.Position = file.Length;
        return done;
    }

    /// <summary>How a file whose header is another one differs.</summary>
    private static string Difference(FileStream file, TeacherVectorsKey key)
    {
        try
        {
            file.Position = 0;
            byte[] start = new byte[Mark.Length + sizeof(int)];
            file.ReadExactly(start);
            int length = BitConverter.ToInt32(start, Mark.Length);
            if (start.AsSpan().StartsWith(Mark) && length is > 0 and <= LongestHeader)
            {
                byte[] json = new byte[length];
                file.ReadExactly(json);
                if (JsonSerializer.Deserialize<TeacherVectorsKey>(json) is { } other)
                {
                    return string.Equals(other.Teacher, key.Teacher, StringComparison.Ordinal) ? "holds the vectors of other texts" : "holds the vectors of another teacher";
                }
            }
        }
        catch (Exception e) when (e is EndOfStreamException or JsonException)
        {
            // Then it is something else.
        }

        return "is no file of a teacher's vectors";
    }

    private static byte[] Header(TeacherVectorsKey key)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(key);
        return [.. Mark, .. BitConverter.GetBytes(json.Length), .. json];
    }

    private static int HeaderLength(TeacherVectorsKey key) => Header(key).Length;

    private static (long Count, string Sha256) Summarize(IEnumerable<string> texts)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long count = 0;
        foreach (string text in texts)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(text));
            hash.AppendData([0]);
            count++;
        }

        return (count, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }

    /// <summary>SHA-256 over the names and contents of a model directory's files, but for its card.</summary>
    private static string HashDirectory(string directory)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string name in Directory.GetFiles(directory, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(directory, f)).Order(StringComparer.Ordinal))
        {
            if (!name.EndsWith(".md", StringComparison.OrdinalIgnoreCase))
            {
                hash.AppendData(Encoding.UTF8.GetBytes($"{name} {DataFiles.Sha256(Path.Combine(directory, name))}\n"));
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}

/// <summary>What a teacher's vectors follow from: where all of it is the same, so are they.</summary>
/// <param name="Teacher">SHA-256 of the teacher's directory.</param>
/// <param name="Texts">SHA-256 of the texts, each ended by a zero byte.</param>
/// <param name="Count">The number of texts.</param>
/// <param name="Dimensions">D, the components of a vector.</param>
public sealed record TeacherVectorsKey(string Teacher, string Texts, long Count, int Dimensions);
