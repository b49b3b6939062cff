namespace SimCse.Checkpoints;

/// <summary>Writes a file beside its place, flushes it to the disk and renames it into place: a crash leaves the old file or the new one.</summary>
public static class AtomicFile
{
    /// <summary>Writes the file.</summary>
    /// <param name="path">Its place; an old file there is replaced when the new one is whole.</param>
    /// <param name="write">Writes the contents; where it throws, the old file stays.</param>
    public static void Write(string path, Action<Stream> write)
    {
        string beside = path + ".writing";
        try
        {
            using (FileStream stream = new(beside, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 1 << 16))
            {
                write(stream);
                stream.Flush(flushToDisk: true);
            }

            File.Move(beside, path, overwrite: true);
        }
        finally
        {
            File.Delete(beside); // there only where something above threw
        }
    }
}
