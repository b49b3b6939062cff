namespace SimCse;

/// <summary>A text has more tokens than the model takes, and was not to be cut (<see cref="SentenceEncoderOptions.RefuseTruncation"/>).</summary>
/// <param name="index">Which text, counted from 0.</param>
/// <param name="maxLength">The most tokens, special ones included.</param>
public sealed class TextTooLongException(long index, int maxLength)
    : Exception($"text {index + 1} has more than {maxLength} tokens, and was not to be cut")
{
    /// <summary>Which text of the call or stream, counted from 0.</summary>
    public long Index { get; } = index;

    /// <summary>The most tokens that the model takes, special ones included.</summary>
    public int MaxLength { get; } = maxLength;
}
