using System.Text;
using SimCse.Data;

namespace SimCse.Evaluation.Transfer;

/// <summary>Finds and reads the files of the transfer tasks, in the TSV layout and in SentEval's own.</summary>
internal static class TransferFiles
{
    /// <summary>Where under the given folder the tasks are looked for, in this order.</summary>
    private static readonly string[] s_places = ["", "transfer", "downstream", "data", "data/transfer", "data/downstream", "SentEval/data/downstream"];

    /// <summary>The tasks in the order of the paper's table, the parts they are made of, their classes in SentEval's order, and the official number of examples (without blank lines).</summary>
    private static readonly Layout[] s_layouts =
    [
        new("MR", [new("MR.tsv", ["MR/rt-polarity.pos", "MR/rt-polarity.neg"], 10662)], ["0", "1"], ReadTwoFiles),
        new("CR", [new("CR.tsv", ["CR/custrev.pos", "CR/custrev.neg"], 3771)], ["0", "1"], ReadTwoFiles),
        new("SUBJ", [new("SUBJ.tsv", ["SUBJ/subj.objective", "SUBJ/subj.subjective"], 10000)], ["0", "1"], ReadTwoFiles),
        new("MPQA", [new("MPQA.tsv", ["MPQA/mpqa.pos", "MPQA/mpqa.neg"], 10603)], ["0", "1"], ReadTwoFiles),
        new("SST2",
            [
                new("SST2/train.tsv", ["SST/binary/sentiment-train"], 67349),
                new("SST2/dev.tsv", ["SST/binary/sentiment-dev"], 872),
                new("SST2/test.tsv", ["SST/binary/sentiment-test"], 1821),
            ],
            ["0", "1"], (files, classes) => ReadFields(files[0], classes, header: false, columns: 2, label: 1, first: 0, second: null)),
        new("TREC",
            [new("TREC/train.tsv", ["TREC/train_5500.label"], 5452), new("TREC/test.tsv", ["TREC/TREC_10.label"], 500)],
            ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"], ReadQuestions),
        new("MRPC",
            [new("MRPC/train.tsv", ["MRPC/msr_paraphrase_train.txt"], 4076), new("MRPC/test.tsv", ["MRPC/msr_paraphrase_test.txt"], 1725)],
            ["0", "1"], (files, classes) => ReadFields(files[0], classes, header: true, columns: 5, label: 0, first: 3, second: 4)),
    ];

    /// <summary>Every name there is, in the order of the paper's tables.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_layouts.Select(l => l.Name)];

    /// <summary>Reads a task, or says what is missing; and what a reader of its figure should know.</summary>
    /// <param name="directory">The folder that <c>--data</c> names.</param>
    /// <param name="name">One of <see cref="Names"/>.</param>
    /// <exception cref="InvalidDataException">A row is wrong.</exception>
    public static (TransferTask? Task, MissingSet? Missing, string? Remark) Find(string directory, string name)
    {
        Layout layout = s_layouts.First(l => l.Name.Equals(name, StringComparison.Ordinal));
        string? partial = null;
        foreach (string place in s_places)
        {
            string folder = Path.Combine(directory, place);
            string[] tables = [.. layout.Parts.Select(p => TableIn(folder, p.Table))];
            string[][] own = [.. layout.Parts.Select(p => p.SentEval.Select(f => Path.Combine(folder, f)).ToArray())];
            bool isTable = tables.All(File.Exists);
            if (isTable || own.All(files => files.All(File.Exists)))
            {
                List<TransferExample>[] parts = [.. layout.Parts.Select((_, i) => isTable ? ReadTable(tables[i], layout.Classes) : layout.ReadSentEval(own[i], layout.Classes))];
                TransferTask task = new(name, layout.Classes, parts[0], parts.Length == 3 ? parts[1] : [], parts.Length > 1 ? parts[^1] : []);
                int here = parts.Sum(p => p.Count), official = layout.Parts.Sum(p => p.Examples);
                return (task, null, here == official ? null : $"{name} has {here} examples here and {official} officially: its figure is not comparable with published ones");
            }

            foreach (string[] files in (string[][])[tables, [.. own.SelectMany(f => f)]])
            {
                if (files.Any(File.Exists))
                {
                    partial ??= $"{string.Join(", ", files.Where(f => !File.Exists(f)))} is not there";
                }
            }
        }

        string[] lookedFor = [string.Join(" and ", layout.Parts.Select(p => p.Table)) + " (or .tsv.gz)", string.Join(" and ", layout.Parts.SelectMany(p => p.SentEval)) + " (SentEval)"];
        return (null, new MissingSet(name, directory, lookedFor, partial), null);
    }

    private static string TableIn(string folder, string table)
    {
        string path = Path.Combine(folder, table);
        return File.Exists(path) || !File.Exists(path + ".gz") ? path : path + ".gz";
    }

    /// <summary>A TSV with a header that names label and sentence, or label, sentence1 and sentence2; other columns are passed over.</summary>
    private static List<TransferExample> ReadTable(string path, IReadOnlyList<string> classes)
    {
        using Utf8LineReader lines = Open(path);
        string[] header = lines.ReadLine()?.Split('\t') ?? [];
        int label = Array.IndexOf(header, "label"), first = Math.Max(Array.IndexOf(header, "sentence"), Array.IndexOf(header, "sentence1")), second = Array.IndexOf(header, "sentence2");
        return label >= 0 && first >= 0
            ? ReadFields(lines, path, classes, header.Length, label, first, second < 0 ? null : second)
            : throw new InvalidDataException($"{path}:1:1: expected a header line with the tab-separated columns label and sentence, or label, sentence1 and sentence2, found \"{TextRow.Shorten(string.Join('\t', header))}\"");
    }

    private static List<TransferExample> ReadFields(string path, IReadOnlyList<string> classes, bool header, int columns, int label, int first, int? second)
    {
        using Utf8LineReader lines = Open(path);
        if (header)
        {
            lines.ReadLine();
        }

        return ReadFields(lines, path, classes, columns, label, first, second);
    }

    private static List<TransferExample> ReadFields(Utf8LineReader lines, string path, IReadOnlyList<string> classes, int columns, int label, int first, int? second)
    {
        List<TransferExample> examples = [];
        while (lines.ReadLine() is { } text)
        {
            int line = (int)lines.LineNumber;
            string[] fields = text.Split('\t');
            if (fields.Length != columns)
            {
                throw new InvalidDataException($"{path}:{line}:1: {fields.Length} tab-separated columns; expected {columns}");
            }

            examples.Add(new TransferExample(
                TextRow.Sentence(path, line, fields, first),
                second is { } column ? TextRow.Sentence(path, line, fields, column) : null,
                ClassOf(path, line, TextRow.ColumnOf(fields, label), fields[label], classes)));
        }

        return examples;
    }

    /// <summary>A file of the texts of class 1 and one of class 0, a text a line. SentEval's are in ISO 8859-1; blank lines are no examples.</summary>
    private static List<TransferExample> ReadTwoFiles(string[] files, IReadOnlyList<string> classes) =>
    [
        .. files.SelectMany((file, i) => File.ReadLines(file, Encoding.Latin1).Select(TextRow.SingleSpaced).Where(text => text.Length > 0).Select(text => new TransferExample(text, null, 1 - i))),
    ];

    /// <summary>TREC: <c>CLASS:subclass question</c>, in ISO 8859-1.</summary>
    private static List<TransferExample> ReadQuestions(string[] files, IReadOnlyList<string> classes)
    {
        List<TransferExample> examples = [];
        foreach (string text in File.ReadLines(files[0], Encoding.Latin1))
        {
            int line = examples.Count + 1, colon = text.IndexOf(':', StringComparison.Ordinal), space = text.IndexOf(' ', StringComparison.Ordinal);
            if (colon < 0 || space < colon)
            {
                throw new InvalidDataException($"{files[0]}:{line}:1: expected CLASS:subclass, a space and a question, found \"{TextRow.Shorten(text)}\"");
            }

            examples.Add(new TransferExample(TextRow.Sentence(files[0], line, [text[(space + 1)..]], 0), null, ClassOf(files[0], line, 1, text[..colon], classes)));
        }

        return examples;
    }

    private static int ClassOf(string path, int line, int column, string label, IReadOnlyList<string> classes)
    {
        for (int i = 0; i < classes.Count; i++)
        {
            if (label.Trim().Equals(classes[i], StringComparison.Ordinal))
            {
                return i;
            }
        }

        throw new InvalidDataException($"{path}:{line}:{column}: \"{TextRow.Shorten(label)}\"; expected one of {string.Join(", ", classes)}");
    }

    private static Utf8LineReader Open(string path)
    {
        FileStream file = File.OpenRead(path);
        return new Utf8LineReader(path.EndsWith(".gz", StringComparison.OrdinalIgnoreCase) ? new GzipFile(file) : file, path);
    }

    /// <summary>A task's name, its parts (train; train and test; train, dev and test), its classes, and how SentEval's files of one part are read.</summary>
    private sealed record Layout(string Name, Part[] Parts, string[] Classes, Func<string[], IReadOnlyList<string>, List<TransferExample>> ReadSentEval);

    /// <summary>One part: its TSV path, SentEval's paths, the official number of examples.</summary>
    private sealed record Part(string Table, string[] SentEval, int Examples);
}
