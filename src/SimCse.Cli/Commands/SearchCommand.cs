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
    private static readonly Option<string> s_input = CliOption.Required("--input", "CORPUS", "the texts to search, one a line (.gz is unpacked)");
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
    private static readonly Option<bool> s_json = CliOption.Json("print {\"results\": [{\"query\", \"hits\": [{\"row\", \"score\", \"text\"}]}]}; row counts from 0");

    public static Command Create()
    {
        DocumentedCommand command = new("search", "the texts of a file that are most like a query")
        {
            Details = """
                Exact search: every text is compared with every query, by the cosine of their vectors. Prints score, line and text, best first.
                With queries on standard input it answers each as it comes.
                """,
            Examples =
            [
                "simcse search --model my-model --input sentences.txt --query 'how do I read a file line by line' --top 3",
                "simcse search --model my-model --input sentences.txt --vectors vectors.npy --json < queries.txt",
            ],
        };
        command
            .With("what to search", s_input, s_jsonLines, s_vectors, s_queries, s_top)
            .With("model", s_encoder.Options)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string input = parsed.GetRequiredValue(s_input);
        string[] queries = parsed.GetValue(s_queries) ?? [];
        if (queries.Length == 0 && input is "-")
        {
            throw new UsageException("--input - takes standard input for the texts: give the queries by --query");
        }

        int top = parsed.GetValue(s_top)!.Value;
        string[] texts = [.. InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken)];
        if (texts.Length == 0)
        {
            throw new InvalidDataException($"{input}: there is no text in it to search");
        }

        using SentenceEncoder encoder = s_encoder.Load(parsed);
        ExactIndex index = new(parsed.GetValue(s_vectors) is { } vectors ? Read(vectors, input, texts.Length, encoder.Dimensions) : Encode(encoder, texts, cancellationToken));
        if (queries.Length > 0)
        {
            Print(queries, index.Search(encoder.Encode(queries, cancellationToken), top, cancellationToken));
        }
        else if (parsed.GetValue(s_json))
        {
            queries = [.. InputTexts.Read("-", asJson: false, cancellationToken)];
            Print(queries, queries.Length == 0 ? [] : index.Search(encoder.Encode(queries, cancellationToken), top, cancellationToken));
        }
        else
        {
            if (!Console.IsInputRedirected)
            {
                Log.Info("a query a line; Ctrl-D ends");
            }

            foreach (string query in InputTexts.Read("-", asJson: false, cancellationToken).Where(q => !string.IsNullOrWhiteSpace(q)))
            {
                Print([query], [index.Search(encoder.Encode(query), top, cancellationToken)]);
                parsed.InvocationConfiguration.Output.Flush();
            }
        }

        return ExitStatus.Done;

        void Print(string[] asked, IReadOnlyList<SearchHit>[] hits)
        {
            if (parsed.GetValue(s_json))
            {
                JsonOutput.Write(parsed, json => WriteResults(json, asked, hits, texts));
                return;
            }

            TextWriter output = parsed.InvocationConfiguration.Output;
            for (int q = 0; q < asked.Length; q++)
            {
                output.WriteLine(asked[q]);
                foreach (SearchHit hit in hits[q])
                {
                    output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {hit.Score:0.0000}  {hit.Row + 1}: {texts[hit.Row].ReplaceLineEndings(" ")}"));
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

    private static void WriteResults(Utf8JsonWriter json, string[] queries, IReadOnlyList<SearchHit>[] hits, string[] texts)
    {
        json.WriteStartArray("results");
        for (int q = 0; q < queries.Length; q++)
        {
            json.WriteStartObject();
            json.WriteString("query", queries[q]);
            json.WriteStartArray("hits");
            foreach (SearchHit hit in hits[q])
            {
                json.WriteStartObject();
                json.WriteNumber("row", hit.Row);
                json.WriteNumber("score", hit.Score);
                json.WriteString("text", texts[hit.Row]);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }
}
