using System.Diagnostics;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using System.Xml.Linq;

namespace SimCse.Cli.Tests;

/// <summary>The packages as their users meet them: packed, put into a local folder, installed from there.</summary>
public sealed class PackageTests(PackageTests.Installed installed) : IClassFixture<PackageTests.Installed>
{
    private static readonly string[] s_libraries = ["SimCse", "SimCse.Extensions.AI", "SimCse.Data", "SimCse.Evaluation", "SimCse.Server", "SimCse.Training"];
    private static string Version { get; } = typeof(SentenceEncoder).Assembly.GetName().Version!.ToString(3);

    private static readonly string s_configuration = AppContext.BaseDirectory.Contains($"{Path.DirectorySeparatorChar}Release{Path.DirectorySeparatorChar}", StringComparison.Ordinal) ? "Release" : "Debug";

    [Fact]
    public void Packages_carry_readme_licence_and_symbols()
    {
        Assert.All(s_libraries, library => Check(installed.Packages, library));
        Assert.Contains("buildTransitive/SimCse.Training.targets", Entries(Package(installed.Packages, "SimCse.Training")));
        Assert.Contains("models/simcse-small/onnx/model_int8.onnx", Entries(Package(installed.Packages, "SimCse.Model.Small")));
    }

    [Fact]
    public async Task The_readmes_example_runs_on_the_packages_without_libtorch()
    {
        string output = await DotnetAsync(installed.Project, "run");

        Assert.Contains("Reads the lines of a file.", output, StringComparison.Ordinal);
        Assert.DoesNotContain("torch", string.Join(' ', Directory.EnumerateFiles(Path.Combine(installed.Project, "bin"), "*", SearchOption.AllDirectories)), StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task The_readmes_example_compiles_to_native_code_without_a_warning_and_runs()
    {
        string? linker = InstalledProgram.Find("clang", "gcc");
        Assert.SkipUnless(OperatingSystem.IsLinux() && linker is not null && Directory.Exists(Path.Combine(InstalledPackages(), $"runtime.{RuntimeInformation.RuntimeIdentifier}.microsoft.dotnet.ilcompiler")),
            "needs the SDK's native compiler and a linker (eng/native-aot/setup)");
        string native = Path.Combine(installed.Project, "native");

        await DotnetAsync(installed.Project, "publish", "-r", RuntimeInformation.RuntimeIdentifier, "-p:PublishAot=true", $"-p:CppCompilerAndLinker={linker}", "-p:InvariantGlobalization=true", "-warnaserror", "-o", native, "--nologo");

        Assert.Contains("Reads the lines of a file.", await RunAsync(Path.Combine(native, "Example"), native), StringComparison.Ordinal);
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

    private static Task<string> DotnetAsync(string directory, params string[] arguments) => RunAsync("dotnet", directory, arguments);

    private static async Task<string> RunAsync(string program, string directory, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { WorkingDirectory = directory, UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {await output}{await error}");
        return await output;
    }

    /// <summary>All packages, and a project in a folder of its own that installs two of them and holds the README's example.</summary>
    public sealed class Installed : IAsyncLifetime
    {
        private readonly string _folder = RepositoryPaths.NewTemporaryDirectory();

        internal string Packages => Path.Combine(_folder, "packages");

        internal string Project => Path.Combine(_folder, "project");

        public async ValueTask InitializeAsync()
        {
            foreach (string library in s_libraries)
            {
                await DotnetAsync(_folder, "pack", Path.Combine(RepositoryPaths.Root, "src", library), "--no-build", "-c", s_configuration, "-o", Packages, "--nologo");
            }

            await DotnetAsync(_folder, "pack", Path.Combine(RepositoryPaths.Root, "src", "SimCse.Model.Small"), "-c", s_configuration, "-o", Packages, "--nologo");
            Directory.CreateDirectory(Project);
            await WriteAsync(Path.Combine(Project, "NuGet.config"), $"""
                <configuration>
                  <config><add key="globalPackagesFolder" value="{Path.Combine(_folder, "cache")}" /></config>
                  <fallbackPackageFolders><add key="installed" value="{InstalledPackages()}" /></fallbackPackageFolders>
                  <packageSources><add key="local" value="{Packages}" /></packageSources>
                </configuration>
                """);
            await WriteAsync(Path.Combine(Project, "Example.csproj"), $"""
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
            await WriteAsync(Path.Combine(Project, "Program.cs"), Example());
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
