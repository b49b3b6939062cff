using System.Globalization;
using SimCse.Data;

namespace SimCse.Evaluation;

/// <summary>Finds and reads the files of the STS sets, in the TSV layout and in SentEval's own.</summary>
internal static class StsFiles
{
    /// <summary>Where under the given folder the sets are looked for, in this order.</summary>
    private static readonly string[] s_places =
        ["", "sts", "STS", "downstream", "downstream/STS", "data", "data/sts", "data/downstream", "data/downstream/STS", "SentEval/data/downstream", "SentEval/data/downstream/STS", "KorNLUDatasets"];

    /// <summary>The years of STS, their subsets, and the official number of pairs of each (SemEval 2012 to 2016; STS13 without SMT, as in SentEval).</summary>
    private static readonly Dictionary<string, (string Name, int Pairs)[]> s_years = new(StringComparer.Ordinal)
    {
        ["STS12"] = [("MSRpar", 750), ("MSRvid", 750), ("SMTeuroparl", 459), ("surprise.OnWN", 750), ("surprise.SMTnews", 399)],
        ["STS13"] = [("FNWN", 189), ("headlines", 750), ("OnWN", 561)],
        ["STS14"] = [("deft-forum", 450), ("deft-news", 300), ("headlines", 750), ("images", 750), ("OnWN", 750), ("tweet-news", 750)],
        ["STS15"] = [("answers-forums", 375), ("answers-students", 750), ("belief", 375), ("headlines", 750), ("images", 750)],
        ["STS16"] = [("answer-answer", 254), ("headlines", 249), ("plagiarism", 230), ("postediting", 244), ("question-question", 209)],
    };

    /// <summary>The sets of one file: its TSV path, its path as it was published (SentEval, KorNLUDatasets), whether that is SICK's table, the official number of pairs.</summary>
    private static readonly Dictionary<string, (string Table, string SentEval, bool IsSick, int Pairs)> s_single = new(StringComparer.Ordinal)
    {
        ["STSB"] = ("stsb/test.tsv", "STSBenchmark/sts-test.csv", false, 1379),
        ["STSB-dev"] = ("stsb/dev.tsv", "STSBenchmark/sts-dev.csv", false, 1500),
        ["STSB-train"] = ("stsb/train.tsv", "STSBenchmark/sts-train.csv", false, 5749),
        ["SICKR"] = ("sickr/test.tsv", "SICK/SICK_test_annotated.txt", true, 4927),
        ["SICKR-dev"] = ("sickr/dev.tsv", "SICK/SICK_trial.txt", true, 500),
        ["SICKR-train"] = ("sickr/train.tsv", "SICK/SICK_train.txt", true, 4500),
        ["KorSTS"] = ("ko/korsts/test.tsv", "KorSTS/sts-test.tsv", false, 1379),
        ["KorSTS-dev"] = ("ko/korsts/dev.tsv", "KorSTS/sts-dev.tsv", false, 1500),
        ["KorSTS-train"] = ("ko/korsts/train.tsv", "KorSTS/sts-train.tsv", false, 5749),
    };

    /// <summary>Every name there is, in the order of the paper's tables.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_years.Keys, .. s_single.Keys];

    /// <summary>The official number of pairs of a set.</summary>
    public static int OfficialPairs(string name) => s_years.TryGetValue(name, out (string Name, int Pairs)[]? year) ? year.Sum(s => s.Pairs) : s_single[name].Pairs;

    /// <summary>Reads a set, or says what is missing.</summary>
    /// <param name="directory">The folder that <c>--data</c> names.</param>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <exception cref="InvalidDataException">A row is wrong.</exception>
    public static (StsTask? Task, MissingSet? Missing) Find(string directory, string name) =>
        s_years.TryGetValue(name, out (string Name, int Pairs)[]? subsets) ? FindYear(directory, name, subsets) : FindSingle(directory, name);

    /// <summary>A TSV with a header naming score, sentence1 and sentence2.</summary>
    public static List<StsPair> ReadTable(string path, double lowest, double highest) =>
        ReadWithHeader(path, "score", "sentence1", "sentence2", lowest, highest);

    private static (StsTask? Task, MissingSet? Missing) FindYear(string directory, string name, (string Name, int Pairs)[] subsets)
    {
        string[] tables = [.. subsets.Select(s => s.Name + ".tsv")];
        string[] inputs = [.. subsets.SelectMany(s => new[] { $"STS.input.{s.Name}.txt", $"STS.gs.{s.Name}.txt" })];
        string? partial = null;
        foreach (string place in s_places)
        {
            foreach ((string folder, string[] files, bool isTable) in new[] { (name, tables, true), (name + "-en-test", inputs, false) })
            {
                string path = Path.Combine(directory, place, folder);
                string[] absent = [.. files.Where(f => !File.Exists(Path.Combine(path, f)))];
                if (absent.Length == 0)
                {
                    return (new StsTask(name, [.. subsets.Select(s => new StsSubset(s.Name, isTable
                        ? ReadTable(Path.Combine(path, s.Name + ".tsv"), 0, 5)
                        : ReadInputAndGold(path, s.Name)))]), null);
                }

                if (absent.Length < files.Length)
                {
                    partial ??= $"{path} lacks {string.Join(", ", absent)}";
                }
            }
        }

        string[] lookedFor = [$"{name}/{{{string.Join(',', subsets.Select(s => s.Name))}}}.tsv", $"STS/{name}-en-test/STS.input.NAME.txt and STS.gs.NAME.txt (SentEval)"];
        return (null, new MissingSet(name, directory, lookedFor, partial));
    }

    private static (StsTask? Task, MissingSet? Missing) FindSingle(string directory, string name)
    {
        (string table, string published, bool isSick, _) = s_single[name];
        bool korean = published.EndsWith(".tsv", StringComparison.Ordinal); // published with a header
        foreach (string place in s_places)
        {
            string path = Path.Combine(directory, place, table);
            if (File.Exists(path))
            {
                return (Single(ReadTable(path, isSick ? 1 : 0, 5)), null);
            }

            path = Path.Combine(directory, place, published);
            if (File.Exists(path))
            {
                return (Single(korean ? ReadTable(path, 0, 5) : isSick ? ReadWithHeader(path, "relatedness_score", "sentence_A", "sentence_B", 1, 5) : ReadBenchmark(path)), null);
            }
        }

        return (null, new MissingSet(name, directory, [table, korean ? $"{published} (KorNLUDatasets)" : $"{(isSick ? "" : "STS/")}{published} (SentEval)"], null));

        StsTask Single(List<StsPair> pairs) => new(name, [new StsSubset(name, pairs)]);
    }

    private static List<StsPair> ReadWithHeader(string path, string scoreName, string firstName, string secondName, double lowest, double highest)
    {
        List<StsPair> pairs = [];
        int score = -1, first = -1, second = -1, columns = 0, line = 0;
        foreach (string text in Utf8LineReader.ReadFile(path))
        {
            line++;
            string[] fields = text.Split('\t');
            if (line == 1)
            {
                columns = fields.Length;
                score = Array.IndexOf(fields, scoreName);
                first = Array.IndexOf(fields, firstName);
                second = Array.IndexOf(fields, secondName);
                if (score < 0 || first < 0 || second < 0)
                {
                    throw new InvalidDataException($"{path}:1:1: expected a header line with the tab-separated columns {scoreName}, {firstName} and {secondName}, found \"{TextRow.Shorten(text)}\"");
                }

                continue;
            }

            if (fields.Length != columns)
            {
                throw new InvalidDataException($"{path}:{line}:1: {fields.Length} tab-separated columns; expected {columns} as in the header");
            }

            pairs.Add(new StsPair(
                TextRow.Sentence(path, line, fields, first),
                TextRow.Sentence(path, line, fields, second),
                Score(path, line, fields, score, lowest, highest)));
        }

        return NotEmpty(path, pairs);
    }

    private static List<StsPair> ReadBenchmark(string path)
    {
        List<StsPair> pairs = [];
        int line = 0;
        foreach (string text in Utf8LineReader.ReadFile(path))
        {
            line++;
            string[] fields = text.Split('\t');
            if (fields.Length < 7)
            {
                throw new InvalidDataException($"{path}:{line}:1: {fields.Length} tab-separated columns; expected at least 7, with the score in column 5 and the sentences in 6 and 7");
            }

            pairs.Add(new StsPair(TextRow.Sentence(path, line, fields, 5), TextRow.Sentence(path, line, fields, 6), Score(path, line, fields, 4, 0, 5)));
        }

        return NotEmpty(path, pairs);
    }

    private static List<StsPair> ReadInputAndGold(string directory, string subset)
    {
        string inputPath = Path.Combine(directory, $"STS.input.{subset}.txt");
        string goldPath = Path.Combine(directory, $"STS.gs.{subset}.txt");
        string[] gold = [.. Utf8LineReader.ReadFile(goldPath)];
        List<StsPair> pairs = [];
        int line = 0;
        foreach (string text in Utf8LineReader.ReadFile(inputPath))
        {
            line++;
            string[] fields = text.Split('\t');

            // SemEval's own STS16 files name the sources of the two sentences in two more columns.
            if (fields.Length is not (2 or 4))
            {
                throw new InvalidDataException($"{inputPath}:{line}:1: {fields.Length} tab-separated columns; expected two sentences");
            }

            if (line > gold.Length)
            {
                throw new InvalidDataException($"{goldPath}:{gold.Length}: {gold.Length} gold scores; expected one for every line of {Path.GetFileName(inputPath)}, which has more");
            }

            if (gold[line - 1].Trim().Length > 0)
            {
                pairs.Add(new StsPair(TextRow.Sentence(inputPath, line, fields, 0), TextRow.Sentence(inputPath, line, fields, 1), Score(goldPath, line, [gold[line - 1]], 0, 0, 5)));
            }
        }

        if (gold.Length > line)
        {
            throw new InvalidDataException($"{goldPath}:{line + 1}:1: {gold.Length} gold scores for {line} pairs of {Path.GetFileName(inputPath)}; expected as many");
        }

        return NotEmpty(inputPath, pairs);
    }

    private static List<StsPair> NotEmpty(string path, List<StsPair> pairs) =>
        pairs.Count > 0 ? pairs : throw new InvalidDataException($"{path}: no pair with a gold score in it");

    private static double Score(string path, int line, string[] fields, int column, double lowest, double highest)
    {
        if (!double.TryParse(fields[column].Trim(), NumberStyles.Float, CultureInfo.InvariantCulture, out double score) || !double.IsFinite(score) || score < lowest || score > highest)
        {
            string range = highest == double.MaxValue ? "a number" : string.Create(CultureInfo.InvariantCulture, $"a score from {lowest} to {highest}");
            throw new InvalidDataException($"{path}:{line}:{TextRow.ColumnOf(fields, column)}: \"{TextRow.Shorten(fields[column])}\"; expected {range}");
        }

        return score;
    }
}
