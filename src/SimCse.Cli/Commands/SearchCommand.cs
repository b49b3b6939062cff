using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using SimCse.Data;
using SimCse.Search;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse search</c>.</summary>
internal static class SearchCommand
{
    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<string?> s_input = CliOption.Text("--input", "CORPUS", "the texts to search, one a line (.gz is unpacked); or give --index");
    private static readonly Option<string?> s_index = CliOption.Text("--index", "DIR", "an index, as simcse index made it, in the place of --input");
    private static readonly Option<string[]> s_filters = new("--filter")
    {
        HelpName = "F",
        Description = "with --index: only entries whose metadata this accepts, such as lang=en, year>=2020, draft!=true; give it again for more, which must all accept",
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<int?> s_breadth = CliOption.Whole("--breadth", "EF", "with --index: candidates that a walk over the graph keeps in view; more finds more and takes longer", null, least: 1);
    private static readonly Option<bool> s_exact = CliOption.Flag("--exact", "with --index: compare with every entry");
    private static readonly Option<bool> s_jsonLines = CliOption.JsonLines();
    private static readonly Option<string?> s_vectors = CliOption.Text("--vectors", "V.npy", "their vectors, as simcse embed wrote them; encoded now where it is not given");
    private static readonly Option<string[]> s_queries = new("--query", "-q")
    {
        HelpName = "Q …",
        Description = "what to search for, one or more; a line of standard input each where it is not given",
        AllowMultipleArgumentsPerToken = true,
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<int?> s_top = CliOption.Whole("--top", "K", "hits a query", 5, least: 1);
    private static readonly Option<bool> s_json = CliOption.Json("print {\"results\": [{\"query\", \"hits\": [{\"row\", \"score\", \"text\"}]}]}; row counts from 0; with --index {\"id\", \"score\", \"text\", \"metadata\"} in its place");

    public static Command Create()
    {
        DocumentedCommand command = new("search", "the texts of a file or an index that are most like a query")
        {
            Details = """
                With --input every text is compared with every query, by the cosine of their vectors. Prints score, line and text, best first.
                With --index nothing is encoded but the queries, and a graph finds the neighbours among many entries. With queries on standard input it answers each as it comes.
                """,
            Examples =
            [
                "simcse search --model my-model --input sentences.txt --query 'how do I read a file line by line' --top 3",
                "simcse search --model my-model --input sentences.txt --vectors vectors.npy --json < queries.txt",
                "simcse search --index my-index --query 'reading files' --filter 'year>=2020'",
            ],
        };
        command
            .With("what to search", s_input, s_jsonLines, s_vectors, s_index, s_queries, s_top, s_filters, s_breadth, s_exact)
            .With("model", s_encoder.Options)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string? input = parsed.GetValue(s_input), directory = parsed.GetValue(s_index);
        if (input is null == directory is null)
        {
            throw new UsageException("search needs either --input, a file of texts, or --index, an index (see simcse search --help)");
        }

        if (directory is null && ((parsed.GetValue(s_filters) ?? []).Length > 0 || parsed.GetValue(s_breadth) is not null || parsed.GetValue(s_exact)))
        {
            throw new UsageException("--filter, --breadth and --exact are for --index: every text of --input is compared");
        }

        return directory is null ? SearchFile(parsed, input!, cancellationToken) : SearchIndex(parsed, directory, cancellationToken);
    }

    private static int SearchFile(ParseResult parsed, string input, CancellationToken cancellationToken)
    {
        if ((parsed.GetValue(s_queries) ?? []).Length == 0 && input is "-")
        {
            throw new UsageException("--input - takes standard input for the texts: give the queries by --query");
        }

        string[] texts = [.. InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken)];
        if (texts.Length == 0)
        {
            throw new InvalidDataException($"{input}: there is no text in it to search");
        }

        int top = parsed.GetValue(s_top)!.Value;
        using SentenceEncoder encoder = s_encoder.Load(parsed);
        ExactIndex index = new(parsed.GetValue(s_vectors) is { } vectors ? Read(vectors, input, texts.Length, encoder.Dimensions) : Encode(encoder, texts, cancellationToken));
        Answer(
            parsed,
            queries => index.Search(encoder.Encode(queries, cancellationToken), top, cancellationToken),
            hit => (hit.Score, (hit.Row + 1).ToString(CultureInfo.InvariantCulture), texts[hit.Row]),
            (json, hit) =>
            {
                json.WriteNumber("row", hit.Row);
                json.WriteNumber("score", hit.Score);
                json.WriteString("text", texts[hit.Row]);
            },
            cancellationToken);
        return ExitStatus.Done;
    }

    private static int SearchIndex(ParseResult parsed, string directory, CancellationToken cancellationToken)
    {
        IndexSearchOptions options = new(parsed.GetValue(s_top)!.Value) { Breadth = parsed.GetValue(s_breadth), Exact = parsed.GetValue(s_exact) };
        UsageException.Require(() =>
        {
            options.Validate();
            IndexFilter[] filters = [.. (parsed.GetValue(s_filters) ?? []).Select(IndexFilter.Parse)];
            options = filters.Length == 0 ? options : options with { Filter = new IndexFilter.All(filters) };
        });
        using SentenceIndex index = SentenceIndex.Open(directory, readOnly: true);
        using SentenceEncoder encoder = IndexModel.Load(parsed, s_encoder, index, directory);
        Answer(
            parsed,
            queries => index.Search(encoder.Encode(queries, cancellationToken), options, cancellationToken),
            hit => (hit.Score, hit.Entry.Id, hit.Entry.Text),
            (json, hit) =>
            {
                json.WriteString("id", hit.Entry.Id);
                json.WriteNumber("score", hit.Score);
                json.WriteString("text", hit.Entry.Text);
                json.WritePropertyName("metadata");
                MetadataValue.WriteAll(json, hit.Entry.Metadata);
            },
            cancellationToken);
        return ExitStatus.Done;
    }

    /// <summary>Answers the queries of the command line, or those of standard input: with --json all at once, else each as it comes.</summary>
    private static void Answer<THit>(
        ParseResult parsed, Func<string[], IReadOnlyList<THit>[]> search, Func<THit, (float Score, string Name, string Text)> describe, Action<Utf8JsonWriter, THit> write, CancellationToken cancellationToken)
    {
        string[] queries = parsed.GetValue(s_queries) ?? [];
        if (parsed.GetValue(s_json))
        {
            queries = queries.Length > 0 ? queries : [.. InputTexts.Read("-", asJson: false, cancellationToken)];
            IReadOnlyList<THit>[] hits = queries.Length == 0 ? [] : search(queries);
            JsonOutput.Write(parsed, json => WriteResults(json, queries, hits, write));
        }
        else if (queries.Length > 0)
        {
            Print(queries, search(queries));
        }
        else
        {
            if (!Console.IsInputRedirected)
            {
                Log.Info("a query a line; Ctrl-D ends");
            }

            foreach (string query in InputTexts.Read("-", asJson: false, cancellationToken).Where(q => !string.IsNullOrWhiteSpace(q)))
            {
                Print([query], search([query]));
                parsed.InvocationConfiguration.Output.Flush();
            }
        }

        void Print(string[] asked, IReadOnlyList<THit>[] hits)
        {
            TextWriter output = parsed.InvocationConfiguration.Output;
            for (int q = 0; q < asked.Length; q++)
            {
                output.WriteLine(asked[q]);
                foreach ((float score, string name, string text) in hits[q].Select(describe))
                {
                    output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {score:0.0000}  {name}: {text.ReplaceLineEndings(" ")}"));
                }

                output.WriteLine();
            }
        }
    }

    private static EmbeddingMatrix Encode(SentenceEncoder encoder, string[] texts, CancellationToken cancellationToken)
    {
        EmbeddingMatrix vectors = encoder.Encode(texts, cancellationToken);
        LoadedModel.WarnOfTruncation(encoder, texts.Length);
        return vectors;
    }

    private static EmbeddingMatrix Read(string path, string input, int texts, int dimensions)
    {
        EmbeddingMatrix vectors = NpyFile.Read(path);
        return vectors.Count == texts && vectors.Dimensions == dimensions
            ? vectors
            : throw new InvalidDataException($"{path}: {vectors.Count} vectors of {vectors.Dimensions} components; expected {texts}, as {input} has lines, of {dimensions}, as the model gives");
    }

    private static void WriteResults<THit>(Utf8JsonWriter json, string[] queries, IReadOnlyList<THit>[] hits, Action<Utf8JsonWriter, THit> write)
    {
        json.WriteStartArray("results");
        for (int q = 0; q < queries.Length; q++)
        {
            json.WriteStartObject();
            json.WriteString("query", queries[q]);
            json.WriteStartArray("hits");
            foreach (THit hit in hits[q])
            {
                json.WriteStartObject();
                write(json, hit);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
