using System.CommandLine;
using System.Globalization;
using SimCse.Search;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse index</c>.</summary>
internal static class IndexCommand
{
    private const int EntriesAtOnce = 2048;

    private static readonly string[] s_actions = ["build", "append", "delete", "compact", "info"];
    private static readonly Argument<string> s_action = new("ACTION") { Description = string.Join(", ", s_actions) };
    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<string> s_index = CliOption.Required("--index", "DIR", "the directory of the index");
    private static readonly Option<string> s_input = CliOption.Input("build, append: the texts, one a line (.gz is unpacked); delete: the ids, one a line; - for standard input");
    private static readonly Option<bool> s_jsonLines = CliOption.Flag("--jsonl", "every line is a JSON string, or an object with text, and where wanted id and metadata (strings, numbers, booleans)");
    private static readonly Option<bool> s_int8 = CliOption.Flag("--int8", "build: keep int8 codes only, a fifth of the space; scores are off by about 0.001");
    private static readonly Option<int?> s_links = CliOption.Whole("--links", "M", "build: links that an entry makes in the graph", 16, least: 2);
    private static readonly Option<int?> s_breadth = CliOption.Whole("--construction-breadth", "EF", "build: candidates that an entry chooses its links from", 128, least: 2);
    private static readonly Option<long?> s_seed = CliOption.Long("--seed", "S", "build: decides the levels of the graph", 42);
    private static readonly Option<bool> s_json = CliOption.Json("print {\"entries\", \"deleted\", \"in_graph\", \"dimensions\", \"bytes\", \"about\"} of the index as it is at the end");

    public static Command Create()
    {
        DocumentedCommand command = new("index", "an index of texts on disk, to be searched with simcse search --index")
        {
            Details = """
                build    makes an index and adds the texts; goes on where an interrupted build of the same input stopped
                append   adds texts to an index; an entry whose id is there is replaced, or passed over where nothing of it differs
                delete   removes the entries of the ids given
                compact  writes the index anew without deleted and replaced entries
                info     says what is in it

                An entry without an id is called FILE:LINE. Texts are read and added as a stream: what is added is on the disk, and survives a
                crash. The index keeps which model its vectors come from, and refuses another.
                """,
            Examples =
            [
                "simcse index build --index my-index --input sentences.txt --model my-model",
                "simcse index append --index my-index --input more.jsonl --jsonl",
                "echo sentences.txt:12 | simcse index delete --index my-index",
                "simcse search --index my-index --query 'how do I read a file line by line'",
            ],
        };
        command.Arguments.Add(s_action);
        command
            .With("index", s_index, s_input, s_jsonLines, s_int8, s_links, s_breadth, s_seed)
            .With("model", s_encoder.Options)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string directory = parsed.GetRequiredValue(s_index), action = parsed.GetRequiredValue(s_action);
        switch (action)
        {
            case "build":
                Build(parsed, directory, cancellationToken);
                break;
            case "append":
                using (SentenceIndex index = SentenceIndex.Open(directory))
                using (SentenceEncoder encoder = IndexModel.Load(parsed, s_encoder, index, directory))
                {
                    Add(parsed, index, encoder, directory, cancellationToken);
                    Report(parsed, index);
                }

                break;
            case "delete":
                using (SentenceIndex index = SentenceIndex.Open(directory))
                {
                    int deleted = 0;
                    foreach (string[] ids in InputTexts.Read(parsed.GetRequiredValue(s_input), asJson: false, cancellationToken).Where(id => id.Length > 0).Chunk(EntriesAtOnce))
                    {
                        deleted += index.Delete(ids, cancellationToken);
                    }

                    Log.Info($"{directory}: {deleted:N0} entries deleted");
                    Report(parsed, index);
                }

                break;
            case "compact":
                SentenceIndex.Compact(directory, Progress(), cancellationToken);
                Inform(parsed, directory);
                break;
            case "info":
                Inform(parsed, directory);
                break;
            default:
                throw new UsageException($"'{action}' is not something to do with an index; expected {string.Join(", ", s_actions)} (see simcse index --help)");
        }

        return ExitStatus.Done;
    }

    private static void Build(ParseResult parsed, string directory, CancellationToken cancellationToken)
    {
        if (!SentenceIndex.Exists(directory))
        {
            using SentenceEncoder fresh = s_encoder.Load(parsed);
            SentenceIndexOptions options = new(fresh.Dimensions)
            {
                KeepFloats = !parsed.GetValue(s_int8),
                Links = parsed.GetValue(s_links)!.Value,
                ConstructionBreadth = parsed.GetValue(s_breadth)!.Value,
                Seed = (ulong)parsed.GetValue(s_seed)!.Value,
                About = IndexModel.About(fresh, s_encoder.ModelGiven(parsed)),
            };
            UsageException.Require(options.Validate);
            SentenceIndex.Create(directory, options).Dispose();
        }

        using SentenceIndex index = SentenceIndex.Open(directory);
        using SentenceEncoder encoder = IndexModel.Load(parsed, s_encoder, index, directory);
        Add(parsed, index, encoder, directory, cancellationToken);
        Report(parsed, index);
    }

    private static void Add(ParseResult parsed, SentenceIndex index, SentenceEncoder encoder, string directory, CancellationToken cancellationToken)
    {
        RateLines progress = new("texts");
        long read = 0, added = 0;
        try
        {
            foreach (IndexEntry[] entries in InputEntries.Read(parsed.GetRequiredValue(s_input), parsed.GetValue(s_jsonLines), cancellationToken).Chunk(EntriesAtOnce))
            {
                read += entries.Length;
                IndexEntry[] changed = [.. entries.Where(entry => !IsThere(index, entry))];
                if (changed.Select(entry => entry.Id).GroupBy(id => id, StringComparer.Ordinal).FirstOrDefault(same => same.Count() > 1) is { } twice)
                {
                    throw new InvalidDataException($"{parsed.GetValue(s_input)}: the id '{twice.Key}' comes twice among lines {read - entries.Length + 1} to {read}; expected different ids");
                }

                index.Add(changed, encoder.Encode([.. changed.Select(entry => entry.Text)], cancellationToken), CancellationToken.None);
                added += changed.Length;
                progress.Report(read);
            }

            index.UpdateGraph(Progress(), cancellationToken);
        }
        catch (OperationCanceledException e)
        {
            throw new InterruptedRunException($"{directory} holds {index.Count:N0} entries; the same command goes on", e);
        }

        LoadedModel.WarnOfTruncation(encoder, added);
        Log.Info($"{directory}: {read:N0} texts read, {added:N0} added or replaced, {read - added:N0} there already");
    }

    private static bool IsThere(SentenceIndex index, IndexEntry entry) =>
        index.Find(entry.Id) is { } there && string.Equals(there.Text, entry.Text, StringComparison.Ordinal)
        && there.Metadata.Count == entry.Metadata.Count && there.Metadata.All(pair => entry.Metadata.TryGetValue(pair.Key, out MetadataValue value) && value == pair.Value);

    private static Progress<int> Progress()
    {
        RateLines lines = new("entries in the graph");
        return new Progress<int>(done => lines.Report(done));
    }

    private static void Inform(ParseResult parsed, string directory)
    {
        using SentenceIndex index = SentenceIndex.Open(directory, readOnly: true);
        Report(parsed, index, always: true);
    }

    private static void Report(ParseResult parsed, SentenceIndex index, bool always = false)
    {
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteNumber("entries", index.Count);
                json.WriteNumber("deleted", index.DeletedCount);
                json.WriteNumber("in_graph", index.GraphCount);
                json.WriteNumber("dimensions", index.Dimensions);
                json.WriteNumber("bytes", index.FileLength);
                json.WriteStartObject("about");
                foreach ((string name, string value) in index.Options.About)
                {
                    json.WriteString(name, value);
                }

                json.WriteEndObject();
            });
        }
        else if (always)
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"entries     {index.Count} ({index.DeletedCount} deleted or replaced still take their place)"));
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"in graph    {index.GraphCount} (the others are scanned)"));
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"vectors     {index.Dimensions} components, int8{(index.Options.KeepFloats ? " and float32" : "")}"));
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"bytes       {index.FileLength}"));
            foreach ((string name, string value) in index.Options.About)
            {
                output.WriteLine($"{name,-11} {value}");
            }
        }
    }
}
