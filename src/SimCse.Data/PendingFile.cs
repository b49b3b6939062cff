namespace SimCse.Data;

/// <summary>A file that is written beside its place and renamed into it when complete: a crash leaves the old file or the new one.</summary>
internal sealed class PendingFile : IDisposable
{
    private readonly string _path;
    private readonly string _temporary;
    private bool _closed;

    /// <exception cref="DirectoryNotFoundException">The folder that the file is to lie in is not there.</exception>
    public PendingFile(string path)
    {
        _path = Path.GetFullPath(path);
        string directory = Path.GetDirectoryName(_path)!;
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"{path}: the folder {directory} is not there; make it first");
        }

        _temporary = Path.Combine(directory, $".{Path.GetFileName(_path)}.{Path.GetRandomFileName()}.tmp");
        Stream = new FileStream(_temporary, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None, bufferSize: 1 << 16);
    }

    public FileStream Stream { get; }

    /// <summary>Flushes to the disk and renames into place, over an older file.</summary>
    public void Commit()
    {
        Stream.Flush(flushToDisk: true);
        Stream.Dispose();
        File.Move(_temporary, _path, overwrite: true);
        _closed = true;
    }

    /// <summary>Removes what was written, unless it was committed.</summary>
    public void Dispose()
    {
        if (!_closed)
        {
            _closed = true;
            Stream.Dispose();
            File.Delete(_temporary);
        }
    }
}
