namespace SimCse.Evaluation;

/// <summary>The fields of a line of tab-separated text, as SentEval takes them, and where they are for messages.</summary>
internal static class TextRow
{
    /// <summary>A field as a sentence: split on white space and joined by single spaces.</summary>
    /// <exception cref="InvalidDataException">There is nothing in it.</exception>
    public static string Sentence(string path, int line, string[] fields, int column)
    {
        string sentence = SingleSpaced(fields[column]);
        return sentence.Length > 0 ? sentence : throw new InvalidDataException($"{path}:{line}:{ColumnOf(fields, column)}: an empty field; expected a sentence");
    }

    /// <summary>The 1-based column, in characters, at which a field begins.</summary>
    public static int ColumnOf(string[] fields, int column) => 1 + fields.Take(column).Sum(f => f.Length + 1);

    /// <summary>The beginning of a text, for a message.</summary>
    public static string Shorten(string text) => text.Length <= 60 ? text : text[..60] + "…";

    /// <summary>Split on white space and joined by single spaces, as SentEval does; U+001C to U+001F are white space to Python and so here.</summary>
    public static string SingleSpaced(string text)
    {
        System.Text.StringBuilder joined = new(text.Length);
        bool pending = false;
        foreach (char c in text)
        {
            if (char.IsWhiteSpace(c) || c is >= '\u001C' and <= '\u001F')
            {
                pending = joined.Length > 0;
                continue;
            }

            if (pending)
            {
                joined.Append(' ');
                pending = false;
            }

            joined.Append(c);
        }

        return joined.ToString();
    }
}
