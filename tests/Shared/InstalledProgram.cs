namespace SimCse.Tests;

/// <summary>Programs of the machine that some tests need, looked up on the PATH.</summary>
internal static class InstalledProgram
{
    /// <summary>The path of the first of these names that is installed; null where none is.</summary>
    public static string? Find(params string[] names)
    {
        string[] folders = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator);
        string suffix = OperatingSystem.IsWindows() ? ".exe" : "";
        return names.SelectMany(name => folders.Select(folder => Path.Combine(folder, name + suffix))).FirstOrDefault(File.Exists);
    }
}
