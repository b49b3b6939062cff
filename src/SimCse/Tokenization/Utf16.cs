namespace SimCse.Tokenization;

/// <summary>Strings may hold what UTF-8 cannot.</summary>
internal static class Utf16
{
    /// <summary>The text with U+FFFD in the place of each lone surrogate, as it is when it goes through UTF-8; the same string where there is none.</summary>
    public static string WithoutLoneSurrogates(string text)
    {
        for (int i = text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF'); i >= 0 && i < text.Length; i++)
        {
            if (char.IsSurrogate(text[i]) && (char.IsLowSurrogate(text[i]) || i + 1 == text.Length || !char.IsLowSurrogate(text[++i])))
            {
                return string.Concat(text.EnumerateRunes().Select(rune => rune.ToString()));
            }
        }

        return text;
    }
}
