using System.Runtime.Intrinsics;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// The dropout noise of one training step, as a pure function of (seed, step, site, row): element e of a row's mask at a site is 0 with
/// probability p and 1/(1−p) otherwise, decided by word e of the row's own <see cref="Philox"/> stream.
/// </summary>
/// <remarks>
/// Dropout is the only difference between the two views of a sentence in unsupervised SimCSE. Keyed this way it does not depend on the order of
/// the rows, on padding or on threads; it can be made again (resuming a run gives the same bits), and shared between views ('fixed' dropout)
/// by giving both views the same row number.
/// </remarks>
public sealed class DropoutMasks
{
    private readonly uint _key0, _key1, _step;
    private readonly IReadOnlyList<int> _rowKeys;

    /// <summary>The noise of one step.</summary>
    /// <param name="seed">The run's seed.</param>
    /// <param name="step">The step within the run.</param>
    /// <param name="rowKeys">The key of each row of the batch, in the batch's order; rows with equal keys draw equal masks.</param>
    public DropoutMasks(long seed, int step, IReadOnlyList<int> rowKeys)
    {
        (_key0, _key1) = ((uint)seed, (uint)(seed >> 32));
        _step = (uint)step;
        _rowKeys = rowKeys;
    }

    /// <summary>x ⊙ mask: drops elements of <paramref name="x"/> with probability <paramref name="p"/> and scales the rest by 1/(1−p).</summary>
    /// <param name="x">Any shape whose memory is contiguous: the parts of the rows stand one after another.</param>
    /// <param name="p">The probability that an element is dropped, below 1; 0 returns <paramref name="x"/> itself.</param>
    /// <param name="site">Which dropout of the model this is.</param>
    /// <param name="rows">For each part, the row of the batch it belongs to and how many elements it has; together all of x.</param>
    public Tensor Apply(Tensor x, double p, int site, IReadOnlyList<(int Row, int Elements)> rows)
    {
        if (p == 0)
        {
            return x;
        }

        using Tensor mask = empty_like(x, requires_grad: false); // the shape of x
        Fill(mask, p, site, rows);
        return x * mask;
    }

    /// <summary>Writes the factors of a whole tensor: rows as in <see cref="Apply"/>.</summary>
    internal unsafe void Fill(Tensor mask, double p, int site, IReadOnlyList<(int Row, int Elements)> rows)
    {
        long[] starts = new long[rows.Count + 1];
        for (int r = 0; r < rows.Count; r++)
        {
            starts[r + 1] = starts[r] + rows[r].Elements;
        }

        if (starts[^1] != mask.numel())
        {
            throw new ArgumentException($"the rows have {starts[^1]} elements, the tensor {mask.numel()}", nameof(rows));
        }

        nint memory = mask.Address();
        Parallel.For(0, rows.Count, r => Fill((float*)memory + starts[r], p, site, rows[r].Row, 0, rows[r].Elements));
    }

    /// <summary>Writes the factors, 0 or 1/(1−p), of a stretch of a row's elements at a site.</summary>
    /// <param name="mask">Receives <paramref name="count"/> factors.</param>
    /// <param name="p">The probability of 0.</param>
    /// <param name="site">Which dropout of the model this is.</param>
    /// <param name="row">The row of the batch.</param>
    /// <param name="start">The first element.</param>
    /// <param name="count">How many.</param>
    internal unsafe void Fill(float* mask, double p, int site, int row, long start, int count)
    {
        Vector512<uint> threshold = Vector512.Create(Threshold(p)), scale = Vector512.Create((float)(1 / (1 - p))).AsUInt32();
        uint rowKey = (uint)_rowKeys[row], block = (uint)(start / Philox.BlockWords);
        int skip = (int)(start % Philox.BlockWords);
        float* partial = stackalloc float[Philox.BlockWords];
        uint* words = stackalloc uint[Philox.BlockWords];
        for (int done = 0; done < count; block++)
        {
            int take = Math.Min(Philox.BlockWords - skip, count - done);
            Philox.Block(block, rowKey, (uint)site, _step, _key0, _key1, new Span<uint>(words, Philox.BlockWords));
            float* target = take == Philox.BlockWords ? mask + done : partial;
            for (int w = 0; w < Philox.BlockWords; w += Vector512<uint>.Count)
            {
                (Vector512.GreaterThanOrEqual(Vector512.Load(words + w), threshold) & scale).AsSingle().Store(target + w);
            }

            if (take < Philox.BlockWords)
            {
                new Span<float>(partial + skip, take).CopyTo(new Span<float>(mask + done, take));
            }

            done += take;
            skip = 0;
        }
    }

    /// <summary>An element is dropped where its word is below this: p·2³², rounded.</summary>
    private static uint Threshold(double p) => p is >= 0 and < 1
        ? (uint)Math.Round(p * uint.MaxValue)
        : throw new ArgumentOutOfRangeException(nameof(p), p, "a dropout probability is at least 0 and below 1");
}
