using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Text.Json;

namespace SimCse.Cli;

/// <summary><c>--config FILE</c>: a JSON object of options by name, which count where the command line does not give them.</summary>
internal static class ConfigFile
{
    private const string Name = "--config";

    /// <summary>The option, for the commands that have many others.</summary>
    public static Option<string?> Option { get; } = CliOption.Text(Name, "FILE", "a JSON object that holds any of these options by name, such as {\"batch-size\": 64}; the command line wins");

    /// <summary>The command line with the options of its file added, where it names one.</summary>
    /// <exception cref="InvalidDataException">The file is not a JSON object.</exception>
    /// <exception cref="UsageException">It names an option that the command does not have, or gives one something that is no value.</exception>
    public static ParseResult Apply(RootCommand root, string[] arguments)
    {
        ParseResult parsed = root.Parse(arguments);
        Command command = parsed.CommandResult.Command;
        if (!command.Options.Contains(Option) || parsed.GetResult(Option) is not { } given || given.Errors.Any() || given.GetValueOrDefault<string?>() is not { } path)
        {
            return parsed;
        }

        List<string> all = [.. arguments];
        using JsonDocument document = Read(path);
        foreach (JsonProperty property in document.RootElement.EnumerateObject())
        {
            string name = "--" + property.Name.TrimStart('-').Replace('_', '-');
            Option option = command.Options.FirstOrDefault(o => o != Option && string.Equals(o.Name, name, StringComparison.Ordinal))
                ?? throw new UsageException($"{path}: '{property.Name}' is not an option of simcse {command.Name} (see simcse {command.Name} --help)");
            if (parsed.GetResult(option) is { Implicit: false } || property.Value.ValueKind == JsonValueKind.Null)
            {
                continue;
            }

            IEnumerable<JsonElement> values = property.Value.ValueKind == JsonValueKind.Array ? property.Value.EnumerateArray() : [property.Value];
            foreach (JsonElement value in values)
            {
                // Joined, so that a value that begins with a dash stays a value.
                all.Add($"{name}={Text(path, property.Name, value)}");
            }
        }

        return root.Parse(all);
    }

    private static JsonDocument Read(string path)
    {
        try
        {
            JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(path), new JsonDocumentOptions { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true });
            if (document.RootElement.ValueKind == JsonValueKind.Object)
            {
                return document;
            }

            document.Dispose();
            throw new InvalidDataException($"{path}: expected a JSON object of options, such as {{\"batch-size\": 64}}");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture, $"{path}:{e.LineNumber + 1}:{e.BytePositionInLine + 1}: not JSON; expected an object of options, such as {{\"batch-size\": 64}}"), e);
        }
    }

    private static string Text(string path, string name, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.String => value.GetString()!,
        JsonValueKind.Number => value.GetRawText(),
        JsonValueKind.True => "true",
        JsonValueKind.False => "false",
        _ => throw new UsageException($"{path}: '{name}' is a JSON {value.ValueKind.ToString().ToLowerInvariant()}; expected a string, a number or true or false"),
    };
}
