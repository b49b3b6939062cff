using System.Xml.Linq;

namespace SimCse.Tests;

public class DependencyTests
{
    /// <summary>What each project may know: docs/architecture.md.</summary>
    private static readonly Dictionary<string, string[]> s_allowed = new(StringComparer.Ordinal)
    {
        ["SimCse"] = [],
        ["SimCse.Extensions.AI"] = ["SimCse"],
        ["SimCse.Model.Small"] = ["SimCse"],
        ["SimCse.Data"] = ["SimCse"],
        ["SimCse.Search.Sqlite"] = ["SimCse"],
        ["SimCse.Search.PostgreSql"] = ["SimCse"],
        ["SimCse.Evaluation"] = ["SimCse"],
        ["SimCse.Training"] = ["SimCse", "SimCse.Data", "SimCse.Evaluation"],
        ["SimCse.Server"] = ["SimCse", "SimCse.Evaluation"],
        ["SimCse.Cli"] = ["SimCse", "SimCse.Data", "SimCse.Evaluation", "SimCse.Server", "SimCse.Training"],
    };

    [Fact]
    public void Every_project_knows_only_those_before_it()
    {
        foreach (string project in Directory.GetDirectories(Path.Combine(RepositoryPaths.Root, "src")).Select(d => Path.GetFileName(d)!))
        {
            Assert.True(s_allowed.ContainsKey(project), $"src/{project} has no place in the order of dependencies");
            string file = Path.Combine(RepositoryPaths.Root, "src", project, project + ".csproj");
            foreach (string known in XDocument.Load(file).Descendants("ProjectReference").Select(r => Path.GetFileNameWithoutExtension(r.Attribute("Include")!.Value.Replace('\\', '/'))))
            {
                Assert.True(s_allowed[project].Contains(known), $"{project} must not reference {known}");
            }
        }
    }

    [Fact]
    public void The_library_to_use_a_model_brings_no_database()
    {
        string file = Path.Combine(RepositoryPaths.Root, "src", "SimCse", "SimCse.csproj");
        Assert.DoesNotContain(XDocument.Load(file).Descendants("PackageReference"), r =>
            r.Attribute("Include")!.Value.Contains("sql", StringComparison.OrdinalIgnoreCase));
    }

    [Fact]
    public void The_library_to_use_a_model_brings_no_libtorch()
    {
        foreach (string project in new[] { "SimCse", "SimCse.Extensions.AI", "SimCse.Data", "SimCse.Evaluation", "SimCse.Server" })
        {
            string file = Path.Combine(RepositoryPaths.Root, "src", project, project + ".csproj");
            Assert.DoesNotContain(XDocument.Load(file).Descendants("PackageReference"), r =>
                r.Attribute("Include")!.Value.Contains("torch", StringComparison.OrdinalIgnoreCase));
        }
    }
}
