namespace SimCse.Evaluation;

/// <summary>Whether vectors tell how long their texts are.</summary>
public static class LengthBias
{
    /// <summary>Of more pairs, every so-manieth is taken.</summary>
    private const int MostPairs = 1_000_000;

    /// <summary>
    /// Spearman's ρ of the cosine of two texts with the difference of their numbers of words, over the pairs of distinct texts: 0 where length does not show,
    /// −1 where texts are alike by length alone. (A million pairs, evenly spread, where there are more.)
    /// </summary>
    /// <param name="texts">n ≥ 2, single-spaced; a word is what stands between spaces.</param>
    /// <param name="vectors">Row i belongs to <paramref name="texts"/>[i].</param>
    /// <exception cref="ArgumentException">Fewer than two texts, or another number of vectors.</exception>
    /// <exception cref="InvalidDataException">A component is not finite.</exception>
    public static double Of(IReadOnlyList<string> texts, EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentNullException.ThrowIfNull(vectors);
        if (texts.Count < 2 || texts.Count != vectors.Count)
        {
            throw new ArgumentException($"expected two texts or more and a vector for each, not {texts.Count} and {vectors.Count}", nameof(texts));
        }

        UnitVectors unit = new(vectors);
        int[] words = [.. texts.Select(text => text.Count(' ') + 1)];
        long pairs = (long)texts.Count * (texts.Count - 1) / 2, stride = ((pairs - 1) / MostPairs) + 1;
        double[] cosines = new double[(pairs + stride - 1) / stride], differences = new double[cosines.Length];
        int at = 0;
        long next = 0, before = 0;
        Span<float> cosine = stackalloc float[1];
        for (int i = 0; i < texts.Count; i++)
        {
            int ofRow = texts.Count - i - 1;
            for (; next < before + ofRow; next += stride)
            {
                int j = i + 1 + (int)(next - before);
                unit.Dot(unit[i], j, cosine);
                cosines[at] = cosine[0];
                differences[at++] = Math.Abs(words[i] - words[j]);
            }

            before += ofRow;
        }

        return Correlation.Spearman(cosines, differences);
    }
}
