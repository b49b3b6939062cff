using System.Text.RegularExpressions;

namespace SimCse.Server.Api;

/// <summary>
/// The words of a hit that make it one. Each word is left out in turn: what the cosine with the query loses is the word's weight (occlusion: Zeiler and Fergus 2014, section 4.2, on words). So it holds for any model,
/// whatever it does inside.
/// </summary>
internal static partial class BestWords
{
    // Longer texts are looked at in as many groups of neighbouring words.
    private const int MostParts = 24;

    // A word is marked where it weighs at least this share of the heaviest.
    private const float LeastWeight = 0.25f;

    /// <param name="query">The query's vector.</param>
    /// <param name="texts">The hits.</param>
    /// <param name="vectors">The model.</param>
    /// <param name="cancellationToken">Ends it.</param>
    public static async Task<IReadOnlyList<WordWeight>[]> FindAsync(ReadOnlyMemory<float> query, IReadOnlyList<string> texts, TextVectors vectors, CancellationToken cancellationToken)
    {
        (int Start, int End)[][] parts = [.. texts.Select(Parts)];
        List<string> variants = [];
        for (int i = 0; i < texts.Count; i++)
        {
            variants.Add(texts[i]);
            variants.AddRange(parts[i].Select(part => texts[i].Remove(part.Start, part.End - part.Start)));
        }

        IReadOnlyList<WordWeight>[] words = new IReadOnlyList<WordWeight>[texts.Count];
        if (texts.Count == 0)
        {
            return words;
        }

        EmbeddingMatrix encoded = await vectors.EncodeAsync(variants, "query", cancellationToken);
        int row = 0;
        for (int i = 0; i < texts.Count; i++)
        {
            float whole = TextVectors.Cosine(query.Span, encoded[row++]);
            float[] losses = new float[parts[i].Length];
            for (int part = 0; part < losses.Length; part++)
            {
                losses[part] = whole - TextVectors.Cosine(query.Span, encoded[row++]);
            }

            float heaviest = losses.DefaultIfEmpty().Max();
            words[i] = heaviest <= 0 ? [] :
            [
                .. losses.Select((loss, part) => new WordWeight(parts[i][part].Start, parts[i][part].End, loss / heaviest)).Where(word => word.Weight >= LeastWeight).OrderByDescending(word => word.Weight),
            ];
        }

        return words;
    }

    /// <summary>The words of a text, grouped where there are many. Scripts without spaces are cut into characters.</summary>
    private static (int Start, int End)[] Parts(string text)
    {
        (int Start, int End)[] words = [.. Word().Matches(text).Select(match => (match.Index, match.Index + match.Length))];
        int group = (words.Length + MostParts - 1) / MostParts;
        return group <= 1 ? words : [.. words.Chunk(group).Select(chunk => (chunk[0].Start, chunk[^1].End))];
    }

    [GeneratedRegex(@"[\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF]|[\p{L}\p{M}\p{N}-[\u3040-\u30FF\u3400-\u4DBF\u4E00-\u9FFF]]+(?:['’\-][\p{L}\p{N}]+)*", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Word();
}
