using System.Diagnostics;
using SimCse.Evaluation.Rivals;

namespace SimCse.Evaluation.Transfer;

/// <summary>The transfer tasks that one judgement runs over.</summary>
public sealed class TransferSuite
{
    private TransferSuite(IReadOnlyList<TransferTask> tasks, IReadOnlyList<MissingSet> missing, IReadOnlyList<string> remarks)
    {
        Tasks = tasks;
        Missing = missing;
        Remarks = remarks;
    }

    /// <summary>Every name that can be asked for: the seven tasks of the paper's table E.1. Besides, <c>transfer</c> means all.</summary>
    public static IReadOnlyList<string> KnownTasks => TransferFiles.Names;

    /// <summary>The tasks that were found, in the order asked for.</summary>
    public IReadOnlyList<TransferTask> Tasks { get; }

    /// <summary>Those that were asked for and not found.</summary>
    public IReadOnlyList<MissingSet> Missing { get; }

    /// <summary>What a reader of the figures should know: a task whose number of examples is not the official one.</summary>
    public IReadOnlyList<string> Remarks { get; }

    /// <summary>The tasks that a list of names means; null where one of them is not a transfer task.</summary>
    /// <param name="suite">Names of <see cref="KnownTasks"/> in any case, and <c>transfer</c>, separated by commas.</param>
    public static IReadOnlyList<string>? FindNames(string suite)
    {
        ArgumentNullException.ThrowIfNull(suite);
        List<string> names = [];
        foreach (string name in suite.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            string[] meant = name.Equals("transfer", StringComparison.OrdinalIgnoreCase) ? [.. KnownTasks] : [.. KnownTasks.Where(k => k.Equals(name, StringComparison.OrdinalIgnoreCase))];
            if (meant.Length == 0)
            {
                return null;
            }

            names.AddRange(meant.Where(task => !names.Contains(task, StringComparer.Ordinal)));
        }

        return names.Count > 0 ? names : null;
    }

    /// <summary>Finds and reads tasks in a folder of data, be it in the TSV layout (transfer/MR.tsv, transfer/TREC/train.tsv) or SentEval's own.</summary>
    /// <param name="directory">The folder that holds them, itself or under transfer, downstream or data.</param>
    /// <param name="suite">What to look for: see <see cref="FindNames"/>.</param>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">None of the tasks is there; the message says what was looked for.</exception>
    /// <exception cref="InvalidDataException">A row is wrong: the message has file, line, column and what was expected.</exception>
    /// <exception cref="FormatException">A name is not known.</exception>
    public static TransferSuite Load(string directory, string suite = "transfer")
    {
        IReadOnlyList<string> names = FindNames(suite) ?? throw new FormatException($"'{suite}'; expected transfer, or some of {string.Join(", ", KnownTasks)}, separated by commas");
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"{directory}: no such folder; expected one that holds transfer tasks");
        }

        List<TransferTask> tasks = [];
        List<MissingSet> missing = [];
        List<string> remarks = [];
        foreach (string name in names)
        {
            (TransferTask? task, MissingSet? absent, string? remark) = TransferFiles.Find(directory, name);
            tasks.AddRange(task is null ? [] : [task]);
            missing.AddRange(absent is null ? [] : [absent]);
            remarks.AddRange(remark is null ? [] : [remark]);
        }

        return tasks.Count > 0 ? new TransferSuite(tasks, missing, remarks) : throw new FileNotFoundException(string.Join("; ", missing.Select(m => m.Message)));
    }

    /// <summary>Encodes the texts of each task once, then fits and judges its classifiers.</summary>
    /// <param name="encoder">Its raw vectors are used.</param>
    /// <param name="model">What the report calls it.</param>
    /// <param name="pooling">What the report calls its pooling, such as <c>avg</c>.</param>
    /// <param name="postProcessing">Fitted to the texts of each task, without their classes, and applied to that task; null for none.</param>
    /// <param name="threads">The classifiers fitted side by side; null for as many as there are processors.</param>
    /// <param name="progress">Told how it goes, a line at a time.</param>
    /// <param name="cancellationToken">Passed to the encoder, and looked at between passes over the examples.</param>
    /// <exception cref="InvalidDataException">A vector is not finite, or the post-processing cannot be fitted.</exception>
    public TransferReport Evaluate(ISentenceEncoder encoder, string model, string pooling, PostProcessing? postProcessing = null, int? threads = null, IProgress<string>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        List<TransferTaskResult> results = [];
        double encoding = 0;
        foreach (TransferTask task in Tasks)
        {
            progress?.Report($"{task.Name}: encoding {task.Texts.Count} texts");
            long start = Stopwatch.GetTimestamp();
            EmbeddingMatrix vectors = encoder.Encode(task.Texts, cancellationToken);
            vectors = postProcessing?.FitAndApply(vectors, task.Name) ?? vectors;
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            encoding += seconds;
            progress?.Report(FormattableString.Invariant($"{task.Name}: encoded in {seconds:0.0} s, fitting"));
            TransferTaskResult result = task.Score(vectors, threads ?? Environment.ProcessorCount, progress is null ? null : new FitLines(task.Name, progress), cancellationToken);
            progress?.Report(FormattableString.Invariant($"{task.Name}: {result.Accuracy:F2}, fitted in {result.Seconds:0.0} s"));
            results.Add(result);
        }

        return new TransferReport(model, pooling, results, Missing, Remarks, encoding);
    }

    /// <summary>Says every ten seconds how many classifiers are fitted.</summary>
    private sealed class FitLines(string task, IProgress<string> progress) : IProgress<long>
    {
        private long _last = Stopwatch.GetTimestamp();

        public void Report(long value)
        {
            if (Stopwatch.GetElapsedTime(_last).TotalSeconds >= 10)
            {
                _last = Stopwatch.GetTimestamp();
                progress.Report($"{task}: {value} classifiers fitted");
            }
        }
    }
}
