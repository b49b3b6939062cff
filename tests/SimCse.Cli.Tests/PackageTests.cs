using System.Diagnostics;
using System.IO.Compression;
using System.Text;
using System.Xml.Linq;

namespace SimCse.Cli.Tests;

/// <summary>The packages as their users meet them: packed, put into a local folder, installed from there.</summary>
public sealed class PackageTests
{
    private static readonly string[] s_libraries = ["SimCse", "SimCse.Extensions.AI", "SimCse.Data", "SimCse.Evaluation", "SimCse.Server", "SimCse.Training"];
    private static string Version { get; } = typeof(SentenceEncoder).Assembly.GetName().Version!.ToString(3);

    private static readonly string s_configuration = AppContext.BaseDirectory.Contains($"{Path.DirectorySeparatorChar}Release{Path.DirectorySeparatorChar}", StringComparison.Ordinal) ? "Release" : "Debug";

    [Fact]
    public async Task Packages_carry_readme_licence_and_symbols_and_the_readmes_example_runs_on_them()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory(), packages = Path.Combine(folder, "packages"), project = Path.Combine(folder, "project");
        foreach (string library in s_libraries)
        {
            await DotnetAsync(folder, "pack", Path.Combine(RepositoryPaths.Root, "src", library), "--no-build", "-c", s_configuration, "-o", packages, "--nologo");
            Check(packages, library);
        }

        Assert.Contains("buildTransitive/SimCse.Training.targets", Entries(Package(packages, "SimCse.Training")));
        await DotnetAsync(folder, "pack", Path.Combine(RepositoryPaths.Root, "src", "SimCse.Model.Small"), "-c", s_configuration, "-o", packages, "--nologo");
        Assert.Contains("models/simcse-small/onnx/model_int8.onnx", Entries(Package(packages, "SimCse.Model.Small")));
        Directory.CreateDirectory(project);
        await WriteAsync(Path.Combine(project, "NuGet.config"), $"""
            <configuration>
              <config><add key="globalPackagesFolder" value="{Path.Combine(folder, "cache")}" /></config>
              <fallbackPackageFolders><add key="installed" value="{InstalledPackages()}" /></fallbackPackageFolders>
              <packageSources><add key="local" value="{packages}" /></packageSources>
            </configuration>
            """);
        await WriteAsync(Path.Combine(project, "Example.csproj"), $"""
            <Project Sdk="Microsoft.NET.Sdk">
              <PropertyGroup>
                <OutputType>Exe</OutputType>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
                <Nullable>enable</Nullable>
              </PropertyGroup>
              <ItemGroup>
                <PackageReference Include="SimCse" Version="{Version}" />
                <PackageReference Include="SimCse.Model.Small" Version="{Version}" />
              </ItemGroup>
            </Project>
            """);
        await WriteAsync(Path.Combine(project, "Program.cs"), Example());

        string output = await DotnetAsync(project, "run");

        Assert.Contains("Reads the lines of a file.", output, StringComparison.Ordinal);
        Assert.DoesNotContain("torch", string.Join(' ', Directory.EnumerateFiles(Path.Combine(project, "bin"), "*", SearchOption.AllDirectories)), StringComparison.OrdinalIgnoreCase);
    }

    private static void Check(string packages, string library)
    {
        string package = Package(packages, library);
        string[] entries = Entries(package);
        Assert.Contains("README.md", entries);
        Assert.Contains("LICENSE", entries);
        Assert.Contains($"lib/net10.0/{library}.dll", entries);
        Assert.Contains($"lib/net10.0/{library}.xml", entries);
        Assert.Contains($"lib/net10.0/{library}.pdb", Entries(Path.ChangeExtension(package, ".snupkg")));
        using ZipArchive archive = ZipFile.OpenRead(package);
        using Stream stream = archive.GetEntry($"{library}.nuspec")!.Open();
        XElement metadata = XDocument.Load(stream).Root!.Elements().Single();
        Assert.Equal("Apache-2.0", metadata.Elements().Single(e => e.Name.LocalName is "license").Value);
        Assert.Equal("README.md", metadata.Elements().Single(e => e.Name.LocalName is "readme").Value);
    }

    /// <summary>The README's example for the library.</summary>
    private static string Example()
    {
        string readme = File.ReadAllText(Path.Combine(RepositoryPaths.Root, "README.md"));
        int start = readme.IndexOf("```csharp\nusing SimCse;", StringComparison.Ordinal) + "```csharp\n".Length;
        return readme[start..readme.IndexOf("```", start, StringComparison.Ordinal)];
    }

    private static string Package(string packages, string library) => Path.Combine(packages, $"{library}.{Version}.nupkg");

    private static string[] Entries(string package)
    {
        using ZipArchive archive = ZipFile.OpenRead(package);
        return [.. archive.Entries.Select(e => e.FullName)];
    }

    private static string InstalledPackages() => Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } given
        ? given
        : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");

    private static Task WriteAsync(string path, string text) => File.WriteAllTextAsync(path, text, new UTF8Encoding(false), TestContext.Current.CancellationToken);

    private static async Task<string> DotnetAsync(string directory, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("dotnet", arguments) { WorkingDirectory = directory, UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}: {await output}{await error}");
        return await output;
    }
}
