using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace SimCse.Training.Distribution;

/// <summary>
/// A float32 vector of each rank that all ranks of one machine see: its pages are replaced by those of an anonymous file, which the other ranks map as well. A sum then reads and writes where the values lie, and no
/// message carries them. For Linux; addresses do not change, and the memory is freed as ever.
/// </summary>
internal sealed unsafe partial class SharedVector : IDisposable
{
    private const int ChunkFloats = 1 << 12; // of some ranks together in the first cache
    private const int LineFloats = 64 / sizeof(float);
    private const int ReadAndWrite = 3, Shared = 1, Fixed = 0x10, Populate = 0x8000, OpenForBoth = 2; // of Linux
    private const int TokenBytes = 16;

    private readonly int _file;
    private readonly byte[] _token;
    private readonly long _bytes;
    private float*[] _views = []; // [rank]

    private SharedVector(int file, nint start, long bytes, byte[] token)
    {
        (_file, Start, _bytes, _token) = (file, start, bytes, token);
    }

    /// <summary>The first address that is shared: the vector's first whole page.</summary>
    public nint Start { get; }

    /// <summary>The address after the last that is shared.</summary>
    public nint End => Start + (nint)_bytes;

    /// <summary>What the other ranks need in order to map it.</summary>
    /// <param name="values">Where the whole vector begins.</param>
    public string Describe(nint values) => string.Create(CultureInfo.InvariantCulture, $"{Environment.ProcessId} {_file} {Convert.ToHexString(_token)} {Start - values} {_bytes}");

    /// <summary>Moves a vector into memory that can be shared; null where this system has none, or the vector is shorter than a page.</summary>
    /// <exception cref="IOException">Memory was lost on the way: the vector can no longer be used.</exception>
    public static SharedVector? TryCreate(nint values, long count)
    {
        nint page = Environment.SystemPageSize, start = (values + page - 1) / page * page, end = (values + (nint)(count * sizeof(float))) / page * page;
        if (!OperatingSystem.IsLinux() || end <= start)
        {
            return null;
        }

        int file = CreateMemoryFile("simcse", 0);
        if (file < 0)
        {
            return null;
        }

        byte[] token = RandomNumberGenerator.GetBytes(TokenBytes);
        nint bytes = end - start;
        nint view = Truncate(file, bytes + page) == 0 ? Map(0, bytes + page, Shared | Populate, file) : -1;
        if (view == -1)
        {
            _ = Close(file);
            return null;
        }

        Buffer.MemoryCopy((void*)start, (void*)view, bytes, bytes);
        token.CopyTo(new Span<byte>((void*)(view + bytes), TokenBytes)); // by it another rank knows that it has found this file
        _ = Unmap(view, bytes + page);
        return Map(start, bytes, Shared | Fixed | Populate, file) == start
            ? new SharedVector(file, start, bytes, token)
            : throw new IOException(string.Create(CultureInfo.InvariantCulture, $"the system did not map {bytes} bytes of shared memory (error {Marshal.GetLastPInvokeError()})"));
    }

    /// <summary>Maps the vectors of the others. All must keep their file open meanwhile.</summary>
    /// <param name="rank">This one.</param>
    /// <param name="all">What each <see cref="Describe"/>s; empty where one has no shared vector.</param>
    /// <returns>Whether all are on this machine, laid out alike, and mapped.</returns>
    public bool TryMap(int rank, string[] all)
    {
        _views = new float*[all.Length];
        string[] layout = all[rank].Split(' ');
        for (int other = 0; other < all.Length; other++)
        {
            string[] theirs = all[other].Split(' ');
            _views[other] = other == rank ? (float*)Start
                : theirs is [string process, string file, string token, ..] && theirs.AsSpan(3).SequenceEqual(layout.AsSpan(3)) ? MapFile($"/proc/{process}/fd/{file}", Convert.FromHexString(token))
                : null;
            if (_views[other] is null)
            {
                return false;
            }
        }

        return true;
    }

    /// <summary>The file is not needed once all have mapped it.</summary>
    public void CloseFile() => _ = Close(_file);

    /// <summary>This rank's share of a sum over the ranks, in their order, into the memory of all; they must have come to a barrier before, and come to another after.</summary>
    /// <param name="rank">This one.</param>
    /// <param name="from">An address within <see cref="Start"/> and <see cref="End"/>.</param>
    /// <param name="count">Floats from there that all ranks sum.</param>
    public void SumShare(int rank, nint from, long count)
    {
        long first = (from - Start) / sizeof(float), begin = first + Part(rank, count), end = first + Part(rank + 1, count);
        for (long at = begin; at < end; at += ChunkFloats)
        {
            int length = (int)Math.Min(ChunkFloats, end - at);
            Span<float> sum = new(_views[0] + at, length);
            for (int other = 1; other < _views.Length; other++)
            {
                TensorPrimitives.Add(sum, new ReadOnlySpan<float>(_views[other] + at, length), sum);
            }

            for (int other = 1; other < _views.Length; other++)
            {
                sum.CopyTo(new Span<float>(_views[other] + at, length));
            }
        }
    }

    /// <summary>Lets go of the other ranks' memory.</summary>
    public void Dispose()
    {
        foreach (float* view in _views)
        {
            if (view is not null && (nint)view != Start)
            {
                _ = Unmap((nint)view, (nint)_bytes + Environment.SystemPageSize);
            }
        }

        _views = [];
    }

    /// <summary>Where a rank's part begins.</summary>
    private long Part(int rank, long count) => rank == _views.Length ? count : count / _views.Length * rank / LineFloats * LineFloats;

    private float* MapFile(string path, byte[] token)
    {
        int file = Open(path, OpenForBoth);
        if (file < 0)
        {
            return null;
        }

        nint length = (nint)_bytes + Environment.SystemPageSize, view = Map(0, length, Shared | Populate, file);
        _ = Close(file);
        if (view == -1)
        {
            return null;
        }

        if (new ReadOnlySpan<byte>((void*)(view + (nint)_bytes), TokenBytes).SequenceEqual(token))
        {
            return (float*)view;
        }

        _ = Unmap(view, length);
        return null;
    }

    private static nint Map(nint address, nint length, int flags, int file) => MapMemory(address, length, ReadAndWrite, flags, file, 0);

    [LibraryImport("libc", EntryPoint = "memfd_create", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int CreateMemoryFile(string name, uint flags);

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "ftruncate")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Truncate(int file, nint length);

    [LibraryImport("libc", EntryPoint = "close")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Close(int file);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial nint MapMemory(nint address, nint length, int protection, int flags, int file, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int Unmap(nint address, nint length);
}
