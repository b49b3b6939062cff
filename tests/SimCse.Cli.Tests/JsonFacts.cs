using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

internal static class JsonFacts
{
    /// <summary>The names of an object's members, in their order.</summary>
    public static string[] Names(this JsonNode? node) => [.. node!.AsObject().Select(p => p.Key)];

    /// <summary>An array's values as text.</summary>
    public static string[] Texts(this JsonNode? node) => [.. node!.AsArray().Select(v => v!.ToString())];
}
