using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Search;

/// <summary>A file's bytes in memory, as long as this lives: pages are read when they are touched, and given back when memory is short.</summary>
internal sealed unsafe class MappedBytes : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;

    /// <param name="handle">Not closed with this.</param>
    /// <param name="length">At least 1, at most the file's length.</param>
    public MappedBytes(SafeFileHandle handle, long length)
    {
        Length = length;
        _file = MemoryMappedFile.CreateFromFile(handle, mapName: null, capacity: 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
        byte* origin = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref origin);
        Origin = origin + _view.PointerOffset;
    }

    public byte* Origin { get; }

    public long Length { get; }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
