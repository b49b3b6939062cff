using System.Text.RegularExpressions;
using SimCse.Evaluation;

namespace SimCse.Tests;

/// <summary>
/// Counts of lower-cased words as vectors. Two words share a component where no pair of the task holds both, so the cosine of every pair
/// is exactly that of full count vectors, in a few hundred components instead of tens of thousands.
/// </summary>
internal sealed partial class BagOfWordsEncoder : ISentenceEncoder
{
    private readonly Dictionary<string, int> _component = new(StringComparer.Ordinal);

    public BagOfWordsEncoder(IEnumerable<StsPair> pairs)
    {
        Dictionary<string, HashSet<string>> together = new(StringComparer.Ordinal);
        foreach (StsPair pair in pairs)
        {
            string[] words = [.. Words(pair.First).Concat(Words(pair.Second)).Distinct(StringComparer.Ordinal)];
            foreach (string word in words)
            {
                if (!together.TryGetValue(word, out HashSet<string>? others))
                {
                    together[word] = others = new HashSet<string>(StringComparer.Ordinal);
                }

                others.UnionWith(words);
            }
        }

        foreach ((string word, HashSet<string> others) in together.OrderByDescending(w => w.Value.Count))
        {
            HashSet<int> taken = [.. others.Where(_component.ContainsKey).Select(o => _component[o])];
            int free = 0;
            while (taken.Contains(free))
            {
                free++;
            }

            _component[word] = free;
            Dimensions = Math.Max(Dimensions, free + 1);
        }
    }

    public int Dimensions { get; }

    /// <summary>How many sentences it was asked for, over all calls.</summary>
    public int Encoded { get; private set; }

    public EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default)
    {
        Encoded += sentences.Count;
        float[] values = new float[sentences.Count * Dimensions];
        for (int i = 0; i < sentences.Count; i++)
        {
            foreach (string word in Words(sentences[i]))
            {
                values[(i * Dimensions) + _component[word]]++;
            }
        }

        return new EmbeddingMatrix(values, sentences.Count, Dimensions);
    }

    private static IEnumerable<string> Words(string sentence) => Word().Matches(sentence.ToLowerInvariant()).Select(m => m.Value);

    // Python's \w: letters, numbers of every kind and the underscore; .NET's takes marks too and leaves out fractions.
    [GeneratedRegex(@"[\p{L}\p{N}_]+", RegexOptions.None, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Word();
}
