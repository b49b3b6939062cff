namespace SimCse.Cli;

/// <summary>Where the model is that <c>--model</c> names.</summary>
internal static class ModelLocation
{
    /// <summary>The base that training starts from where none is named. It is beside the executable, as the default model is.</summary>
    public const string DefaultBase = "simcse-base";

    /// <summary>The directory of a model to train.</summary>
    /// <param name="model">As for <see cref="Find"/>; null for the default base.</param>
    /// <exception cref="DirectoryNotFoundException">There is none: where it was looked for.</exception>
    public static string FindBase(string? model)
    {
        string shipped = Path.Combine(AppContext.BaseDirectory, "models", DefaultBase);
        return model is not null ? Find(model)
            : Directory.Exists(shipped) ? shipped
            : throw new DirectoryNotFoundException($"the base that training starts from is not at {shipped}; give one with --model");
    }

    /// <summary>The directory of a model.</summary>
    /// <param name="model">A directory; a name of the Hugging Face hub whose files are in the local cache; or null for the default model, which is beside the executable.</param>
    /// <exception cref="DirectoryNotFoundException">There is none: where it was looked for.</exception>
    public static string Find(string? model)
    {
        if (model is null)
        {
            return DefaultModel.Find();
        }

        if (Directory.Exists(model))
        {
            return model;
        }

        if (File.Exists(model))
        {
            throw new DirectoryNotFoundException($"{model} is a file; expected a model directory, with config.json in it");
        }

        return IsHubName(model) && FindInCache(model) is { } snapshot
            ? snapshot
            : throw new DirectoryNotFoundException($"{model}: no such directory{(IsHubName(model) ? $", and no model of that name in the Hugging Face cache ({CacheDirectory()}); it is not downloaded" : "")}");
    }

    private static bool IsHubName(string model)
    {
        string[] parts = model.Split('/');
        return parts.Length is 1 or 2 && parts.All(p => p.Length > 0 && p[0] != '.' && p.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'));
    }

    private static string CacheDirectory()
    {
        if (Environment.GetEnvironmentVariable("HF_HUB_CACHE") is { Length: > 0 } hub)
        {
            return hub;
        }

        string home = Environment.GetEnvironmentVariable("HF_HOME") is { Length: > 0 } given
            ? given
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "huggingface");
        return Path.Combine(home, "hub");
    }

    /// <summary>The snapshot that the model's 'main' names, else the newest.</summary>
    private static string? FindInCache(string model)
    {
        string folder = Path.Combine(CacheDirectory(), "models--" + model.Replace("/", "--", StringComparison.Ordinal));
        string main = Path.Combine(folder, "refs", "main");
        if (File.Exists(main) && Path.Combine(folder, "snapshots", File.ReadAllText(main).Trim()) is var named && Directory.Exists(named))
        {
            return named;
        }

        DirectoryInfo snapshots = new(Path.Combine(folder, "snapshots"));
        return snapshots.Exists ? snapshots.EnumerateDirectories().MaxBy(d => d.LastWriteTimeUtc)?.FullName : null;
    }
}
