using Parquet;
using Parquet.Schema;

namespace SimCse.Data;

/// <summary>Columns text and embedding, in row groups of bounded size.</summary>
internal sealed class ParquetVectorWriter : VectorWriter
{
    /// <summary>Values of a row group: 16 MB of float32.</summary>
    private const int ValuesOfGroup = 1 << 22;

    private readonly DataField _text = new("text", typeof(string), isNullable: false);
    private readonly ListField _embedding = new("embedding", new DataField("element", typeof(float), isNullable: false));
    private readonly ParquetWriter _writer;
    private readonly List<string> _texts = [];
    private readonly List<float> _values = [];
    private bool _finished;

    public ParquetVectorWriter(string path, int dimensions)
        : base(path, dimensions)
    {
        ParquetSchema schema = new(_text, _embedding);
        _writer = ParquetWriter.CreateAsync(schema, Stream).GetAwaiter().GetResult();
    }

    private protected override void WriteRow(string text, ReadOnlySpan<float> vector)
    {
        _texts.Add(text);
        _values.AddRange(vector);
        if (_values.Count >= ValuesOfGroup)
        {
            WriteGroupAsync().GetAwaiter().GetResult();
        }
    }

    private protected override void Finish()
    {
        if (_texts.Count > 0)
        {
            WriteGroupAsync().GetAwaiter().GetResult();
        }

        CloseWriter();
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            CloseWriter();
        }

        base.Dispose(disposing);
    }

    private void CloseWriter()
    {
        if (!_finished)
        {
            _finished = true;
            _writer.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    private async Task WriteGroupAsync()
    {
        // Repetition level 0 begins a list, 1 goes on with it.
        int[] levels = new int[_values.Count];
        Array.Fill(levels, 1);
        DataField element = (DataField)_embedding.Item;
        int[] present = new int[_values.Count];
        Array.Fill(present, element.MaxDefinitionLevel);
        for (int row = 0; row < _texts.Count; row++)
        {
            levels[row * Dimensions] = 0;
        }

        using ParquetRowGroupWriter group = _writer.CreateRowGroup();
        await group.WriteAsync(_text, _texts).ConfigureAwait(false);
        await group.WriteAllPartsAsync<float>(element, _values.ToArray(), present, levels, CancellationToken.None).ConfigureAwait(false);
        group.CompleteValidate();
        _texts.Clear();
        _values.Clear();
    }
}
