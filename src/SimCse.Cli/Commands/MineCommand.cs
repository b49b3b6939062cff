using System.CommandLine;
using System.Globalization;
using SimCse.Data;
using SimCse.Search;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse mine</c>.</summary>
internal static class MineCommand
{
    private static readonly string[] s_actions = ["paraphrases", "duplicates", "communities", "hard-negatives"];
    private static readonly Argument<string> s_action = new("ACTION") { Description = string.Join(", ", s_actions) };
    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<string> s_input = CliOption.Required("--input", "F", "the texts, one a line (.gz is unpacked; - for standard input); hard-negatives: pairs, as simcse train reads them");
    private static readonly Option<bool> s_jsonLines = CliOption.JsonLines();
    private static readonly Option<string?> s_vectors = CliOption.Text("--vectors", "V.npy", "the texts' vectors, as simcse embed wrote them; encoded now where it is not given (not for hard-negatives)");
    private static readonly Option<double?> s_threshold = CliOption.Number("--threshold", "C", "least cosine: paraphrases 0.8, duplicates 0.95, communities 0.75 where it is not given", null);
    private static readonly Option<int?> s_neighbours = CliOption.Whole("--neighbours", "K", "paraphrases: texts looked at for each", 100, least: 1);
    private static readonly Option<int?> s_most = CliOption.Whole("--max-pairs", "N", "paraphrases: pairs kept", 500_000, least: 1);
    private static readonly Option<int?> s_least = CliOption.Whole("--min-community-size", "N", "communities: the least size", 10, least: 1);
    private static readonly Option<string?> s_corpus = CliOption.Text("--corpus", "F", "texts to choose negatives from, one a line; the positives where it is not given");
    private static readonly Option<string?> s_output = CliOption.Text("--output", "T", "the triplets, for simcse train: .jsonl, .csv or .tsv");
    private static readonly Option<int?> s_negatives = CliOption.Whole("--negatives", "N", "negatives a pair", 1, least: 1);
    private static readonly Option<int?> s_rangeMin = CliOption.Whole("--range-min", "R", "nearest candidates that are passed over", 0, least: 0);
    private static readonly Option<int?> s_rangeMax = CliOption.Whole("--range-max", "R", "candidates after this rank are not looked at; ten a negative beyond --range-min where it is not given", null, least: 1);
    private static readonly Option<double?> s_maxScore = CliOption.Number("--max-score", "C", "candidates with a higher cosine are left out", null);
    private static readonly Option<double?> s_minScore = CliOption.Number("--min-score", "C", "candidates with a lower cosine are left out", null);
    private static readonly Option<double?> s_absolute = CliOption.Number("--absolute-margin", "M", "candidates whose cosine is above the positive's less M are left out", null);
    private static readonly Option<double?> s_relative = CliOption.Number("--relative-margin", "M", "candidates whose cosine is above (1 - M) times the positive's are left out", null);
    private static readonly Option<bool> s_random = CliOption.Flag("--random", "draw negatives at random from the candidates left, not the nearest");
    private static readonly Option<int?> s_seed = CliOption.Whole("--seed", "S", "decides what is drawn", 42);
    private static readonly Option<bool> s_json = CliOption.Json("print {\"pairs\": [{\"first\", \"second\", \"score\"}]}, {\"groups\": [[row, …]]}, {\"communities\": [[row, …]]} or {\"pairs\", \"triplets\"}; rows count from 0");

    public static Command Create()
    {
        DocumentedCommand command = new("mine", "pairs, duplicates, communities and hard negatives of a corpus")
        {
            Details = """
                paraphrases     the pairs of texts that are most alike, best first
                duplicates      groups of texts that are equal but for case and white space, or nearer than the threshold
                communities     groups of texts around a central one, the largest first (sentence-transformers' community_detection)
                hard-negatives  for pairs, texts that are near to the first and are not its second: three columns for simcse train

                Every text is compared with every other. A community's first text is its central one.
                """,
            Examples =
            [
                "simcse mine paraphrases --input sentences.txt --model my-model --threshold 0.85",
                "simcse mine communities --input questions.txt --vectors questions.npy --min-community-size 5 --json",
                "simcse mine hard-negatives --input pairs.tsv --corpus all.txt --range-min 5 --relative-margin 0.05 --output triplets.jsonl",
            ],
        };
        command.Arguments.Add(s_action);
        command
            .With("texts", s_input, s_jsonLines, s_vectors, s_threshold)
            .With("paraphrases and communities", s_neighbours, s_most, s_least)
            .With("hard negatives", s_corpus, s_output, s_negatives, s_rangeMin, s_rangeMax, s_maxScore, s_minScore, s_absolute, s_relative, s_random, s_seed)
            .With("model", s_encoder.Options)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string action = parsed.GetRequiredValue(s_action);
        if (!s_actions.Contains(action, StringComparer.Ordinal))
        {
            throw new UsageException($"'{action}' is not something to mine; expected {string.Join(", ", s_actions)} (see simcse mine --help)");
        }

        if (action is "hard-negatives")
        {
            HardNegatives(parsed, cancellationToken);
            return ExitStatus.Done;
        }

        string input = parsed.GetRequiredValue(s_input);
        string[] texts = [.. InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken)];
        EmbeddingMatrix vectors = Vectors(parsed, input, texts, cancellationToken);
        RateLines lines = new("texts compared");
        Progress<int> progress = new(done => lines.Report(done));
        float Threshold(double byDefault) => (float)(parsed.GetValue(s_threshold) ?? byDefault);
        switch (action)
        {
            case "paraphrases":
                Print(parsed, texts, ParaphraseMining.Find(vectors, parsed.GetValue(s_neighbours)!.Value, parsed.GetValue(s_most)!.Value, Threshold(0.8), progress, cancellationToken));
                break;
            case "duplicates":
                Print(parsed, texts, "groups", DuplicateDetection.Find(texts, vectors, Threshold(0.95), progress, cancellationToken));
                break;
            default:
                Print(parsed, texts, "communities", CommunityDetection.Find(vectors, Threshold(0.75), parsed.GetValue(s_least)!.Value, progress, cancellationToken));
                break;
        }

        return ExitStatus.Done;
    }

    private static void HardNegatives(ParseResult parsed, CancellationToken cancellationToken)
    {
        string output = parsed.GetValue(s_output) ?? throw new UsageException("mine hard-negatives needs --output, the file of triplets (see simcse mine --help)");
        TripletWriter.CheckEnding(output);
        HardNegativeOptions options = new()
        {
            Negatives = parsed.GetValue(s_negatives)!.Value,
            RangeMin = parsed.GetValue(s_rangeMin)!.Value,
            RangeMax = parsed.GetValue(s_rangeMax),
            MaxScore = (float?)parsed.GetValue(s_maxScore),
            MinScore = (float?)parsed.GetValue(s_minScore),
            AbsoluteMargin = (float?)parsed.GetValue(s_absolute),
            RelativeMargin = (float?)parsed.GetValue(s_relative),
            Random = parsed.GetValue(s_random),
            Seed = parsed.GetValue(s_seed)!.Value,
        };
        UsageException.Require(options.Validate);
        string input = parsed.GetRequiredValue(s_input);
        SentenceFile file = SentenceFile.Open(input);
        if (file.Columns < 2)
        {
            throw new InvalidDataException($"{input}: one column; expected two, an anchor and its positive");
        }

        SentenceRow[] pairs = [.. file.Rows(cancellationToken: cancellationToken)];
        string[] anchors = [.. pairs.Select(pair => pair.Sentence)];
        string[] positives = [.. pairs.Select(pair => pair.Positive!)];
        string[] corpus = parsed.GetValue(s_corpus) is { } path ? [.. InputTexts.Read(path, parsed.GetValue(s_jsonLines), cancellationToken).Where(text => text.Length > 0).Distinct(StringComparer.Ordinal)] : [.. positives.Distinct(StringComparer.Ordinal)];
        using SentenceEncoder encoder = s_encoder.Load(parsed);
        EmbeddingMatrix anchorVectors = encoder.Encode(anchors, cancellationToken), positiveVectors = encoder.Encode(positives, cancellationToken), corpusVectors = encoder.Encode(corpus, cancellationToken);
        LoadedModel.WarnOfTruncation(encoder, anchors.Length + positives.Length + corpus.Length);
        RateLines lines = new("pairs done");
        IEnumerable<MinedTriplet> mined = HardNegativeMining.Find(anchors, positives, corpus, anchorVectors, positiveVectors, corpusVectors, options, new Progress<int>(done => lines.Report(done)), cancellationToken);
        long triplets = TripletWriter.Write(output, mined.Select(triplet => (anchors[triplet.Pair], positives[triplet.Pair], corpus[triplet.Negative])));
        Log.Info($"{output}: {triplets:N0} triplets of {anchors.Length:N0} pairs; {(long)anchors.Length * options.Negatives - triplets:N0} fewer than asked for, where too few candidates were left");
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteNumber("pairs", anchors.Length);
                json.WriteNumber("triplets", triplets);
            });
        }
    }

    private static EmbeddingMatrix Vectors(ParseResult parsed, string input, string[] texts, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(s_vectors) is { } path)
        {
            EmbeddingMatrix read = NpyFile.Read(path);
            return read.Count == texts.Length ? read : throw new InvalidDataException($"{path}: {read.Count} vectors; expected {texts.Length}, as {input} has lines");
        }

        using SentenceEncoder encoder = s_encoder.Load(parsed);
        EmbeddingMatrix vectors = encoder.Encode(texts, cancellationToken);
        LoadedModel.WarnOfTruncation(encoder, texts.Length);
        return vectors;
    }

    private static void Print(ParseResult parsed, string[] texts, IReadOnlyList<SimilarPair> pairs)
    {
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteStartArray("pairs");
                foreach (SimilarPair pair in pairs)
                {
                    json.WriteStartObject();
                    json.WriteNumber("first", pair.First);
                    json.WriteNumber("second", pair.Second);
                    json.WriteNumber("score", pair.Score);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            });
            return;
        }

        TextWriter output = parsed.InvocationConfiguration.Output;
        foreach (SimilarPair pair in pairs)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{pair.Score:0.0000}  {Line(texts, pair.First)}"));
            output.WriteLine($"        {Line(texts, pair.Second)}");
        }
    }

    private static void Print(ParseResult parsed, string[] texts, string name, IReadOnlyList<IReadOnlyList<int>> groups)
    {
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteStartArray(name);
                foreach (IReadOnlyList<int> group in groups)
                {
                    json.WriteStartArray();
                    foreach (int row in group)
                    {
                        json.WriteNumberValue(row);
                    }

                    json.WriteEndArray();
                }

                json.WriteEndArray();
            });
            return;
        }

        TextWriter output = parsed.InvocationConfiguration.Output;
        foreach (IReadOnlyList<int> group in groups)
        {
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{group.Count} texts"));
            foreach (int row in group)
            {
                output.WriteLine($"  {Line(texts, row)}");
            }

            output.WriteLine();
        }
    }

    private static string Line(string[] texts, int row) => string.Create(CultureInfo.InvariantCulture, $"{row + 1}: {texts[row].ReplaceLineEndings(" ")}");
}
