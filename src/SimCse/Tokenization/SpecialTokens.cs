namespace SimCse.Tokenization;

/// <summary>The ids of the tokens that have a job; −1 where the vocabulary has none for it (only <see cref="Mask"/> may be).</summary>
internal sealed record SpecialTokens(int Class, int Separator, int Pad, int Mask, int Unknown);

/// <summary>What the post-processor puts before and after the ids of a single text.</summary>
internal sealed record Frame(int[] Before, int[] After)
{
    public int Length => Before.Length + After.Length;
}

/// <summary>All that a model directory says of its tokenizer besides the model itself.</summary>
internal sealed record TokenizerParts(
    Vocabulary Vocabulary,
    IReadOnlyList<(AddedToken Token, int Id)> AddedTokens,
    SpecialTokens Special,
    Frame Frame,
    int? ModelMaxLength);
