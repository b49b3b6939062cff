using SimCse.Checkpoints;
using SimCse.Data;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Modeling;

namespace SimCse.Training.Studies;

/// <summary>The data that a user gives a study.</summary>
/// <param name="Checkpoint">The base model, which also predicts masked words.</param>
/// <param name="Tokenizer">Its tokenizer.</param>
/// <param name="Limit">At most so many rows of each source.</param>
/// <param name="MaxLength">Tokens kept of a text.</param>
/// <param name="Precision">In which numbers the base predicts masked words.</param>
public sealed record StudySources(Checkpoint Checkpoint, Tokenizer Tokenizer, int Limit, int MaxLength, Precision Precision)
{
    private string? _sentencesHash, _runningTextHash;

    /// <summary>The sentences of the unsupervised runs, and what they are called.</summary>
    public required (string Name, IReadOnlyList<string> Texts) Sentences { get; init; }

    /// <summary>Running text, for 'next sentence'; null for <see cref="Sentences"/>.</summary>
    public (string Name, IReadOnlyList<string> Texts)? RunningText { get; init; }

    /// <summary>A file of premises, entailments and contradictions; null where there is none.</summary>
    public string? Triplets { get; init; }

    /// <summary>More files of pairs or triplets to compare with.</summary>
    public IReadOnlyList<string> More { get; init; } = [];

    /// <summary>The folder of WordNet; null where there is none.</summary>
    public string? WordNet { get; init; }

    /// <summary>SHA-256 of the sentences.</summary>
    public string SentencesHash => _sentencesHash ??= PretrainingTexts.Hash(Sentences.Texts);

    /// <summary>SHA-256 of the running text.</summary>
    public string RunningTextHash => RunningText is { } running ? _runningTextHash ??= PretrainingTexts.Hash(running.Texts) : SentencesHash;

    /// <summary>The sentences of a file, its first column.</summary>
    /// <param name="path">The file.</param>
    /// <param name="limit">At most so many rows.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    public static (string Name, IReadOnlyList<string> Texts) ReadSentences(string path, int limit, CancellationToken cancellationToken) =>
        (Path.GetFileName(path), [.. SentenceFile.Open(path).Rows(limit, cancellationToken).Select(r => r.Sentence)]);

    /// <summary>The rows of a file of pairs or triplets.</summary>
    /// <param name="path">The file.</param>
    /// <param name="columns">Which of its columns.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <exception cref="InvalidDataException">It has fewer columns.</exception>
    internal IReadOnlyList<string>[] ReadColumns(string path, IReadOnlyList<int> columns, CancellationToken cancellationToken)
    {
        SentenceFile file = SentenceFile.Open(path);
        return file.Columns <= columns.Max()
            ? throw new InvalidDataException($"{path}: {file.Columns} columns; expected {columns.Max() + 1}")
            : [.. file.Rows(Limit, cancellationToken).Select(row => (IReadOnlyList<string>)[.. columns.Select(c => row.Texts[c])])];
    }
}
