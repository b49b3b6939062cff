using System.Text;
using System.Text.Json;
using Parquet;
using Parquet.Schema;

namespace SimCse.Data;

/// <summary>A row as a format's reader finds it: its fields, or what is wrong with it.</summary>
internal readonly record struct RawRow(long Line, string[] Fields, string? Problem);

/// <summary>The readers of the formats: each streams rows, reports a bad row and goes on, and throws where it cannot go on.</summary>
internal static class SentenceRows
{
    /// <summary>A quoted field longer than this has lost its closing quote.</summary>
    private const int LongestField = 1 << 24;

    /// <summary>Rows of one row group that are taken for real; a footer that claims more is refused before anything is allocated for it.</summary>
    private const long MostRowsOfGroup = 1 << 26;

    public static IEnumerable<RawRow> Read(string path, SentenceFormat format, CancellationToken cancellationToken) => format switch
    {
        SentenceFormat.Text => Lines(path, line => [line]),
        SentenceFormat.Tsv => Lines(path, line => line.Split('\t')),
        SentenceFormat.Csv => Csv(path),
        SentenceFormat.JsonLines => JsonLines(path),
        SentenceFormat.Parquet => ParquetRows(path, cancellationToken),
        _ => throw new ArgumentOutOfRangeException(nameof(format), format, "not a format"),
    };

    /// <summary>What messages call a JSON value's kind.</summary>
    public static string KindName(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Object => "object",
        JsonValueKind.Array => "array",
        JsonValueKind.String => "string",
        JsonValueKind.Number => "number",
        JsonValueKind.Null => "null",
        _ => "boolean",
    };

    private static IEnumerable<RawRow> Lines(string path, Func<string, string[]> split)
    {
        using Utf8LineReader reader = new(DataFiles.OpenUnpacked(path), path);
        while (reader.ReadLine() is { } line)
        {
            yield return new RawRow(reader.LineNumber, split(line), null);
        }
    }

    private static IEnumerable<RawRow> Csv(string path)
    {
        using Utf8LineReader reader = new(DataFiles.OpenUnpacked(path), path);
        List<string> fields = [];
        StringBuilder quoted = new();
        while (reader.ReadLine() is { } line)
        {
            long start = reader.LineNumber;
            string? problem = null;
            fields.Clear();
            int at = 0;
            while (true)
            {
                if (at < line.Length && line[at] == '"')
                {
                    (line, at) = ReadQuoted(reader, path, line, at, quoted);
                    fields.Add(quoted.ToString());
                    if (at < line.Length && line[at] != ',')
                    {
                        problem = $"'{line[at]}' at column {at + 1}{(reader.LineNumber > start ? $" of line {reader.LineNumber}" : "")} after a closing quote; expected a comma or the end of the line";
                        break;
                    }
                }
                else
                {
                    int comma = line.IndexOf(',', at);
                    int end = comma < 0 ? line.Length : comma;
                    fields.Add(line[at..end]);
                    at = end;
                }

                if (at >= line.Length)
                {
                    break;
                }

                at++; // the comma; after a last one follows an empty field
            }

            yield return new RawRow(start, [.. fields], problem);
        }
    }

    /// <summary>Reads a field in quotes that begins at <paramref name="at"/>, over line ends where it holds any; returns the place after its closing quote.</summary>
    private static (string Line, int At) ReadQuoted(Utf8LineReader reader, string path, string line, int at, StringBuilder field)
    {
        long start = reader.LineNumber;
        int column = at + 1;
        field.Clear();
        at++;
        while (true)
        {
            int quote = line.IndexOf('"', at);
            if (quote >= 0)
            {
                field.Append(line, at, quote - at);
                at = quote + 1;
                if (at < line.Length && line[at] == '"')
                {
                    field.Append('"');
                    at++;
                    continue;
                }

                return (line, at);
            }

            field.Append(line, at, line.Length - at).Append(reader.EndedInCarriageReturn ? "\r\n" : "\n");
            string? next = field.Length > LongestField ? null : reader.ReadLine();
            line = next ?? throw new InvalidDataException($"{path}:{start}:{column}: this quote is never closed; expected a closing quote");
            at = 0;
        }
    }

    private static IEnumerable<RawRow> JsonLines(string path)
    {
        using Utf8LineReader reader = new(DataFiles.OpenUnpacked(path), path);
        string[]? names = null;
        while (reader.ReadLine() is { } line)
        {
            if (string.IsNullOrWhiteSpace(line))
            {
                yield return new RawRow(reader.LineNumber, [""], null);
                continue;
            }

            string[] fields = [];
            string? problem = null;
            try
            {
                using JsonDocument document = JsonDocument.Parse(line);
                (fields, problem) = Texts(document.RootElement, ref names);
            }
            catch (JsonException e)
            {
                problem = $"not JSON (byte column {e.BytePositionInLine + 1}); expected a string, an array of strings or an object of strings";
            }
            catch (InvalidOperationException)
            {
                problem = "a JSON string holds half a surrogate pair and is no text";
            }

            yield return new RawRow(reader.LineNumber, fields, problem);
        }
    }

    private static (string[] Fields, string? Problem) Texts(JsonElement row, ref string[]? names)
    {
        switch (row.ValueKind)
        {
            case JsonValueKind.String:
                return ([row.GetString()!], null);
            case JsonValueKind.Array:
                foreach (JsonElement item in row.EnumerateArray())
                {
                    if (item.ValueKind != JsonValueKind.String)
                    {
                        return ([], $"found a JSON {KindName(item)} in the array; expected strings");
                    }
                }

                return ([.. row.EnumerateArray().Select(i => i.GetString()!)], null);
            case JsonValueKind.Object:
                string[] found = [.. row.EnumerateObject().Select(p => p.Name)];
                names ??= ColumnNames.Choose(found);
                if (names is null)
                {
                    return ([], $"an object with the fields {string.Join(", ", found)}; expected sent0, sent1 and hard_neg, or other names that data sets use, or at most three fields");
                }

                List<string> texts = [];
                foreach (string name in names)
                {
                    if (!row.TryGetProperty(name, out JsonElement text))
                    {
                        return ([], $"no field '{name}'; expected {string.Join(", ", names)}");
                    }

                    if (text.ValueKind != JsonValueKind.String)
                    {
                        return ([], $"field '{name}' is a JSON {KindName(text)}; expected a string");
                    }

                    texts.Add(text.GetString()!);
                }

                return ([.. texts], null);
            default:
                return ([], $"found a JSON {KindName(row)}; expected a string, an array of strings or an object of strings");
        }
    }

    private static IEnumerable<RawRow> ParquetRows(string path, CancellationToken cancellationToken)
    {
        using FileStream stream = OpenSeekable(path);
        ParquetReader reader = Guard(path, () => ParquetReader.CreateAsync(stream, leaveStreamOpen: true, cancellationToken: cancellationToken));
        try
        {
            DataField[] columns = TextColumns(path, reader.Schema);
            long line = 0;
            for (int group = 0; group < reader.RowGroupCount; group++)
            {
                List<string?[]> texts = Guard(path, () => ReadGroupAsync(reader, group, columns, cancellationToken));
                for (int row = 0; row < texts[0].Length; row++)
                {
                    line++;
                    string[] fields = [.. texts.Select(t => t[row] ?? "")];
                    yield return new RawRow(line, fields, null);
                }
            }
        }
        finally
        {
            reader.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private static async Task<List<string?[]>> ReadGroupAsync(ParquetReader reader, int group, DataField[] columns, CancellationToken cancellationToken)
    {
        using ParquetRowGroupReader groupReader = reader.OpenRowGroupReader(group);
        if (groupReader.RowCount is < 0 or > MostRowsOfGroup)
        {
            throw new ParquetException($"row group {group} claims {groupReader.RowCount} rows; expected at most {MostRowsOfGroup}");
        }

        List<string?[]> texts = [];
        foreach (DataField column in columns)
        {
            string?[] values = new string?[groupReader.RowCount];
            await groupReader.ReadAsync(column, values.AsMemory(), cancellationToken: cancellationToken).ConfigureAwait(false);
            texts.Add(values);
        }

        return texts;
    }

    private static DataField[] TextColumns(string path, ParquetSchema schema)
    {
        DataField[] strings = [.. schema.Fields.OfType<DataField>().Where(f => (f.ClrType == typeof(string) || f.ClrType == typeof(ReadOnlyMemory<char>)) && !f.IsArray)];
        string[]? names = strings.Length > 3 ? ColumnNames.Choose([.. strings.Select(f => f.Name)]) : [.. strings.Select(f => f.Name)];
        return names is { Length: > 0 }
            ? [.. names.Select(n => strings.First(f => string.Equals(f.Name, n, StringComparison.Ordinal)))]
            : throw new InvalidDataException($"{path}: {strings.Length} string columns among {string.Join(", ", schema.Fields.Select(f => f.Name))}; expected one, two or three, or columns named sent0, sent1 and hard_neg");
    }

    private static FileStream OpenSeekable(string path)
    {
        if (!DataFiles.IsCompressed(path))
        {
            return DataFiles.OpenFile(path);
        }

        // Parquet is read from its end: what is compressed around it is unpacked to a file that disappears when closed.
        FileStream unpacked = new(Path.GetTempFileName(), FileMode.Open, FileAccess.ReadWrite, FileShare.None, 1 << 16, FileOptions.DeleteOnClose);
        try
        {
            using Stream packed = DataFiles.OpenUnpacked(path);
            packed.CopyTo(unpacked);
            unpacked.Position = 0;
            return unpacked;
        }
        catch (InvalidDataException e)
        {
            unpacked.Dispose();
            throw new InvalidDataException($"{path}: the compressed data is damaged or cut off: {e.Message}", e);
        }
    }

    /// <summary>The parquet library says of a damaged file whatever its code runs into: every failure but cancellation means that the file is at fault.</summary>
    private static T Guard<T>(string path, Func<Task<T>> read)
    {
        try
        {
            return read().GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is not (OperationCanceledException or OutOfMemoryException))
        {
            throw new InvalidDataException($"{path}: not a parquet file that can be read: {e.Message}", e);
        }
    }
}
