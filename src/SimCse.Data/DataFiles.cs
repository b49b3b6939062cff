using System.Security.Cryptography;

namespace SimCse.Data;

/// <summary>Opening and identifying the files that data comes in.</summary>
public static class DataFiles
{
    /// <summary>The SHA-256 of a file's bytes as they lie on disk (compressed, where they are), in lower-case hexadecimal: for run manifests.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    public static string Sha256(string path)
    {
        using FileStream stream = OpenFile(path);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    /// <summary>Whether the name ends in .gz.</summary>
    internal static bool IsCompressed(string path) => path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase);

    /// <summary>The ending that names the format: "a/B.TSV.gz" → ".tsv".</summary>
    internal static string FormatEnding(string path) =>
        Path.GetExtension(IsCompressed(path) ? path[..^".gz".Length] : path).ToLowerInvariant();

    /// <summary>The file's bytes, unpacked where it ends in .gz, on a thread of its own.</summary>
    internal static Stream OpenUnpacked(string path)
    {
        FileStream stream = OpenFile(path);
        return IsCompressed(path) ? new ReadAheadStream(new GzipFile(stream)) : stream;
    }

    internal static FileStream OpenFile(string path)
    {
        if (Directory.Exists(path))
        {
            throw new FileNotFoundException($"{path} is a folder; expected a file", path);
        }

        return File.Exists(path)
            ? new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16, FileOptions.SequentialScan)
            : throw new FileNotFoundException($"{path}: no such file", path);
    }
}
