using System.Globalization;
using System.Runtime.CompilerServices;

namespace SimCse.Tests;

/// <summary>Where the tests find their files: fixtures in the repository, data and reference models in a <c>shared</c> folder beside it.</summary>
internal static class RepositoryPaths
{
    private static readonly Lazy<string> s_temporary = new(CreateTemporary);
    private static int s_directories;

    public static string Root { get; } = FindRoot();

    /// <summary>A file or folder under <c>tests/fixtures</c>.</summary>
    public static string Fixture(params string[] parts) => Path.Combine([Root, "tests", "fixtures", .. parts]);

    /// <summary>A file or folder of the <c>shared</c> folder beside the repository; the running test is skipped, by name, where it is absent.</summary>
    public static string Shared(params string[] parts)
    {
        string path = Path.Combine([Path.GetDirectoryName(Root)!, "shared", .. parts]);
        Assert.SkipUnless(Path.Exists(path), $"needs shared/{string.Join('/', parts)} beside the repository");
        return path;
    }

    /// <summary>A new, empty directory of the running test, under the system's temporary folder. It goes when the process of the tests ends.</summary>
    public static string NewTemporaryDirectory([CallerMemberName] string test = "") =>
        Directory.CreateDirectory(Path.Combine(s_temporary.Value, string.Create(CultureInfo.InvariantCulture, $"{test}-{Interlocked.Increment(ref s_directories)}"))).FullName;

    private static string CreateTemporary()
    {
        string directory = Directory.CreateTempSubdirectory("simcse-tests-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            try
            {
                Directory.Delete(directory, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // A process that a test started may still write there: the system's temporary folder keeps what is left.
            }
        };
        return directory;
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
        {
            if (File.Exists(Path.Combine(at.FullName, "SimCse.slnx")))
            {
                return at.FullName;
            }
        }

        throw new DirectoryNotFoundException($"no SimCse.slnx above {AppContext.BaseDirectory}");
    }
}
