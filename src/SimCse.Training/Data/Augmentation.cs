namespace SimCse.Training.Data;

/// <summary>
/// The discrete augmentations that the paper compares dropout with (table 1): what they make of a sentence is its positive. Words are what white space parts. Each is a pure function of (seed, row).
/// </summary>
public static class Augmentation
{
    private const uint PlacePurpose = 30, ChoicePurpose = 31;

    /// <summary>A run of neighbouring words, (1 − rate) of the sentence's, at least one.</summary>
    public static string Crop(string text, double rate, long seed, int row)
    {
        string[] words = Words(text);
        int kept = Math.Max(1, (int)Math.Round((1 - rate) * words.Length));
        int start = (int)(new CounterRandom(seed, PlacePurpose).Uniform((uint)row) * (words.Length - kept + 1));
        return string.Join(' ', words.AsSpan(start, kept)!);
    }

    /// <summary>The sentence without rate · words of its words, at least one of them gone and at least one left.</summary>
    public static string DeleteWords(string text, double rate, long seed, int row)
    {
        string[] words = Words(text);
        HashSet<int> gone = [.. Chosen(words.Length, Math.Min(words.Length - 1, Math.Max(1, (int)Math.Round(rate * words.Length))), seed, row)];
        return string.Join(' ', words.Where((_, i) => !gone.Contains(i)));
    }

    /// <summary>The sentence without one of its words; a sentence of one word stays.</summary>
    public static string DeleteOneWord(string text, long seed, int row) => DeleteWords(text, 0, seed, row);

    /// <summary>The sentence with rate · words of its words, at least one, replaced by a synonym; words without one stay.</summary>
    public static string ReplaceSynonyms(string text, double rate, Synonyms synonyms, long seed, int row)
    {
        ArgumentNullException.ThrowIfNull(synonyms);
        string[] words = Words(text);
        int[] able = [.. Enumerable.Range(0, words.Length).Where(i => synonyms.Of(words[i]).Count > 0)];
        CounterRandom choice = new(seed, ChoicePurpose);
        foreach (int place in Chosen(able.Length, Math.Min(able.Length, Math.Max(1, (int)Math.Round(rate * words.Length))), seed, row))
        {
            IReadOnlyList<string> options = synonyms.Of(words[able[place]]);
            words[able[place]] = options[(int)(choice.Uniform((uint)row, (uint)place) * options.Count)];
        }

        return string.Join(' ', words);
    }

    /// <summary>The words of a sentence.</summary>
    internal static string[] Words(string text) => text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    /// <summary><paramref name="count"/> of the numbers below <paramref name="of"/>, in order.</summary>
    internal static IEnumerable<int> Chosen(int of, int count, long seed, int row)
    {
        CounterRandom random = new(seed, PlacePurpose);
        return Enumerable.Range(0, of).OrderBy(i => random.Word((uint)row, (uint)i)).Take(Math.Max(0, count)).Order();
    }
}
