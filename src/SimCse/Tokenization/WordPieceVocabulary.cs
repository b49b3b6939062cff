namespace SimCse.Tokenization;

/// <summary>A WordPiece vocabulary and how text is normalised before it: all that makes a BERT tokenizer.</summary>
/// <param name="Tokens">Token i has the id i; [PAD], [UNK], [CLS], [SEP] and [MASK] are among them.</param>
/// <param name="Lowercase">Uncased: lower case, and without accents unless <paramref name="StripAccents"/> says otherwise.</param>
/// <param name="StripAccents">Whether accents are dropped; null: as <paramref name="Lowercase"/>.</param>
/// <param name="HandleChineseCharacters">Whether every Chinese character is a word of its own.</param>
public sealed record WordPieceVocabulary(IReadOnlyList<string> Tokens, bool Lowercase = true, bool? StripAccents = null, bool HandleChineseCharacters = true)
{
    /// <summary>The special tokens in the order in which <see cref="WordPieceTrainer"/> puts them first.</summary>
    public static IReadOnlyList<string> SpecialTokens { get; } = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"];
}
