using System.Reflection;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Training;

/// <summary><c>manifest.json</c>: everything needed to say what a run was, and to run it again.</summary>
public static class RunManifest
{
    private static readonly JsonSerializerOptions s_indented = new() { WriteIndented = true };

    /// <summary>Writes the manifest.</summary>
    /// <param name="path">The file.</param>
    /// <param name="command">The kind of run.</param>
    /// <param name="fingerprint">Options, and the hashes of data and weights.</param>
    /// <param name="model">Where the weights came from; null for random ones.</param>
    /// <param name="data">Where the data came from.</param>
    public static void Write(string path, string command, JsonObject fingerprint, string? model, string data)
    {
        ArgumentNullException.ThrowIfNull(fingerprint);
        JsonObject manifest = new()
        {
            ["command"] = command,
            ["model"] = model,
            ["data"] = data,
            ["options"] = fingerprint.DeepClone(),
            ["versions"] = new JsonObject
            {
                ["simcse"] = typeof(RunManifest).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0],
                ["torchsharp"] = typeof(TorchSharp.torch).Assembly.GetName().Version?.ToString(),
                ["dotnet"] = RuntimeInformation.FrameworkDescription,
                ["system"] = RuntimeInformation.RuntimeIdentifier,
            },
        };
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        AtomicFile.Write(path, stream =>
        {
            using Utf8JsonWriter writer = new(stream, new JsonWriterOptions { Indented = true });
            manifest.WriteTo(writer, s_indented);
        });
    }
}
