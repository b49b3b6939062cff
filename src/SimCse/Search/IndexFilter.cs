using System.Globalization;

namespace SimCse.Search;

/// <summary>Which entries may be hits, by their metadata. An entry without the field is accepted by none but <see cref="Not"/>.</summary>
public abstract record IndexFilter
{
    private static readonly string[] s_signs = ["!=", ">=", "<=", "=", ">", "<"];

    private IndexFilter()
    {
    }

    /// <summary>Whether an entry with this metadata may be a hit.</summary>
    public abstract bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata);

    /// <summary>
    /// Reads <c>field=value</c>, <c>field!=value</c>, <c>field&gt;=n</c>, <c>field&lt;=n</c>, <c>field&gt;n</c> or <c>field&lt;n</c>. A value that reads as a number, as true or as false also
    /// stands for the text that it is; one in double quotes is a text only.
    /// </summary>
    /// <exception cref="FormatException">The text is none of these.</exception>
    public static IndexFilter Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        int at = text.AsSpan().IndexOfAny("!=<>");
        string? sign = at < 1 ? null : Array.Find(s_signs, s => string.CompareOrdinal(text, at, s, 0, s.Length) == 0);
        if (sign is null)
        {
            throw new FormatException($"the filter is '{text}'; expected field=value, field!=value, field>=number, field<=number, field>number or field<number");
        }

        string field = text[..at].Trim(), value = text[(at + sign.Length)..].Trim();
        if (sign is "=" or "!=")
        {
            IndexFilter equal = value is ['"', .., '"'] && value.Length >= 2 ? new Equal(field, value[1..^1]) : AnyReading(field, value);
            return sign is "=" ? equal : new Not(equal);
        }

        if (!double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) || !double.IsFinite(number))
        {
            throw new FormatException($"the filter is '{text}'; expected a number after {sign}");
        }

        return sign switch
        {
            ">=" => new Between(field, number, null),
            "<=" => new Between(field, null, number),
            ">" => new Between(field, Math.BitIncrement(number), null),
            _ => new Between(field, null, Math.BitDecrement(number)),
        };
    }

    /// <summary>The filter as a condition of SQL.</summary>
    /// <param name="condition">The condition of an <see cref="Equal"/> or a <see cref="Between"/>, which must be true or false, not null.</param>
    public string ToSql(Func<IndexFilter, string> condition)
    {
        ArgumentNullException.ThrowIfNull(condition);
        return this switch
        {
            All(IReadOnlyList<IndexFilter> filters) => filters.Count == 0 ? "1 = 1" : $"({string.Join(" AND ", filters.Select(filter => filter.ToSql(condition)))})",
            Any(IReadOnlyList<IndexFilter> filters) => filters.Count == 0 ? "1 = 0" : $"({string.Join(" OR ", filters.Select(filter => filter.ToSql(condition)))})",
            Not(IndexFilter refused) => $"NOT ({refused.ToSql(condition)})",
            _ => condition(this),
        };
    }

    private static IndexFilter AnyReading(string field, string value)
    {
        Equal text = new(field, value);
        return value is "true" or "false" ? new Any([text, new Equal(field, value is "true")])
            : double.TryParse(value, NumberStyles.Float, CultureInfo.InvariantCulture, out double number) && double.IsFinite(number) ? new Any([text, new Equal(field, number)])
            : text;
    }

    /// <summary>The field has this value, of this kind.</summary>
    public sealed record Equal(string Field, MetadataValue Value) : IndexFilter
    {
        /// <inheritdoc/>
        public override bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata) => metadata.TryGetValue(Field, out MetadataValue value) && value == Value;
    }

    /// <summary>The field is a number from <paramref name="Least"/> to <paramref name="Most"/>, these included; null is no limit.</summary>
    public sealed record Between(string Field, double? Least, double? Most) : IndexFilter
    {
        /// <inheritdoc/>
        public override bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata) =>
            metadata.TryGetValue(Field, out MetadataValue value) && value.Number is { } number && !(number < Least) && !(number > Most);
    }

    /// <summary>Every one of the filters accepts the entry.</summary>
    public sealed record All(IReadOnlyList<IndexFilter> Filters) : IndexFilter
    {
        /// <inheritdoc/>
        public override bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata) => Filters.All(filter => filter.Accepts(metadata));
    }

    /// <summary>One of the filters at least accepts the entry.</summary>
    public sealed record Any(IReadOnlyList<IndexFilter> Filters) : IndexFilter
    {
        /// <inheritdoc/>
        public override bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata) => Filters.Any(filter => filter.Accepts(metadata));
    }

    /// <summary>The filter does not accept the entry.</summary>
    public sealed record Not(IndexFilter Filter) : IndexFilter
    {
        /// <inheritdoc/>
        public override bool Accepts(IReadOnlyDictionary<string, MetadataValue> metadata) => !Filter.Accepts(metadata);
    }
}
