using System.Globalization;
using System.Text;

namespace SimCse.Data;

/// <summary>H numbers a line, separated by tabs.</summary>
internal sealed class TsvVectorWriter(string path, int dimensions) : VectorWriter(path, dimensions)
{
    private readonly StringBuilder _line = new();

    private protected override void WriteRow(string text, ReadOnlySpan<float> vector)
    {
        RequireFinite(vector);
        _line.Clear();
        foreach (float value in vector)
        {
            _line.Append(CultureInfo.InvariantCulture, $"{value:R}\t");
        }

        _line[^1] = '\n';
        foreach (ReadOnlyMemory<char> chunk in _line.GetChunks())
        {
            Stream.Write(Encoding.ASCII.GetBytes(chunk.ToArray()));
        }
    }

    private protected override void Finish()
    {
        // Every row is whole as it is written.
    }
}
