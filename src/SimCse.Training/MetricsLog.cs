using System.Text.Json;

namespace SimCse.Training;

/// <summary>A line of <c>metrics.jsonl</c>.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="Loss">The step's loss; null in the line of the evaluation before the first step.</param>
/// <param name="Dev">The development score, where an evaluation was made.</param>
/// <param name="Alignment">At that evaluation.</param>
/// <param name="Uniformity">At that evaluation.</param>
public sealed record MetricsLine(int Step, double? Loss, double? Dev, double? Alignment, double? Uniformity);

/// <summary>Reads what a run has written about itself.</summary>
public static class MetricsLog
{
    /// <summary>The lines of a run's <c>metrics.jsonl</c>, in its order.</summary>
    /// <param name="directory">The run's output directory.</param>
    /// <exception cref="InvalidDataException">A line is not what the training writes.</exception>
    public static IReadOnlyList<MetricsLine> Read(string directory)
    {
        string path = Path.Combine(directory, TrainingLoop.MetricsFile);
        List<MetricsLine> lines = [];
        foreach (string line in File.ReadLines(path))
        {
            try
            {
                using JsonDocument json = JsonDocument.Parse(line);
                lines.Add(new MetricsLine(json.RootElement.GetProperty("step").GetInt32(), Number("loss"), Number("dev"), Number("alignment"), Number("uniformity")));

                double? Number(string name) => json.RootElement.TryGetProperty(name, out JsonElement value) ? value.GetDouble() : null;
            }
            catch (Exception e) when (e is JsonException or InvalidOperationException or KeyNotFoundException or FormatException)
            {
                throw new InvalidDataException($"{path}:{lines.Count + 1}: not a line of training metrics: {e.Message}", e);
            }
        }

        return lines;
    }
}
