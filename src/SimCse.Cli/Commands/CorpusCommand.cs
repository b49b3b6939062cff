using System.CommandLine;
using SimCse.Checkpoints;
using SimCse.Data;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse corpus</c>.</summary>
internal static class CorpusCommand
{
    private static readonly SentenceCorpus s_defaults = new();

    private static readonly Option<string[]> s_data = CliOption.DataFiles("texts, one, two or three a row: .txt, .tsv, .csv, .jsonl or .parquet, each also with .gz after it; may be given several times");
    private static readonly Option<bool> s_sdkDocs = CliOption.SdkDocs();
    private static readonly Option<string[]> s_exclude = new("--exclude")
    {
        HelpName = "PATH",
        Description = "a file, or a folder of files, whose texts are to be left out, such as the evaluation sets: every tab-separated field counts; may be given several times",
        AllowMultipleArgumentsPerToken = true,
    };

    private static readonly Option<int?> s_minWords = CliOption.Whole("--min-words", "N", "shorter texts are left out", s_defaults.MinWords, least: 1);
    private static readonly Option<int?> s_maxWords = CliOption.Whole("--max-words", "N", "longer texts are cut at commas, semicolons, colons, brackets and dashes, and what is then no longer is taken", s_defaults.MaxWords, least: 1);
    private static readonly Option<string?> s_output = CliOption.Text("--output", "F", "the .txt file to write, one sentence a line; where it is not given, sentences are only counted");
    private static readonly Option<bool> s_json = CliOption.Json("print {\"sentences\", \"overlaps\", \"excluded\"}");

    public static Command Create()
    {
        DocumentedCommand command = new("corpus", "collect the sentences to train on, without those of an evaluation")
        {
            Details = """
                Each sentence once, none too long, and none that equals a text of --exclude: case, punctuation and spaces do not count. So what
                a model is judged by later is not what it was trained on. Over a finished corpus the same command is the check: its
                'overlaps' must be 0.
                """,
            Examples =
            [
                "simcse corpus --data wiki.txt.gz news.tsv --exclude data/sts data/stsb --output corpus.txt",
                "simcse corpus --data corpus.txt --exclude data/sts data/stsb --json",
            ],
        };
        command
            .With("what to collect", s_data, s_sdkDocs, s_exclude, s_minWords, s_maxWords)
            .With("output", s_output, s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        CliOption.RequireTexts(command, s_data, s_sdkDocs);
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        SentenceCorpus corpus = new() { MinWords = parsed.GetValue(s_minWords)!.Value, MaxWords = parsed.GetValue(s_maxWords)!.Value };
        if (corpus.MinWords > corpus.MaxWords)
        {
            throw new UsageException($"--min-words is {corpus.MinWords}; expected at most --max-words, {corpus.MaxWords}");
        }

        foreach (string path in parsed.GetValue(s_exclude) ?? [])
        {
            corpus.Exclude(path);
        }

        IEnumerable<string> sentences = corpus.Take(Texts(parsed, cancellationToken));
        if (parsed.GetValue(s_output) is { } output)
        {
            AtomicFile.Write(output, stream =>
            {
                using StreamWriter writer = new(stream, leaveOpen: true) { NewLine = "\n" };
                foreach (string sentence in sentences)
                {
                    writer.WriteLine(sentence);
                }
            });
        }
        else
        {
            foreach (string _ in sentences)
            {
                // counted by the corpus
            }
        }

        Log.Info($"{corpus.Taken:N0} sentences; left out: {corpus.Overlaps:N0} that equal one of the {corpus.Excluded:N0} excluded texts");
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteNumber("sentences", corpus.Taken);
                json.WriteNumber("overlaps", corpus.Overlaps);
                json.WriteNumber("excluded", corpus.Excluded);
            });
        }

        return ExitStatus.Done;
    }

    private static IEnumerable<string> Texts(ParseResult parsed, CancellationToken cancellationToken)
    {
        foreach (string file in parsed.GetValue(s_data) ?? [])
        {
            foreach (string text in SentenceFile.Open(file).Rows(cancellationToken: cancellationToken).SelectMany(row => row.Texts))
            {
                yield return text;
            }
        }

        if (parsed.GetValue(s_sdkDocs))
        {
            foreach (ApiText text in SdkDocumentation.Read(SdkDocumentation.FindPacks(), cancellationToken))
            {
                yield return text.Text;
            }
        }
    }
}
