using SimCse.Tokenization;

namespace SimCse.Inference;

/// <summary>Texts that run together: their rows in the result, and the number of tokens they are padded to.</summary>
internal readonly record struct TokenBatch(ReadOnlyMemory<int> Rows, int Width)
{
    /// <summary>Starting a batch costs about as much time as this many tokens: up to so much padding it is cheaper to go on with the one begun.</summary>
    public const int PaddingWorthABatch = 32;

    /// <summary>
    /// Cuts texts into batches, longest first, of about the same length, so that little is padding, and of no more than
    /// <paramref name="tokenBudget"/> tokens each with the padding (a longer single text is a batch of its own).
    /// </summary>
    /// <param name="texts">The texts.</param>
    /// <param name="tokenBudget">The most tokens of a batch, padding included.</param>
    /// <param name="padding">The most padding of a batch; 0 for texts of equal length only.</param>
    public static List<TokenBatch> Plan(IReadOnlyList<TokenizedText> texts, int tokenBudget, int padding = PaddingWorthABatch)
    {
        int[] rows = [.. Enumerable.Range(0, texts.Count).OrderByDescending(row => texts[row].Ids.Length)];
        List<TokenBatch> batches = [];
        for (int start = 0, end; start < rows.Length; start = end)
        {
            int width = texts[rows[start]].Ids.Length;
            int padded = 0;
            for (end = start + 1; end < rows.Length && (end - start + 1) * (long)width <= tokenBudget; end++)
            {
                padded += width - texts[rows[end]].Ids.Length;
                if (padded > padding)
                {
                    break;
                }
            }

            batches.Add(new TokenBatch(rows.AsMemory(start, end - start), width));
        }

        return batches;
    }
}
