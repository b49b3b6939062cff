using SimCse.Tokenization;

namespace SimCse.Training.Objectives;

/// <summary>
/// BERT's corruption: of the tokens that are not special each is chosen with probability p; of the chosen 80% become [MASK], 10% a random token, 10% stay.
/// </summary>
/// <remarks>Devlin et al. 2019, section 3.1. A pure function of (seed, step, row, position).</remarks>
/// <param name="Tokenizer">Says which tokens are special and which is the mask.</param>
/// <param name="Probability">p; 0.15 in BERT and in SimCSE's auxiliary objective.</param>
/// <param name="Seed">The run's seed.</param>
public sealed record TokenMasking(Tokenizer Tokenizer, double Probability, long Seed)
{
    private const uint ChoosePurpose = 3, KindPurpose = 4, TokenPurpose = 5;

    /// <summary>A corrupted copy of a row, and what was there.</summary>
    /// <param name="ids">The row, special tokens included.</param>
    /// <param name="step">The step within the run.</param>
    /// <param name="row">The row within the batch.</param>
    public (int[] Ids, IReadOnlyList<(int Position, int Token)> Labels) Corrupt(IReadOnlyList<int> ids, int step, int row)
    {
        ArgumentNullException.ThrowIfNull(ids);
        CounterRandom choose = new(Seed, ChoosePurpose), kind = new(Seed, KindPurpose), token = new(Seed, TokenPurpose);
        int[] corrupted = [.. ids];
        List<(int, int)> labels = [];
        for (int position = 0; position < corrupted.Length; position++)
        {
            uint at = ((uint)row << 12) | (uint)position;
            if (Tokenizer.IsSpecial(corrupted[position]) || choose.Uniform((uint)step, at) >= Probability)
            {
                continue;
            }

            labels.Add((position, corrupted[position]));
            double draw = kind.Uniform((uint)step, at);
            corrupted[position] = draw < 0.8 ? Tokenizer.MaskTokenId
                : draw < 0.9 ? (int)(token.Uniform((uint)step, at) * Tokenizer.VocabularySize)
                : corrupted[position];
        }

        return (corrupted, labels);
    }
}
