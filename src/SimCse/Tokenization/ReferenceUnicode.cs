using System.Globalization;
using System.Text;

namespace SimCse.Tokenization;

/// <summary>
/// The Unicode properties that Hugging Face's Rust tokenizers (0.22) go by. Their crates hold different versions of the Unicode
/// Character Database than .NET does: categories are those of version 8, decompositions and combining classes those of version 9, lower case
/// and the classes of byte-level BPE's pattern the newest. The tables hold the code points where that makes a difference; a test
/// compares every code point with the reference.
/// </summary>
internal static class ReferenceUnicode
{
    // First and last code point of each range, ascending.
    private static ReadOnlySpan<int> NewerFormats => [0x0890, 0x0891, 0x08E2, 0x08E2, 0x110CD, 0x110CD, 0x13430, 0x1343F];

    private static ReadOnlySpan<int> NewerMarks =>
    [
        0x07FD, 0x07FD, 0x0897, 0x089F, 0x08CA, 0x08E1, 0x09FE, 0x09FE, 0x0AFA, 0x0AFF, 0x0B55, 0x0B55, 0x0C04, 0x0C04, 0x0C3C, 0x0C3C, 0x0D00, 0x0D00,
        0x0D3B, 0x0D3C, 0x0D81, 0x0D81, 0x0EBA, 0x0EBA, 0x0ECE, 0x0ECE, 0x180F, 0x180F, 0x1885, 0x1886, 0x1ABF, 0x1ACE, 0x1DF6, 0x1DFB, 0xA82C, 0xA82C,
        0xA8C5, 0xA8C5, 0xA8FF, 0xA8FF, 0xA9BD, 0xA9BD, 0x10D24, 0x10D27, 0x10D69, 0x10D6D, 0x10EAB, 0x10EAC, 0x10EFC, 0x10EFF, 0x10F46, 0x10F50,
        0x10F82, 0x10F85, 0x11070, 0x11070, 0x11073, 0x11074, 0x110C2, 0x110C2, 0x111C9, 0x111C9, 0x111CF, 0x111CF, 0x1123E, 0x1123E, 0x11241, 0x11241,
        0x1133B, 0x1133B, 0x113BB, 0x113C0, 0x113CE, 0x113CE, 0x113D0, 0x113D0, 0x113D2, 0x113D2, 0x113E1, 0x113E2, 0x11438, 0x1143F, 0x11442, 0x11444,
        0x11446, 0x11446, 0x1145E, 0x1145E, 0x1182F, 0x11837, 0x11839, 0x1183A, 0x1193B, 0x1193C, 0x1193E, 0x1193E, 0x11943, 0x11943, 0x119D4, 0x119D7,
        0x119DA, 0x119DB, 0x119E0, 0x119E0, 0x11A01, 0x11A0A, 0x11A33, 0x11A38, 0x11A3B, 0x11A3E, 0x11A47, 0x11A47, 0x11A51, 0x11A56, 0x11A59, 0x11A5B,
        0x11A8A, 0x11A96, 0x11A98, 0x11A99, 0x11C30, 0x11C36, 0x11C38, 0x11C3D, 0x11C3F, 0x11C3F, 0x11C92, 0x11CA7, 0x11CAA, 0x11CB0, 0x11CB2, 0x11CB3,
        0x11CB5, 0x11CB6, 0x11D31, 0x11D36, 0x11D3A, 0x11D3A, 0x11D3C, 0x11D3D, 0x11D3F, 0x11D45, 0x11D47, 0x11D47, 0x11D90, 0x11D91, 0x11D95, 0x11D95,
        0x11D97, 0x11D97, 0x11EF3, 0x11EF4, 0x11F00, 0x11F01, 0x11F36, 0x11F3A, 0x11F40, 0x11F40, 0x11F42, 0x11F42, 0x11F5A, 0x11F5A, 0x13440, 0x13440,
        0x13447, 0x13455, 0x1611E, 0x16129, 0x1612D, 0x1612F, 0x16F4F, 0x16F4F, 0x16FE4, 0x16FE4, 0x1CF00, 0x1CF2D, 0x1CF30, 0x1CF46, 0x1E000, 0x1E006,
        0x1E008, 0x1E018, 0x1E01B, 0x1E021, 0x1E023, 0x1E024, 0x1E026, 0x1E02A, 0x1E08F, 0x1E08F, 0x1E130, 0x1E136, 0x1E2AE, 0x1E2AE, 0x1E2EC, 0x1E2EF,
        0x1E4EC, 0x1E4EF, 0x1E5EE, 0x1E5EF, 0x1E944, 0x1E94A,
    ];

    // With a combining class or a decomposition, up to Unicode 17.
    private static ReadOnlySpan<int> NewerCombining =>
    [
        0x07FD, 0x07FD, 0x0897, 0x089F, 0x08CA, 0x08D3, 0x09FE, 0x09FE, 0x0C3C, 0x0C3C, 0x0D3B, 0x0D3C, 0x0EBA, 0x0EBA, 0x1715, 0x1715, 0x1ABF, 0x1ADD,
        0x1AE0, 0x1AEB, 0x1DF6, 0x1DFA, 0xA82C, 0xA82C, 0x105C9, 0x105C9, 0x105E4, 0x105E4, 0x10D24, 0x10D27, 0x10D69, 0x10D6D, 0x10EAB, 0x10EAC,
        0x10EFA, 0x10EFB, 0x10EFD, 0x10EFF, 0x10F46, 0x10F50, 0x10F82, 0x10F85, 0x11070, 0x11070, 0x1133B, 0x1133B, 0x11383, 0x11383, 0x11385, 0x11385,
        0x1138E, 0x1138E, 0x11391, 0x11391, 0x113C5, 0x113C5, 0x113C7, 0x113C8, 0x113CE, 0x113D0, 0x1145E, 0x1145E, 0x11839, 0x1183A, 0x11938, 0x11938,
        0x1193D, 0x1193E, 0x11943, 0x11943, 0x119E0, 0x119E0, 0x11A34, 0x11A34, 0x11A47, 0x11A47, 0x11A99, 0x11A99, 0x11D42, 0x11D42, 0x11D44, 0x11D45,
        0x11D97, 0x11D97, 0x11F41, 0x11F42, 0x16121, 0x16128, 0x1612F, 0x1612F, 0x16D68, 0x16D6A, 0x16FF0, 0x16FF1, 0x1E08F, 0x1E08F, 0x1E130, 0x1E136,
        0x1E2AE, 0x1E2AE, 0x1E2EC, 0x1E2EF, 0x1E4EC, 0x1E4EF, 0x1E5EE, 0x1E5EF, 0x1E6E3, 0x1E6E3, 0x1E6E6, 0x1E6E6, 0x1E6EE, 0x1E6EF, 0x1E6F5, 0x1E6F5,
    ];

    private static ReadOnlySpan<int> NewerPunctuation =>
    [
        0x061D, 0x061D, 0x09FD, 0x09FD, 0x0A76, 0x0A76, 0x0C77, 0x0C77, 0x0C84, 0x0C84, 0x1B4E, 0x1B4F, 0x1B7D, 0x1B7F, 0x2E43, 0x2E4F, 0x2E52, 0x2E54,
        0x2E55, 0x2E55, 0x2E56, 0x2E56, 0x2E57, 0x2E57, 0x2E58, 0x2E58, 0x2E59, 0x2E59, 0x2E5A, 0x2E5A, 0x2E5B, 0x2E5B, 0x2E5C, 0x2E5C, 0x2E5D, 0x2E5D,
        0x10D6E, 0x10D6E, 0x10EAD, 0x10EAD, 0x10F55, 0x10F59, 0x10F86, 0x10F89, 0x113D4, 0x113D5, 0x113D7, 0x113D8, 0x1144B, 0x1144F, 0x1145A, 0x1145B,
        0x1145D, 0x1145D, 0x11660, 0x1166C, 0x116B9, 0x116B9, 0x1183B, 0x1183B, 0x11944, 0x11946, 0x119E2, 0x119E2, 0x11A3F, 0x11A46, 0x11A9A, 0x11A9C,
        0x11A9E, 0x11AA2, 0x11B00, 0x11B09, 0x11BE1, 0x11BE1, 0x11C41, 0x11C45, 0x11C70, 0x11C71, 0x11EF7, 0x11EF8, 0x11F43, 0x11F4F, 0x11FFF, 0x11FFF,
        0x12FF1, 0x12FF2, 0x16D6D, 0x16D6F, 0x16E97, 0x16E9A, 0x16FE2, 0x16FE2, 0x1E5FF, 0x1E5FF, 0x1E95E, 0x1E95F,
    ];

    /// <summary>Control, format and private-use characters: dropped by BertNormalizer's clean_text.</summary>
    public static bool IsOther(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        UnicodeCategory.Control or UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate => true,
        UnicodeCategory.Format => !Holds(NewerFormats, codePoint),
        _ => false,
    };

    /// <summary>Non-spacing marks: dropped where accents are stripped.</summary>
    public static bool IsNonSpacingMark(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) == UnicodeCategory.NonSpacingMark
        ? !Holds(NewerMarks, codePoint)
        : codePoint is 0x1734 or 0x1171E;

    /// <summary>ASCII punctuation (symbols such as $ and + too) and the Unicode categories P*: a word of its own each.</summary>
    public static bool IsPunctuation(int codePoint)
    {
        if (codePoint < 128)
        {
            return char.IsPunctuation((char)codePoint) || char.IsSymbol((char)codePoint);
        }

        return CharUnicodeInfo.GetUnicodeCategory(codePoint) is >= UnicodeCategory.ConnectorPunctuation and <= UnicodeCategory.OtherPunctuation
            ? !Holds(NewerPunctuation, codePoint)
            : codePoint is 0x111C9 or 0x166D;
    }

    /// <summary>The property White_Space.</summary>
    public static bool IsWhiteSpace(int codePoint) => codePoint <= 0xFFFF && char.IsWhiteSpace((char)codePoint);

    /// <summary>What \w matches in Rust's regular expressions: letters, marks, decimal digits, letter numbers, connectors, joiners, circled letters.</summary>
    public static bool IsWordCharacter(int codePoint) => CharUnicodeInfo.GetUnicodeCategory(codePoint) switch
    {
        <= UnicodeCategory.LetterNumber or UnicodeCategory.ConnectorPunctuation => true,
        UnicodeCategory.Format => codePoint is 0x200C or 0x200D,
        UnicodeCategory.OtherSymbol => codePoint is (>= 0x24B6 and <= 0x24E9) or (>= 0x1F130 and <= 0x1F149) or (>= 0x1F150 and <= 0x1F169) or (>= 0x1F170 and <= 0x1F189),
        _ => false,
    };

    /// <summary>The blocks that BertNormalizer takes for Chinese, its gap at U+2B820 to U+2B91F included.</summary>
    public static bool IsChinese(int codePoint) => codePoint is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0xF900 and <= 0xFAFF)
        or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0x2F800 and <= 0x2FA1F);

    /// <summary>The full lower case, without regard to language or neighbours.</summary>
    public static string ToLower(int codePoint) => codePoint switch
    {
        0x0130 => "i\u0307", // the one code point whose lower case is two
        // Pairs newer than the case tables of the ICU versions in use.
        0x1C89 or 0xA7CC or 0xA7CE or 0xA7D2 or 0xA7D4 or 0xA7DA => char.ConvertFromUtf32(codePoint + 1),
        0xA7CB => "\u0264",
        0xA7DC => "\u019B",
        >= 0x10D50 and <= 0x10D65 => char.ConvertFromUtf32(codePoint + 0x20),
        >= 0x16EA0 and <= 0x16EB8 => char.ConvertFromUtf32(codePoint + 0x1B),
        _ => Rune.ToLowerInvariant(new Rune(codePoint)).ToString(),
    };

    /// <summary>The full canonical decomposition of one code point.</summary>
    public static string Decompose(int codePoint)
    {
        string self = char.ConvertFromUtf32(codePoint);
        return IsUnknownToDecomposition(codePoint) ? self : self.Normalize(NormalizationForm.FormD);
    }

    /// <summary>The full canonical decomposition of a text, its marks in the canonical order.</summary>
    public static string Decompose(string text)
    {
        var result = new StringBuilder(text.Length);
        int done = 0;
        for (int i = 0; i < text.Length; i++)
        {
            int codePoint = char.ConvertToUtf32(text, i);
            int length = codePoint > 0xFFFF ? 2 : 1;
            if (IsUnknownToDecomposition(codePoint))
            {
                // It stays, and nothing is ordered across it.
                result.Append(text[done..i].Normalize(NormalizationForm.FormD)).Append(text, i, length);
                done = i + length;
            }

            i += length - 1;
        }

        return result.Append(text[done..].Normalize(NormalizationForm.FormD)).ToString();
    }

    // string.Normalize refuses the non-character U+FFFE.
    private static bool IsUnknownToDecomposition(int codePoint) => codePoint == 0xFFFE || Holds(NewerCombining, codePoint);

    private static bool Holds(ReadOnlySpan<int> ranges, int codePoint)
    {
        int at = ranges.BinarySearch(codePoint);
        return at >= 0 || (~at & 1) == 1; // between a first and its last
    }
}
