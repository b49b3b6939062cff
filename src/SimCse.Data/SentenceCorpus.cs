using System.Text;

namespace SimCse.Data;

/// <summary>
/// Collects the sentences to train on out of many sources: each once, none longer than a limit, and none that an evaluation will ask about. Two texts are the same where they agree in their letters and
/// digits, whatever their case, punctuation and spaces.
/// </summary>
public sealed class SentenceCorpus
{
    private static readonly char[] s_clauseEnds = [',', ';', ':', '(', ')', '–', '—'];

    private readonly HashSet<string> _excluded = new(StringComparer.Ordinal);
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>Shorter texts are left out.</summary>
    public int MinWords { get; init; } = 3;

    /// <summary>A longer text is cut at commas, semicolons, colons, brackets and dashes, and those of its clauses are taken that are of <see cref="MinWords"/> to as many words.</summary>
    public int MaxWords { get; init; } = 20;

    /// <summary>The distinct texts that no sentence of the corpus may equal.</summary>
    public int Excluded => _excluded.Count;

    /// <summary>How many sentences were taken.</summary>
    public int Taken => _taken.Count;

    /// <summary>How many sentences were met, and left out, that equal an excluded one.</summary>
    public int Overlaps { get; private set; }

    /// <summary>Excludes every tab-separated field of every line of a file, or of all .tsv, .csv and .txt files (also with .gz) of a folder and the folders in it.</summary>
    /// <exception cref="FileNotFoundException">There is neither a file nor a folder of that name, or no such file in the folder.</exception>
    public void Exclude(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string[] files = Directory.Exists(path)
            ? [.. Directory.GetFiles(path, "*", SearchOption.AllDirectories).Where(f => DataFiles.FormatEnding(f) is ".tsv" or ".csv" or ".txt")]
            : [path];
        if (files.Length == 0)
        {
            throw new FileNotFoundException($"{path}: no .tsv, .csv or .txt file in this folder", path);
        }

        foreach (string file in files)
        {
            using Utf8LineReader reader = new(DataFiles.OpenUnpacked(file), file);
            while (reader.ReadLine() is { } line)
            {
                _excluded.UnionWith(line.Split('\t').Select(Normal).Where(n => n.Length > 0));
            }
        }
    }

    /// <summary>The sentences of these texts that belong to the corpus and are not yet in it.</summary>
    public IEnumerable<string> Take(IEnumerable<string> texts)
    {
        ArgumentNullException.ThrowIfNull(texts);
        foreach (string sentence in texts.SelectMany(Sentences))
        {
            string normal = Normal(sentence);
            if (_excluded.Contains(normal))
            {
                Overlaps++;
            }
            else if (normal.Length > 0 && _taken.Add(normal))
            {
                yield return sentence;
            }
        }
    }

    /// <summary>A text in one line, or its clauses.</summary>
    private IEnumerable<string> Sentences(string text)
    {
        string[] words = Words(text);
        return words.Length <= MaxWords
            ? words.Length >= MinWords ? [string.Join(' ', words)] : []
            : text.Split(s_clauseEnds).Select(Words).Where(clause => clause.Length >= MinWords && clause.Length <= MaxWords).Select(clause => string.Join(' ', clause));
    }

    private static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    private static string Normal(string text)
    {
        StringBuilder normal = new(text.Length);
        foreach (char c in text.Where(char.IsLetterOrDigit))
        {
            normal.Append(char.ToLowerInvariant(c));
        }

        return normal.ToString();
    }
}
