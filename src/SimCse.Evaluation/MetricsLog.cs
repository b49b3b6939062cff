using System.Text;
using System.Text.Json;

namespace SimCse.Evaluation;

/// <summary>A line of <c>metrics.jsonl</c>.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Loss">The step's loss; null in the line of the evaluation before the first step.</param>
/// <param name="Dev">The development score, where an evaluation was made.</param>
/// <param name="Alignment">At that evaluation.</param>
/// <param name="Uniformity">At that evaluation.</param>
public sealed record MetricsLine(int Step, double? Loss, double? Dev, double? Alignment, double? Uniformity);

/// <summary>Reads what a training run has written about itself, also while it still writes.</summary>
/// <param name="directory">The run's output directory.</param>
public sealed class MetricsLog(string directory)
{
    /// <summary>The file's name in a run's output directory.</summary>
    public const string FileName = "metrics.jsonl";

    private readonly string _path = Path.Combine(directory, FileName);
    private readonly List<MetricsLine> _lines = [];
    private DateTime _created;
    private long _offset;

    /// <summary>The lines of a run's <c>metrics.jsonl</c>, in its order; a last one without its end is left out.</summary>
    /// <param name="directory">The run's output directory.</param>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="InvalidDataException">A line is not what the training writes.</exception>
    public static IReadOnlyList<MetricsLine> Read(string directory) => new MetricsLog(directory).ReadOn();

    /// <summary>All lines until now, of which only those are read that have come since the last call. A run that was resumed or begun anew is read from its start.</summary>
    /// <exception cref="FileNotFoundException">There is no <c>metrics.jsonl</c>.</exception>
    /// <exception cref="InvalidDataException">A line is not what the training writes.</exception>
    public IReadOnlyList<MetricsLine> ReadOn()
    {
        using FileStream file = new(_path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        DateTime created = File.GetCreationTimeUtc(file.SafeFileHandle);
        if (created != _created || file.Length < _offset)
        {
            (_created, _offset) = (created, 0);
            _lines.Clear();
        }

        byte[] bytes = new byte[file.Length - _offset];
        file.Position = _offset;
        int read = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        int whole = bytes.AsSpan(0, read).LastIndexOf((byte)'\n') + 1;
        foreach (string line in Encoding.UTF8.GetString(bytes, 0, whole).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            _lines.Add(Parse(line));
        }

        _offset += whole;
        return _lines;
    }

    private MetricsLine Parse(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return new MetricsLine(json.RootElement.GetProperty("step").GetInt32(), Number("loss"), Number("dev"), Number("alignment"), Number("uniformity"));

            double? Number(string name) => json.RootElement.TryGetProperty(name, out JsonElement value) ? value.GetDouble() : null;
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
        {
            throw new InvalidDataException($"{_path}:{_lines.Count + 1}: not a line of training metrics: {e.Message}", e);
        }
    }
}
