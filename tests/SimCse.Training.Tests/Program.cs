using SimCse.Training.Tests.Distribution;
using Xunit.MicrosoftTestingPlatform;
using Xunit.Runner.InProc.SystemConsole;

namespace SimCse.Training.Tests;

internal static class Program
{
    /// <summary>Runs the tests as xUnit's own entry point does; or, where a test has mpirun start this executable, one rank of its program.</summary>
    private static async Task<int> Main(string[] args) => args switch
    {
        [RankPrograms.Option, string name, .. string[] rest] => RankPrograms.Run(name, rest),
        _ when args.Contains("--server") || args.Contains("--internal-msbuild-node") => await TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions),
        _ => await ConsoleRunner.Run(args),
    };
}
