namespace SimCse;

/// <summary>A text of a stream, and its vector.</summary>
/// <param name="Text">As it was read.</param>
/// <param name="Vector">H components; may be kept.</param>
public readonly record struct EncodedSentence(string Text, ReadOnlyMemory<float> Vector);
