using System.CommandLine;
using System.Text;
using System.Text.Json;
using SimCse.Tokenization;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse tokenize</c>.</summary>
internal static class TokenizeCommand
{
    private const int TextsAtOnce = 4096;

    private static readonly Option<string?> s_model = CliOption.Model();
    private static readonly Option<string> s_input = CliOption.Input("the texts, one a line (.gz is unpacked); - for standard input");
    private static readonly Option<bool> s_jsonLines = CliOption.JsonLines();
    private static readonly Option<int?> s_maxLength = CliOption.Whole("--max-length", "N", "tokens kept of a text, special tokens included; all where it is not given", null, least: 2);

    public static Command Create()
    {
        DocumentedCommand command = new("tokenize", "the token ids of texts, as Hugging Face's tokenizers give them")
        {
            Details = """
                Prints one JSON line a text, {"ids": […], "tokens": […]}, special tokens included; an empty line is a text too. The model
                directory needs tokenizer files only: tokenizer.json, or vocab.txt, or vocab.json with merges.txt.
                """,
            Examples =
            [
                "simcse tokenize --model my-model --input sentences.txt",
                "echo '\"two\\nlines\"' | simcse tokenize --model my-model --jsonl",
            ],
        };
        command
            .With("options", s_model, s_input, s_jsonLines, s_maxLength)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        Tokenizer tokenizer = Tokenizer.Load(ModelLocation.Find(parsed.GetValue(s_model)));
        int maxLength = parsed.GetValue(s_maxLength) ?? int.MaxValue;
        string input = parsed.GetRequiredValue(s_input);
        TextWriter output = parsed.InvocationConfiguration.Output;
        foreach (string[] texts in InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken).Chunk(TextsAtOnce))
        {
            string[] lines = new string[texts.Length];
            Parallel.For(0, texts.Length, new ParallelOptions { CancellationToken = cancellationToken }, i => lines[i] = Line(tokenizer, tokenizer.Encode(texts[i], maxLength).Ids));
            foreach (string line in lines)
            {
                output.WriteLine(line);
            }
        }

        return ExitStatus.Done;
    }

    private static string Line(Tokenizer tokenizer, int[] ids)
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, JsonOutput.Options))
        {
            json.WriteStartObject();
            json.WriteStartArray("ids");
            foreach (int id in ids)
            {
                json.WriteNumberValue(id);
            }

            json.WriteEndArray();
            json.WriteStartArray("tokens");
            foreach (int id in ids)
            {
                json.WriteStringValue(tokenizer.TokenOf(id));
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(bytes.GetBuffer(), 0, (int)bytes.Length);
    }
}
