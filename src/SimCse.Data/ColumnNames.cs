namespace SimCse.Data;

/// <summary>The names under which published data sets keep the three texts of a row.</summary>
internal static class ColumnNames
{
    /// <summary>Sentence or anchor, positive, hard negative; in each the better known names first.</summary>
    private static readonly string[][] s_roles =
    [
        ["sent0", "anchor", "sentence", "text", "sentence1", "text1", "sentence_a", "query", "question", "premise"],
        ["sent1", "positive", "pos", "sentence2", "text2", "sentence_b", "answer", "entailment", "hypothesis"],
        ["hard_neg", "negative", "neg", "hard_negative", "sentence3", "text3", "contradiction"],
    ];

    /// <summary>Whether a row of a table is a header: every field, without regard to case and surrounding spaces, is a known name, and none comes twice.</summary>
    public static bool AreHeader(IReadOnlyList<string> fields) =>
        fields.All(f => s_roles.Any(r => r.Contains(f.Trim(), StringComparer.OrdinalIgnoreCase)))
        && fields.Select(f => f.Trim()).Distinct(StringComparer.OrdinalIgnoreCase).Count() == fields.Count;

    /// <summary>
    /// Which of the names hold the texts: the first known name of each role, in the order of the roles; where no name is known, all of
    /// them if there are at most three. Null where neither gives an answer.
    /// </summary>
    public static string[]? Choose(IReadOnlyList<string> names)
    {
        List<string> chosen = [];
        foreach (string[] role in s_roles)
        {
            string? name = role.Select(known => names.FirstOrDefault(n => n.Equals(known, StringComparison.OrdinalIgnoreCase))).FirstOrDefault(n => n is not null);
            if (name is null)
            {
                break;
            }

            chosen.Add(name);
        }

        return chosen.Count > 0 ? [.. chosen] : names.Count is >= 1 and <= 3 ? [.. names] : null;
    }
}
