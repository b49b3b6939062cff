using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;

namespace SimCse.Search;

/// <summary>What an entry's metadata says of one field: a text, a number, or true or false.</summary>
[StructLayout(LayoutKind.Auto)]
public readonly record struct MetadataValue
{
    private MetadataValue(string? text, double? number, bool? truth)
    {
        Text = text;
        Number = number;
        Truth = truth;
    }

    /// <summary>The text, where it is one.</summary>
    public string? Text { get; }

    /// <summary>The number, where it is one; finite.</summary>
    public double? Number { get; }

    /// <summary>True or false, where it is one of these.</summary>
    public bool? Truth { get; }

    /// <summary>A text.</summary>
    public static implicit operator MetadataValue(string text) => FromText(text);

    /// <summary>A number.</summary>
    public static implicit operator MetadataValue(double number) => FromNumber(number);

    /// <summary>True or false.</summary>
    public static implicit operator MetadataValue(bool truth) => FromTruth(truth);

    /// <summary>A text.</summary>
    public static MetadataValue FromText(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return new MetadataValue(text, null, null);
    }

    /// <summary>A number.</summary>
    /// <exception cref="ArgumentException">It is not finite.</exception>
    public static MetadataValue FromNumber(double number) => double.IsFinite(number)
        ? new MetadataValue(null, number, null)
        : throw new ArgumentException($"{number} is not finite; expected a number that JSON can hold", nameof(number));

    /// <summary>True or false.</summary>
    public static MetadataValue FromTruth(bool truth) => new(null, null, truth);

    /// <summary>Metadata from a JSON object of strings, numbers and booleans.</summary>
    /// <exception cref="InvalidDataException">It is no such object.</exception>
    public static IReadOnlyDictionary<string, MetadataValue> ReadAll(JsonElement json) => MetadataJson.Read(json);

    /// <summary>Metadata from the text of a JSON object of strings, numbers and booleans.</summary>
    /// <exception cref="InvalidDataException">It is no such object.</exception>
    public static IReadOnlyDictionary<string, MetadataValue> ReadAll(string json) => MetadataJson.Read(Encoding.UTF8.GetBytes(json));

    /// <summary>Metadata as the text of a JSON object.</summary>
    public static string ToJson(IReadOnlyDictionary<string, MetadataValue> metadata) => Encoding.UTF8.GetString(MetadataJson.Write(metadata));

    /// <summary>Metadata as a JSON object.</summary>
    public static void WriteAll(Utf8JsonWriter json, IReadOnlyDictionary<string, MetadataValue> metadata)
    {
        ArgumentNullException.ThrowIfNull(json);
        ArgumentNullException.ThrowIfNull(metadata);
        MetadataJson.Write(json, metadata);
    }

    /// <summary>As a filter writes it.</summary>
    public override string ToString() => Text ?? Number?.ToString(CultureInfo.InvariantCulture) ?? (Truth == true ? "true" : "false");
}
