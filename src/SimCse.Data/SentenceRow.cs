namespace SimCse.Data;

/// <summary>One row of training data.</summary>
/// <param name="Line">The 1-based line at which the row begins (the row's number in a parquet file).</param>
/// <param name="Sentence">The sentence, or the anchor of a pair or triplet.</param>
/// <param name="Positive">What the anchor entails or means; null where the data has one column.</param>
/// <param name="HardNegative">What contradicts the anchor; null where the data has fewer than three columns.</param>
public readonly record struct SentenceRow(long Line, string Sentence, string? Positive, string? HardNegative)
{
    /// <summary>The texts that are there, one to three.</summary>
    public IReadOnlyList<string> Texts => HardNegative is not null ? [Sentence, Positive!, HardNegative] : Positive is not null ? [Sentence, Positive] : [Sentence];
}

/// <summary>The formats that training data comes in, told by the file name's ending before an optional .gz.</summary>
public enum SentenceFormat
{
    /// <summary>.txt: one sentence a line; no header, no columns: a tab is an ordinary character.</summary>
    Text,

    /// <summary>.tsv: fields separated by tabs and nothing else; there is no quoting, <c>"</c> is an ordinary character.</summary>
    Tsv,

    /// <summary>.csv: RFC 4180: fields separated by commas; a field in double quotes may hold commas, line breaks and doubled quotes.</summary>
    Csv,

    /// <summary>.jsonl, .ndjson: a line is a JSON string, an array of one to three strings, or an object of string fields.</summary>
    JsonLines,

    /// <summary>.parquet: the string columns of the top level, in order.</summary>
    Parquet,
}
