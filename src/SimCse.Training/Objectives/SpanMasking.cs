using SimCse.Tokenization;

namespace SimCse.Training.Objectives;

/// <summary>Masks spans of tokens: span after span of one to <see cref="LongestSpan"/> tokens, at random places, until at least <paramref name="Share"/> of a text's tokens are [MASK].</summary>
/// <remarks>As in SpanBERT (Joshi et al. 2020), with lengths drawn evenly. A pure function of (seed, step, row).</remarks>
/// <param name="Tokenizer">Says which tokens are special and which is the mask.</param>
/// <param name="Share">0 to 1; one token of a text stays in any case.</param>
/// <param name="Seed">The run's seed.</param>
public sealed record SpanMasking(Tokenizer Tokenizer, double Share, long Seed)
{
    /// <summary>The longest span, in tokens.</summary>
    public const int LongestSpan = 5;

    private const uint PlacePurpose = 26, LengthPurpose = 27;

    /// <summary>A masked copy of a row.</summary>
    /// <param name="ids">The row, special tokens included.</param>
    /// <param name="step">The step within the run.</param>
    /// <param name="row">The row within the batch.</param>
    public int[] Mask(IReadOnlyList<int> ids, int step, int row)
    {
        ArgumentNullException.ThrowIfNull(ids);
        int[] masked = [.. ids];
        int[] places = [.. Enumerable.Range(0, masked.Length).Where(i => !Tokenizer.IsSpecial(masked[i]))];
        int wanted = Math.Min((int)Math.Ceiling(Share * places.Length), places.Length - 1);
        CounterRandom place = new(Seed, PlacePurpose), length = new(Seed, LengthPurpose);
        for (uint span = 0, done = 0; done < wanted; span++)
        {
            uint at = ((uint)row << 12) | span;
            int start = (int)(place.Uniform((uint)step, at) * places.Length), tokens = 1 + (int)(length.Uniform((uint)step, at) * LongestSpan);
            for (int i = start; i < Math.Min(start + tokens, places.Length) && done < wanted; i++)
            {
                done += masked[places[i]] == Tokenizer.MaskTokenId ? 0u : 1u;
                masked[places[i]] = Tokenizer.MaskTokenId;
            }
        }

        return masked;
    }
}
