using System.Runtime.InteropServices;

namespace SimCse.Checkpoints;

/// <summary>Writes a directory beside its place and puts it there whole.</summary>
internal static partial class AtomicDirectory
{
    /// <param name="target">The full path of the directory.</param>
    /// <param name="mayReplace">Whether what is there already may be removed.</param>
    /// <param name="write">Fills an empty directory.</param>
    public static void Write(string target, Predicate<string> mayReplace, Action<string> write)
    {
        string beside = target + ".writing";
        string replaced = target + ".replaced";
        if (File.Exists(target) || (Directory.Exists(target) && !mayReplace(target)))
        {
            throw new IOException($"{target}: exists and is not a model's directory (it has no config.json); it is left alone");
        }

        if (!Directory.Exists(target) && Directory.Exists(replaced))
        {
            Directory.Move(replaced, target); // a crash between two renames
        }

        Remove(beside);
        Remove(replaced);
        Directory.CreateDirectory(beside);
        try
        {
            write(beside);
            if (!Directory.Exists(target))
            {
                Directory.Move(beside, target);
            }
            else if (!TryExchange(beside, target))
            {
                Directory.Move(target, replaced);
                Directory.Move(beside, target);
                Remove(replaced);
            }
        }
        finally
        {
            Remove(beside); // the old directory after an exchange, the unfinished new one after a failure
        }
    }

    private static void Remove(string directory)
    {
        if (Directory.Exists(directory))
        {
            Directory.Delete(directory, recursive: true);
        }
    }

    /// <summary>Exchanges two names in one step, where the system (Linux 3.15) and the file system can.</summary>
    private static bool TryExchange(string first, string second)
    {
        const int CurrentDirectory = -100; // AT_FDCWD
        const uint Exchange = 2; // RENAME_EXCHANGE
        if (!OperatingSystem.IsLinux())
        {
            return false;
        }

        try
        {
            return RenameAt2(CurrentDirectory, first, CurrentDirectory, second, Exchange) == 0;
        }
        catch (EntryPointNotFoundException)
        {
            return false; // a C library older than the call
        }
    }

    [LibraryImport("libc", EntryPoint = "renameat2", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int RenameAt2(int oldDirectory, string oldPath, int newDirectory, string newPath, uint flags);
}
