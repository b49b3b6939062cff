using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using SimCse.Training.Modeling;

namespace SimCse.Training.Kernels;

/// <summary>
/// The right-hand side of a product, K × N, in panels of 32 columns, each a (K, 32) matrix of its own: what <see cref="MatrixProduct"/> reads from front to back. In bfloat16
/// two neighbouring k share a word, so that a panel has ⌈K/2⌉ rows of 32 words.
/// </summary>
/// <param name="data">The first panel.</param>
/// <param name="panelStride">From one panel to the next, in words.</param>
/// <param name="rowStride">From one row of a panel to the next, in words.</param>
/// <param name="columns">N.</param>
internal readonly unsafe struct Panels(float* data, nint panelStride, nint rowStride, int columns)
{
    public const int Width = 32;

    public float* Data { get; } = data;

    public nint PanelStride { get; } = panelStride;

    public nint RowStride { get; } = rowStride;

    public int Columns { get; } = columns;

    /// <summary>The words of panels of that size.</summary>
    public static long Words(int depthWords, int columns) => (long)((columns + Width - 1) / Width) * depthWords * Width;

    /// <summary>Panels that stand one after another at <paramref name="data"/>.</summary>
    public static Panels At(float* data, int depthWords, int columns) => new(data, (nint)depthWords * Width, Width, columns);

    /// <summary>A row-major float32 matrix as it stands, where its columns fill whole panels.</summary>
    public static Panels InPlace(float* data, nint rowStride, int columns) => new(data, Width, rowStride, columns);
}

/// <summary>
/// Products of matrices on one thread, in float32 or with bfloat16 factors and float32 sums: the loops around <see cref="Fp32Tile"/> and <see cref="Bf16Tile"/>, and the packing
/// that lets these read in order. A sum runs over k in one order, whatever the number of threads that share out the rows.
/// </summary>
/// <remarks>
/// Why not libtorch's: on AMD processors its MKL stays on 256-bit code and gives half of what AVX-512 can (docs/performance.md), and a product of one's own
/// takes its operands where they lie and leaves its result where it is used next.
/// </remarks>
internal static unsafe class MatrixProduct
{
    private const int DepthBlock = 256; // 32 KB of a panel: it stays in the first-level cache while all rows pass by

    /// <summary>How many words k takes: one each in float32, two to a word in bfloat16.</summary>
    public static int DepthWords(int depth, Precision precision) => precision == Precision.Fp32 ? depth : (depth + 1) / 2;

    /// <summary>C (+)= A · B.</summary>
    /// <param name="precision">What the words of A and B hold.</param>
    /// <param name="rows">The rows of A and C.</param>
    /// <param name="a">Word (r, k) of A is at a[r · rowStride + k · depthStride].</param>
    /// <param name="b">B, from the first k on that takes part.</param>
    /// <param name="depthWords">How many words of k take part.</param>
    /// <param name="c">C, row-major.</param>
    /// <param name="cStride">From one row of C to the next.</param>
    /// <param name="accumulate">Whether C is added to, or overwritten.</param>
    public static void Multiply(Precision precision, int rows, float* a, nint rowStride, nint depthStride, Panels b, int depthWords, float* c, nint cStride, bool accumulate)
    {
        if (precision == Precision.Fp32)
        {
            Multiply<Fp32>(rows, a, rowStride, depthStride, b, depthWords, c, cStride, accumulate);
        }
        else
        {
            Multiply<Bf16>(rows, a, rowStride, depthStride, b, depthWords, c, cStride, accumulate);
        }
    }

    private static void Multiply<TTile>(int rows, float* a, nint rowStride, nint depthStride, Panels b, int depthWords, float* c, nint cStride, bool accumulate)
        where TTile : ITile
    {
        if (depthWords == 0)
        {
            for (int r = 0; r < rows && !accumulate; r++)
            {
                new Span<float>(c + (r * cStride), b.Columns).Clear();
            }

            return;
        }

        float* partial = stackalloc float[12 * Panels.Width];
        int blocks = (depthWords + DepthBlock - 1) / DepthBlock, block = (depthWords + blocks - 1) / blocks;
        for (int k = 0; k < depthWords; k += block)
        {
            int depth = Math.Min(block, depthWords - k);
            bool add = accumulate || k > 0;
            float* panel = b.Data + (k * b.RowStride);
            for (int column = 0; column < b.Columns; column += Panels.Width, panel += b.PanelStride)
            {
                int width = Math.Min(Panels.Width, b.Columns - column);
                for (int row = 0; row < rows;)
                {
                    int height = rows - row >= 12 ? 12 : rows - row >= 4 ? 4 : 1;
                    float* left = a + (row * rowStride) + (k * depthStride), target = c + (row * cStride) + column;
                    if (width == Panels.Width)
                    {
                        TTile.Multiply(height, left, rowStride, depthStride, panel, b.RowStride, depth, target, cStride, add);
                    }
                    else
                    {
                        TTile.Multiply(height, left, rowStride, depthStride, panel, b.RowStride, depth, partial, Panels.Width, false);
                        for (int r = 0; r < height; r++)
                        {
                            for (int j = 0; j < width; j++)
                            {
                                target[(r * cStride) + j] = partial[(r * Panels.Width) + j] + (add ? target[(r * cStride) + j] : 0);
                            }
                        }
                    }

                    row += height;
                }
            }
        }
    }

    /// <summary>
    /// Packs a matrix whose rows are the product's k: panel word (k, j) is element (k, j). For X in dW = dYᵀ X and for W in dX = dY W.
    /// </summary>
    /// <param name="precision">What is packed.</param>
    /// <param name="source">The matrix, row-major.</param>
    /// <param name="stride">From one of its rows to the next.</param>
    /// <param name="depth">Its rows.</param>
    /// <param name="columns">Its columns.</param>
    /// <param name="target">Panels of <paramref name="targetDepthWords"/> rows, written from <paramref name="firstWord"/> on.</param>
    /// <param name="targetDepthWords">The rows of a panel.</param>
    /// <param name="firstWord">The first word of k that is written.</param>
    public static void PackRows(Precision precision, float* source, nint stride, int depth, int columns, float* target, int targetDepthWords, int firstWord = 0)
    {
        for (int column = 0; column < columns; column += Panels.Width)
        {
            int width = Math.Min(Panels.Width, columns - column);
            float* panel = target + (((nint)(column / Panels.Width) * targetDepthWords) + firstWord) * Panels.Width;
            CopyRows(precision, source + column, stride, depth, width, panel, Panels.Width);
        }
    }

    /// <summary>
    /// Rows of a matrix side by side as words: in float32 a copy, in bfloat16 rows 2k and 2k+1 in one; columns behind the last are zero. For dY in dW = dYᵀ X, word (k, r) at target[k · targetStride + r].
    /// </summary>
    public static void CopyRows(Precision precision, float* source, nint stride, int depth, int width, float* target, int targetStride)
    {
        if (precision == Precision.Fp32)
        {
            for (int k = 0; k < depth; k++, source += stride, target += targetStride)
            {
                int j = 0;
                for (; j + 16 <= width; j += 16)
                {
                    Vector512.Load(source + j).Store(target + j);
                }

                for (; j < targetStride; j++)
                {
                    target[j] = j < width ? source[j] : 0;
                }
            }
        }
        else
        {
            uint* words = (uint*)target;
            for (int k = 0; k < depth; k += 2, source += 2 * stride, words += targetStride)
            {
                bool both = k + 1 < depth;
                int j = 0;
                for (; j + 16 <= width; j += 16)
                {
                    Vector512<uint> even = Round(Vector512.Load(source + j)) >>> 16;
                    Vector512<uint> odd = both ? Round(Vector512.Load(source + stride + j)) & Vector512.Create(0xFFFF0000) : default;
                    (even | odd).Store(words + j);
                }

                for (; j < targetStride; j++)
                {
                    words[j] = j < width ? Word(source[j], both ? source[stride + j] : 0) : 0;
                }
            }
        }
    }

    /// <summary>Packs a matrix whose columns are the product's k, such as W in Y = X Wᵀ: panel word (k, j) is element (j, k).</summary>
    /// <param name="precision">What is packed.</param>
    /// <param name="source">The matrix, row-major, (columns of the product, depth).</param>
    /// <param name="stride">From one of its rows to the next.</param>
    /// <param name="rows">Its rows, the product's columns.</param>
    /// <param name="depth">Its columns.</param>
    /// <param name="target">Panels of <see cref="DepthWords"/> rows.</param>
    /// <param name="scratch">Room for 32 · <see cref="DepthWords"/> words.</param>
    public static void PackColumns(Precision precision, float* source, nint stride, int rows, int depth, float* target, float* scratch)
    {
        int words = DepthWords(depth, precision);
        for (int row = 0; row < rows; row += Panels.Width)
        {
            int height = Math.Min(Panels.Width, rows - row);
            float* from = source + (row * stride);
            nint fromStride = stride;
            if (precision == Precision.Bf16)
            {
                ToBf16(from, stride, height, depth, scratch, words);
                from = scratch;
                fromStride = words;
            }

            float* panel = target + ((nint)row * words);
            int k = 0;
            if (Avx512F.IsSupported)
            {
                for (; k + 16 <= words; k += 16)
                {
                    Transpose16(from + k, fromStride, height, panel + (k * Panels.Width));
                    Transpose16(from + (16 * fromStride) + k, fromStride, height - 16, panel + (k * Panels.Width) + 16);
                }
            }

            for (; k < words; k++)
            {
                for (int j = 0; j < Panels.Width; j++)
                {
                    panel[(k * Panels.Width) + j] = j < height ? from[(j * fromStride) + k] : 0;
                }
            }
        }
    }

    /// <summary>Rows of a matrix in bfloat16, pairs of neighbouring columns to a word: A of a product as it lies.</summary>
    /// <param name="source">Row-major float32.</param>
    /// <param name="stride">From one row to the next.</param>
    /// <param name="rows">How many.</param>
    /// <param name="columns">Their length.</param>
    /// <param name="target">Row-major words.</param>
    /// <param name="targetStride">From one row of words to the next; ⌈columns/2⌉ or more.</param>
    public static void ToBf16(float* source, nint stride, int rows, int columns, float* target, nint targetStride)
    {
        for (int r = 0; r < rows; r++, source += stride, target += targetStride)
        {
            ushort* halves = (ushort*)target;
            int j = 0;
            for (; j + 32 <= columns; j += 32)
            {
                Vector512.Narrow(Round(Vector512.Load(source + j)) >>> 16, Round(Vector512.Load(source + j + 16)) >>> 16).Store(halves + j);
            }

            for (; j < columns; j++)
            {
                halves[j] = (ushort)Word(source[j], 0);
            }

            if ((columns & 1) != 0)
            {
                halves[columns] = 0;
            }
        }
    }

    /// <summary>Rounds to the nearest bfloat16, ties to even: its bits are the upper half of each word, the lower half is to be dropped.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<uint> Round(Vector512<float> x)
    {
        Vector512<uint> bits = x.AsUInt32();
        return bits + ((bits >>> 16) & Vector512<uint>.One) + Vector512.Create(0x7FFFu);
    }

    private static uint Word(float even, float odd) => (Round(even) >> 16) | (Round(odd) & 0xFFFF0000);

    private static uint Round(float x)
    {
        uint bits = BitConverter.SingleToUInt32Bits(x);
        return bits + ((bits >> 16) & 1) + 0x7FFF;
    }

    /// <summary>16 × 16 words: target[k · 32 + j] = source[j · stride + k] for the first <paramref name="rows"/> j, 0 for the others.</summary>
    private static void Transpose16(float* source, nint stride, int rows, float* target)
    {
        Vector512<float>* r = stackalloc Vector512<float>[16];
        Vector512<float>* t = stackalloc Vector512<float>[16];
        for (int i = 0; i < 16; i += 2)
        {
            Vector512<float> x = i < rows ? Vector512.Load(source + (i * stride)) : default, y = i + 1 < rows ? Vector512.Load(source + ((i + 1) * stride)) : default;
            t[i] = Avx512F.UnpackLow(x, y);
            t[i + 1] = Avx512F.UnpackHigh(x, y);
        }

        for (int i = 0; i < 16; i += 4)
        {
            r[i] = Avx512F.UnpackLow(t[i].AsDouble(), t[i + 2].AsDouble()).AsSingle();
            r[i + 1] = Avx512F.UnpackHigh(t[i].AsDouble(), t[i + 2].AsDouble()).AsSingle();
            r[i + 2] = Avx512F.UnpackLow(t[i + 1].AsDouble(), t[i + 3].AsDouble()).AsSingle();
            r[i + 3] = Avx512F.UnpackHigh(t[i + 1].AsDouble(), t[i + 3].AsDouble()).AsSingle();
        }

        for (int i = 0; i < 4; i++)
        {
            t[i] = Avx512F.Shuffle4x128(r[i], r[4 + i], 0x88);
            t[4 + i] = Avx512F.Shuffle4x128(r[i], r[4 + i], 0xDD);
            t[8 + i] = Avx512F.Shuffle4x128(r[8 + i], r[12 + i], 0x88);
            t[12 + i] = Avx512F.Shuffle4x128(r[8 + i], r[12 + i], 0xDD);
        }

        for (int i = 0; i < 4; i++)
        {
            Avx512F.Shuffle4x128(t[i], t[8 + i], 0x88).Store(target + (i * Panels.Width));
            Avx512F.Shuffle4x128(t[4 + i], t[12 + i], 0x88).Store(target + ((4 + i) * Panels.Width));
            Avx512F.Shuffle4x128(t[i], t[8 + i], 0xDD).Store(target + ((8 + i) * Panels.Width));
            Avx512F.Shuffle4x128(t[4 + i], t[12 + i], 0xDD).Store(target + ((12 + i) * Panels.Width));
        }
    }

    /// <summary>The innermost piece in one of the two precisions.</summary>
    private interface ITile
    {
        static abstract void Multiply(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate);
    }

    private readonly struct Fp32 : ITile
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Multiply(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate) =>
            Fp32Tile.Multiply(rows, a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
    }

    private readonly struct Bf16 : ITile
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static void Multiply(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate) =>
            Bf16Tile.Multiply(rows, a, rowStride, depthStride, b, bStride, depth, c, cStride, accumulate);
    }
}
