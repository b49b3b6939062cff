using System.Diagnostics;
using System.Globalization;

namespace SimCse.Search.Tests;

/// <summary>The engines that eng/engines/setup installs; the running test is skipped, by name, where they are absent.</summary>
internal static class Engines
{
    private static string Modules => Path.Combine(RepositoryPaths.Root, "eng", "engines", "node_modules");

    /// <summary>The file of the sqlite-vec extension.</summary>
    public static string SqliteVec()
    {
        string path = Path.Combine(Modules, "sqlite-vec-linux-x64", "vec0.so");
        Assert.SkipUnless(File.Exists(path) && OperatingSystem.IsLinux(), "needs sqlite-vec: eng/engines/setup");
        return path;
    }

    /// <summary>PostgreSQL with pgvector in a process of its own.</summary>
    public static async Task<PostgresProcess> StartPostgresAsync()
    {
        Assert.SkipUnless(Directory.Exists(Path.Combine(Modules, "@electric-sql", "pglite-pgvector")), "needs pgvector: eng/engines/setup");
        ProcessStartInfo start = new("node", ["pgvector.mjs"])
        {
            WorkingDirectory = Path.GetDirectoryName(Modules)!,
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        Process process = Process.Start(start)!;
        string? line = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        Assert.StartsWith("up ", line, StringComparison.Ordinal);
        return new PostgresProcess(process, int.Parse(line.AsSpan("up ".Length), CultureInfo.InvariantCulture));
    }
}

/// <summary>Ends with this.</summary>
internal sealed class PostgresProcess(Process process, int port) : IAsyncDisposable
{
    public string ConnectionString => string.Create(CultureInfo.InvariantCulture,
        $"Host=127.0.0.1;Port={port};Username=postgres;Database=postgres;SSL Mode=Disable;Pooling=false;No Reset On Close=true");

    public async ValueTask DisposeAsync()
    {
        process.StandardInput.Close();
        using CancellationTokenSource patience = new(TimeSpan.FromSeconds(10));
        try
        {
            await process.WaitForExitAsync(patience.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
        }

        process.Dispose();
    }
}
