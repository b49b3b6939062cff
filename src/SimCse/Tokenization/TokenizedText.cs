namespace SimCse.Tokenization;

/// <summary>The tokens of one text.</summary>
/// <param name="Ids">Vocabulary ids, special tokens included.</param>
/// <param name="Truncated">Whether the text had more tokens than the length asked for.</param>
public sealed record TokenizedText(int[] Ids, bool Truncated);
