using SimCse.Evaluation.Rivals;

namespace SimCse.Evaluation;

/// <summary>A set that was asked for and is not there.</summary>
/// <param name="Name">Such as STS16.</param>
/// <param name="Directory">The folder that was searched.</param>
/// <param name="Expected">The files that would have been read, by their path under that folder.</param>
/// <param name="Partial">Where some but not all of the files are there: which folder lacks which; else null.</param>
public sealed record MissingSet(string Name, string Directory, IReadOnlyList<string> Expected, string? Partial)
{
    /// <summary>One line: what is missing, where it was looked for, what to put there.</summary>
    public string Message => Partial is null
        ? $"{Name} is not in {Directory}: put {string.Join(", or ", Expected)} there (or under sts/, transfer/, downstream/ or data/ of it)"
        : $"{Name} is incomplete: {Partial}";
}

/// <summary>The STS sets that one judgement runs over.</summary>
public sealed class StsSuite
{
    /// <summary>The seven sets of the paper's tables: the test parts of STS12 to STS16, the STS Benchmark and SICK relatedness.</summary>
    public static IReadOnlyList<string> SevenTasks { get; } = ["STS12", "STS13", "STS14", "STS15", "STS16", "STSB", "SICKR"];

    /// <summary>Korean semantic textual similarity (Ham et al. 2020): KorSTS, the STS Benchmark in Korean; its dev part and its test part.</summary>
    public static IReadOnlyList<string> KoreanTasks { get; } = ["KorSTS-dev", "KorSTS"];

    /// <summary>Every name that can be asked for; besides, <c>sts</c> means <see cref="SevenTasks"/>, <c>ko</c> <see cref="KoreanTasks"/>, and STSB-test, SICKR-test and KorSTS-test mean STSB, SICKR and KorSTS.</summary>
    public static IReadOnlyList<string> KnownTasks => StsFiles.Names;

    private StsSuite(IReadOnlyList<StsTask> tasks, IReadOnlyList<MissingSet> missing, IReadOnlyList<string> remarks)
    {
        Tasks = tasks;
        Missing = missing;
        Remarks = remarks;
    }

    /// <summary>The sets that were found, in the order asked for.</summary>
    public IReadOnlyList<StsTask> Tasks { get; }

    /// <summary>Those that were asked for and not found.</summary>
    public IReadOnlyList<MissingSet> Missing { get; }

    /// <summary>What a reader of the figures should know: a set whose number of pairs is not the official one.</summary>
    public IReadOnlyList<string> Remarks { get; }

    /// <summary>The sets that a list of names means, without looking for files.</summary>
    /// <param name="suite">Names of <see cref="KnownTasks"/> in any case, <c>sts</c> and <c>ko</c>, separated by commas.</param>
    /// <exception cref="FormatException">A name is not known; the message lists those that are.</exception>
    public static IReadOnlyList<string> ParseNames(string suite)
    {
        ArgumentNullException.ThrowIfNull(suite);
        List<string> names = [];
        foreach (string name in suite.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            IEnumerable<string> meant = name.ToUpperInvariant() switch
            {
                "STS" => SevenTasks,
                "KO" => KoreanTasks,
                _ => [KnownName(name)],
            };
            names.AddRange(meant.Where(task => !names.Contains(task, StringComparer.Ordinal)));
        }

        return names.Count > 0 ? names : throw new FormatException($"no suite named; expected sts, ko, or some of {string.Join(", ", KnownTasks)}, separated by commas");
    }

    /// <summary>Finds and reads sets in a folder of data, be it in the TSV layout (sts/STS12/MSRpar.tsv, stsb/test.tsv, sickr/test.tsv) or SentEval's own.</summary>
    /// <param name="directory">The folder that holds them, itself or under sts, downstream or data.</param>
    /// <param name="suite">What to look for: see <see cref="ParseNames"/>.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">None of the sets is there; the message says what was looked for.</exception>
    /// <exception cref="InvalidDataException">A row is wrong: the message has file, line, column and what was expected.</exception>
    /// <exception cref="FormatException">A name is not known.</exception>
    public static StsSuite Load(string directory, string suite = "sts")
    {
        IReadOnlyList<string> names = ParseNames(suite);
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"{directory}: no such folder; expected one that holds STS data");
        }

        List<StsTask> tasks = [];
        List<MissingSet> missing = [];
        List<string> remarks = [];
        foreach (string name in names)
        {
            (StsTask? task, MissingSet? absent) = StsFiles.Find(directory, name);
            if (absent is not null)
            {
                missing.Add(absent);
                continue;
            }

            tasks.Add(task!);
            int official = StsFiles.OfficialPairs(name);
            if (task!.PairCount != official)
            {
                remarks.Add($"{name} has {task.PairCount} pairs here and {official} officially: its figure is not comparable with published ones");
            }
        }

        return tasks.Count > 0
            ? new StsSuite(tasks, missing, remarks)
            : throw new FileNotFoundException(string.Join("; ", missing.Select(m => m.Message)));
    }

    /// <summary>Encodes every sentence of all sets once, and scores each set.</summary>
    /// <param name="encoder">The model.</param>
    /// <param name="model">What the report calls it.</param>
    /// <param name="pooling">What the report calls its pooling, such as <c>avg</c>.</param>
    /// <param name="postProcessing">Fitted to the sentences of each set, and applied to that set; null for none. (For a map fitted to other texts, <see cref="PostProcessedEncoder"/>.)</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    /// <exception cref="InvalidDataException">The post-processing cannot be fitted to a set: see <see cref="PostProcessing.Fit"/>.</exception>
    public StsReport Evaluate(ISentenceEncoder encoder, string model, string pooling, PostProcessing? postProcessing = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        Dictionary<string, int> rowOf = new(StringComparer.Ordinal);
        List<string> sentences = [];
        List<int[]> rows = [];
        foreach (StsTask task in Tasks)
        {
            int[] rowsOfTask = new int[task.Sentences.Count];
            for (int i = 0; i < rowsOfTask.Length; i++)
            {
                if (rowOf.TryAdd(task.Sentences[i], sentences.Count))
                {
                    sentences.Add(task.Sentences[i]);
                }

                rowsOfTask[i] = rowOf[task.Sentences[i]];
            }

            rows.Add(rowsOfTask);
        }

        EmbeddingMatrix vectors = encoder.Encode(sentences, cancellationToken);
        return new StsReport(model, pooling, [.. Tasks.Select((task, i) => postProcessing is null ? task.Score(vectors, rows[i]) : task.Score(Mapped(task, rows[i])))], Missing, Remarks);

        EmbeddingMatrix Mapped(StsTask task, int[] rowsOfTask)
        {
            float[] own = [.. rowsOfTask.SelectMany(row => vectors.RowMemory(row).ToArray())];
            return postProcessing.FitAndApply(new EmbeddingMatrix(own, rowsOfTask.Length, vectors.Dimensions), task.Name);
        }
    }

    private static string KnownName(string name)
    {
        string plain = name.EndsWith("-test", StringComparison.OrdinalIgnoreCase) ? name[..^"-test".Length] : name;
        return KnownTasks.FirstOrDefault(known => known.Equals(plain, StringComparison.OrdinalIgnoreCase))
            ?? throw new FormatException(Transfer.TransferSuite.FindNames(name) is not null
                ? $"'{name}' is of the transfer tasks: they and the STS sets are judged one or the other"
                : $"'{name}' is not a suite or an STS set; expected sts, ko, or some of {string.Join(", ", KnownTasks)}, separated by commas");
    }
}
