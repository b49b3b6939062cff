namespace SimCse.Search;

/// <summary>The names of tables that the adapters to databases make.</summary>
public static class TableName
{
    /// <summary>Checks that a name is one word of ASCII letters, digits and _, not beginning with a digit: it goes into statements as it is.</summary>
    /// <exception cref="ArgumentException">It is not.</exception>
    public static void Check(string name)
    {
        if (string.IsNullOrEmpty(name) || char.IsAsciiDigit(name[0]) || !name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') || name.Length > 48)
        {
            throw new ArgumentException($"the table is '{name}'; expected at most 48 letters, digits and _, not a digit first", nameof(name));
        }
    }
}
