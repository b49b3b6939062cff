namespace SimCse.Tokenization;

/// <summary>GPT-2's spelling of bytes as visible characters: those of Latin-1 that print stand for themselves, the other 68 for U+0100 and on; a space is Ġ.</summary>
internal static class ByteLevelAlphabet
{
    private static readonly char[] s_characters = Build();

    /// <summary>The character of a byte.</summary>
    public static char CharacterOf(int value) => s_characters[value];

    /// <summary>The characters of these bytes.</summary>
    public static string Spell(ReadOnlySpan<byte> bytes) => string.Create(bytes.Length, bytes, static (span, source) =>
    {
        for (int i = 0; i < span.Length; i++)
        {
            span[i] = s_characters[source[i]];
        }
    });

    private static char[] Build()
    {
        char[] characters = new char[256];
        char next = '\u0100';
        for (int b = 0; b < characters.Length; b++)
        {
            characters[b] = b is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF) ? (char)b : next++;
        }

        return characters;
    }
}
