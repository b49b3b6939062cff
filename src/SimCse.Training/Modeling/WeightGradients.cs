using System.Numerics.Tensors;
using SimCse.Training.Kernels;

namespace SimCse.Training.Modeling;

/// <summary>One linear layer's share in a backward pass: dY as the blocks of the batch have written it, and X as they have packed it.</summary>
internal sealed unsafe class WeightGradient
{
    public WeightGradient(LinearWeights linear, IEnumerable<NativeEncoder.Positions> blocks, int outputStride)
    {
        Linear = linear;
        Blocks = [.. blocks];
        OutputStride = outputStride;
    }

    public WeightGradient(LinearWeights linear, IEnumerable<NativeEncoder.Block> blocks, int outputStride)
        : this(linear, blocks.Select(b => b.Positions), outputStride)
    {
    }

    public LinearWeights Linear { get; }

    /// <summary>Which positions of dY each block has.</summary>
    public NativeEncoder.Positions[] Blocks { get; }

    /// <summary>From one row of dY to the next.</summary>
    public int OutputStride { get; }

    /// <summary>dY, row-major.</summary>
    public float* Output { get; set; }

    /// <summary>X, packed: the panels of each block behind those of the one before.</summary>
    public float* Input { get; set; }

    /// <summary>Where each block's panels start, in words.</summary>
    public long[] InputStarts { get; set; } = [];

    /// <summary>Takes the packed X of another layer that reads the same.</summary>
    public void ShareInput(WeightGradient other)
    {
        Input = other.Input;
        InputStarts = other.InputStarts;
    }
}

/// <summary>
/// dW += dYᵀ X and db += Σ dY over all tokens. The blocks of a pass pack their X while it is at hand; then the rows of all weights of a layer are dealt out to the threads, and each sums
/// over the blocks in their order.
/// </summary>
internal sealed unsafe class WeightGradients(Precision precision) : IDisposable
{
    private const int RowsAnItem = 96; // eight tiles: dYᵀ of a block stays in the second-level cache

    private readonly Dictionary<string, NativeBuffer> _buffers = new(StringComparer.Ordinal);
    private NativeBuffer[] _left = [];

    /// <summary>Memory for dY and X of layers that have outputs of their own.</summary>
    public void Reserve(ReadOnlySpan<WeightGradient> gradients, int positions)
    {
        for (int i = 0; i < gradients.Length; i++)
        {
            gradients[i].Output = Buffer($"output {i}").Floats((long)positions * gradients[i].OutputStride);
            ReserveInput(gradients[i], $"input {i}");
        }
    }

    /// <summary>Memory for query, key and value, whose dY stand side by side, (T, 3H), and whose X is one; query is null where its dY stands elsewhere.</summary>
    /// <returns>The dY of all three.</returns>
    public float* Reserve(WeightGradient? query, WeightGradient key, WeightGradient value, int positions)
    {
        float* output = Buffer("output qkv").Floats((long)positions * key.OutputStride);
        int width = key.OutputStride / 3;
        query?.Output = output;
        key.Output = output + width;
        value.Output = output + (2 * width);
        ReserveInput(query ?? key, "input qkv");
        return output;
    }

    /// <summary>Packs X of a block.</summary>
    public void Pack(WeightGradient gradient, int block, float* x, int stride)
    {
        int count = gradient.Blocks[block].Count;
        MatrixProduct.PackRows(precision, x, stride, count, gradient.Linear.Inputs, gradient.Input + gradient.InputStarts[block], MatrixProduct.DepthWords(count, precision));
    }

    /// <summary>Adds to the gradients of all these weights and biases.</summary>
    public void Run(ReadOnlySpan<WeightGradient> gradients)
    {
        List<(WeightGradient Gradient, int From, int Rows)> items = [];
        foreach (WeightGradient gradient in gradients)
        {
            for (int from = 0; from < gradient.Linear.Outputs; from += RowsAnItem)
            {
                items.Add((gradient, from, Math.Min(RowsAnItem, gradient.Linear.Outputs - from)));
            }
        }

        items = [.. items.OrderByDescending(i => i.Rows * i.Gradient.Linear.Inputs)]; // the long ones first: the threads end together
        if (_left.Length < WorkerThreads.Count)
        {
            _left = [.. _left, .. Enumerable.Range(_left.Length, WorkerThreads.Count - _left.Length).Select(_ => new NativeBuffer())];
        }

        WorkerThreads.Run(items.Count, (item, worker) => Add(items[item].Gradient, items[item].From, items[item].Rows, _left[worker]));
    }

    public void Dispose()
    {
        foreach (NativeBuffer buffer in _buffers.Values.Concat(_left))
        {
            buffer.Dispose();
        }
    }

    private void Add(WeightGradient gradient, int from, int rows, NativeBuffer left)
    {
        LinearWeights linear = gradient.Linear;
        float* target = linear.WeightGradient + ((long)from * linear.Inputs);
        Span<float> bias = new(linear.BiasGradient + from, rows);
        for (int b = 0; b < gradient.Blocks.Length; b++)
        {
            (int first, int count) = (gradient.Blocks[b].First, gradient.Blocks[b].Count);
            int words = MatrixProduct.DepthWords(count, precision);
            float* dy = gradient.Output + ((long)first * gradient.OutputStride) + from;
            for (int i = 0; i < count; i++)
            {
                TensorPrimitives.Add(bias, new ReadOnlySpan<float>(dy + ((long)i * gradient.OutputStride), rows), bias);
            }

            float* columns = left.Floats((long)words * RowsAnItem);
            MatrixProduct.CopyRows(precision, dy, gradient.OutputStride, count, rows, columns, RowsAnItem);
            MatrixProduct.Multiply(precision, rows, columns, 1, RowsAnItem, Panels.At(gradient.Input + gradient.InputStarts[b], words, linear.Inputs), words, target, linear.Inputs, accumulate: true);
        }
    }

    private void ReserveInput(WeightGradient gradient, string buffer)
    {
        gradient.InputStarts = new long[gradient.Blocks.Length];
        long end = 0;
        for (int b = 0; b < gradient.Blocks.Length; b++)
        {
            gradient.InputStarts[b] = end;
            end += Panels.Words(MatrixProduct.DepthWords(gradient.Blocks[b].Count, precision), gradient.Linear.Inputs);
        }

        gradient.Input = Buffer(buffer).Floats(end);
    }

    private NativeBuffer Buffer(string name)
    {
        if (!_buffers.TryGetValue(name, out NativeBuffer? buffer))
        {
            buffer = new NativeBuffer();
            _buffers.Add(name, buffer);
        }

        return buffer;
    }
}
