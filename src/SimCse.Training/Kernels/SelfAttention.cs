using System.Runtime.Intrinsics;
using SimCse.Training.Modeling;

namespace SimCse.Training.Kernels;

/// <summary>
/// The attention of one sequence, head by head: context = (softmax(Q Kᵀ / √d) ⊙ mask) V. The probabilities are not kept: the gradient computes them again from Q and K, which
/// costs less than a layer's linear products in a few hundred tokens and no memory.
/// </summary>
/// <param name="Heads">A.</param>
/// <param name="HeadWidth">d.</param>
/// <param name="Dropout">The probability that a probability is dropped.</param>
internal sealed unsafe record SelfAttention(int Heads, int HeadWidth, double Dropout)
{
    private const int Lanes = 16;

    private int PaddedWidth => Padded(HeadWidth);

    private float Scale => 1 / MathF.Sqrt(HeadWidth);

    /// <summary>A row of activations: the first of its values, and the way to the next row.</summary>
    public readonly struct Rows(float* data, nint stride)
    {
        public float* Data { get; } = data;

        public nint Stride { get; } = stride;

        public Rows At(int column) => new(Data + column, Stride);
    }

    /// <summary>The noise of one sequence; none where <paramref name="masks"/> is null.</summary>
    public readonly struct Noise(DropoutMasks? masks, int site, int row)
    {
        public void Fill(float* factors, double p, long start, int count) => masks!.Fill(factors, p, site, row, start, count);

        public bool Any(double p) => masks is not null && p > 0;
    }

    /// <summary>The scratch that <see cref="Forward"/> and <see cref="Backward"/> need for sequences of at most <paramref name="length"/> tokens, in floats.</summary>
    public long Scratch(int length) => (5L * length * Padded(length)) + (3L * Padded(length) * PaddedWidth) + (3L * length * PaddedWidth);

    /// <summary>The context of the sequence's queries.</summary>
    /// <param name="q">Queries, (L′, H): one for every token, or for the first alone.</param>
    /// <param name="queries">L′.</param>
    /// <param name="k">Keys, (L, H).</param>
    /// <param name="v">Values, (L, H).</param>
    /// <param name="length">L.</param>
    /// <param name="noise">The sequence's dropout at this site.</param>
    /// <param name="context">Receives (L′, H).</param>
    /// <param name="scratch">Memory of this thread's.</param>
    public void Forward(Rows q, int queries, Rows k, Rows v, int length, Noise noise, Rows context, float* scratch)
    {
        int padded = Padded(length);
        float* scores = scratch, mask = scores + ((long)length * padded), keys = mask + ((long)length * padded) + Lanes, values = keys + ((long)padded * PaddedWidth);
        for (int head = 0; head < Heads; head++)
        {
            int column = head * HeadWidth;
            Probabilities(q.At(column), queries, k.At(column), length, scores, padded, keys);
            if (noise.Any(Dropout))
            {
                noise.Fill(mask, Dropout, (long)head * queries * length, queries * length);
                Multiply(scores, padded, mask, queries, length, scores);
            }

            Product(queries, scores, padded, 1, AsPanels(v.At(column), length, values), length, context.Data + column, context.Stride, false);
        }
    }

    /// <summary>The gradients of queries, keys and values from that of the context.</summary>
    /// <param name="dContext">(L′, H).</param>
    /// <param name="dq">Receives (L′, H).</param>
    /// <param name="dk">Receives (L, H).</param>
    /// <param name="dv">Receives (L, H).</param>
    public void Backward(Rows q, int queries, Rows k, Rows v, int length, Noise noise, Rows dContext, Rows dq, Rows dk, Rows dv, float* scratch)
    {
        int padded = Padded(length);
        long square = (long)length * padded;
        float* p = scratch, mask = p + square, dropped = mask + square, dScores = dropped + square, panels = dScores + square;
        float* left = panels + ((long)padded * PaddedWidth), right = left + ((long)padded * PaddedWidth);
        for (int head = 0; head < Heads; head++)
        {
            int column = head * HeadWidth;
            Probabilities(q.At(column), queries, k.At(column), length, p, padded, panels);
            bool noisy = noise.Any(Dropout);
            if (noisy)
            {
                noise.Fill(mask, Dropout, (long)head * queries * length, queries * length);
                Multiply(p, padded, mask, queries, length, dropped);
            }

            // dV = (P ⊙ mask)ᵀ dC: (L, d)
            Product(length, noisy ? dropped : p, 1, padded, AsPanels(dContext.At(column), queries, left), queries, dv.Data + column, dv.Stride, false);

            // dP = dC Vᵀ ⊙ mask; dS = P ⊙ (dP − rowsum(P ⊙ dP)) / √d: (L′, L)
            MatrixProduct.PackColumns(Precision.Fp32, v.Data + column, v.Stride, length, HeadWidth, panels, null);
            Product(queries, dContext.Data + column, dContext.Stride, 1, Panels.At(panels, HeadWidth, padded), HeadWidth, dScores, padded, false);
            if (noisy)
            {
                Multiply(dScores, padded, mask, queries, length, dScores);
            }

            for (int i = 0; i < queries; i++)
            {
                SoftmaxBackward(p + ((long)i * padded), padded, dScores + ((long)i * padded));
            }

            // dQ = dS K: (L′, d); dK = dSᵀ Q: (L, d)
            Product(queries, dScores, padded, 1, AsPanels(k.At(column), length, left), length, dq.Data + column, dq.Stride, false);
            Product(length, dScores, 1, padded, AsPanels(q.At(column), queries, right), queries, dk.Data + column, dk.Stride, false);
        }
    }

    private static int Padded(int length) => (length + Panels.Width - 1) / Panels.Width * Panels.Width;

    /// <summary>softmax(Q Kᵀ / √d), (L′, L), rows padded with zeros.</summary>
    private void Probabilities(Rows q, int queries, Rows k, int length, float* scores, int padded, float* panels)
    {
        MatrixProduct.PackColumns(Precision.Fp32, k.Data, k.Stride, length, HeadWidth, panels, null);
        Product(queries, q.Data, q.Stride, 1, Panels.At(panels, HeadWidth, padded), HeadWidth, scores, padded, false);
        for (int i = 0; i < queries; i++)
        {
            Softmax(scores + ((long)i * padded), length, padded);
        }
    }

    private void Softmax(float* row, int length, int padded)
    {
        Vector512<float> highest = Vector512.Create(float.NegativeInfinity);
        int whole = length / Lanes * Lanes;
        Vector512<float> tail = VectorMath.FirstLanes(length - whole);
        for (int j = 0; j < whole; j += Lanes)
        {
            highest = Vector512.MaxNative(highest, Vector512.Load(row + j));
        }

        if (whole < length)
        {
            highest = Vector512.MaxNative(highest, Vector512.ConditionalSelect(tail, Vector512.Load(row + whole), Vector512.Create(float.NegativeInfinity)));
        }

        Vector512<float> shift = Vector512.Create(VectorMath.Max(highest)), scale = Vector512.Create(Scale), sum = default;
        for (int j = 0; j < padded; j += Lanes)
        {
            Vector512<float> e = VectorMath.Exp((Vector512.Load(row + j) - shift) * scale);
            e = j < whole ? e : j < length ? Vector512.ConditionalSelect(tail, e, Vector512<float>.Zero) : Vector512<float>.Zero;
            sum += e;
            e.Store(row + j);
        }

        Vector512<float> share = Vector512.Create(1 / Vector512.Sum(sum));
        for (int j = 0; j < padded; j += Lanes)
        {
            (Vector512.Load(row + j) * share).Store(row + j);
        }
    }

    private void SoftmaxBackward(float* p, int padded, float* d)
    {
        Vector512<float> sums = default;
        for (int j = 0; j < padded; j += Lanes)
        {
            sums = Vector512.FusedMultiplyAdd(Vector512.Load(p + j), Vector512.Load(d + j), sums);
        }

        Vector512<float> sum = Vector512.Create(Vector512.Sum(sums));
        for (int j = 0; j < padded; j += Lanes)
        {
            (Vector512.Load(p + j) * (Vector512.Load(d + j) - sum) * Scale).Store(d + j);
        }
    }

    /// <summary>target = x ⊙ mask; the mask's rows have L values, those of x and target are padded; what stands in the padding of x stays zero.</summary>
    private static void Multiply(float* x, int padded, float* mask, int queries, int length, float* target)
    {
        for (int i = 0; i < queries; i++, x += padded, target += padded, mask += length)
        {
            int j = 0;
            for (; j + Lanes <= length; j += Lanes)
            {
                (Vector512.Load(x + j) * Vector512.Load(mask + j)).Store(target + j);
            }

            for (; j < padded; j += Lanes) // what is read behind the mask's end is within the scratch, and not used
            {
                Vector512.ConditionalSelect(VectorMath.FirstLanes(length - j), Vector512.Load(x + j) * Vector512.Load(mask + j), Vector512<float>.Zero).Store(target + j);
            }
        }
    }

    /// <summary>A head's rows as the right-hand side of a product: as they lie where their width fills panels, else a padded copy.</summary>
    private Panels AsPanels(Rows rows, int length, float* copy)
    {
        if (HeadWidth % Panels.Width == 0)
        {
            return Panels.InPlace(rows.Data, rows.Stride, HeadWidth);
        }

        MatrixProduct.PackRows(Precision.Fp32, rows.Data, rows.Stride, length, HeadWidth, copy, length);
        return Panels.At(copy, length, HeadWidth);
    }

    private static void Product(int rows, float* a, nint rowStride, nint depthStride, Panels b, int depth, float* c, nint cStride, bool accumulate) =>
        MatrixProduct.Multiply(Precision.Fp32, rows, a, rowStride, depthStride, b, depth, c, cStride, accumulate);
}
