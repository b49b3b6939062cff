using System.IO.Hashing;
using System.Runtime.InteropServices;

namespace SimCse.Training.Data;

/// <summary>
/// Rows of a corpus that say the same: in a batch they are negatives of each other, and false ones. Exactly the same: a first or second text with the same tokens as another row's (for an uncased model, case and
/// accents apart). Nearly the same: the sets of three neighbouring tokens of their first texts overlap by <see cref="NearBound"/> or more (Jaccard).
/// </summary>
/// <remarks>
/// Broder: On the resemblance and containment of documents, 1997: signatures of <see cref="Bands"/> × <see cref="BandRows"/> minima bring rows together that may be alike (at 0.8 in 99.5 of 100 cases), and the sets themselves decide.
/// </remarks>
public sealed class Duplicates
{
    /// <summary>|A ∩ B| / |A ∪ B| from which two texts are nearly the same.</summary>
    public const double NearBound = 0.8;

    private const int Bands = 10, BandRows = 4, Shingle = 3, ShownPairs = 3;

    private readonly int[] _group;

    private Duplicates(int[] group, int exact, int near, IReadOnlyList<(int First, int Second, bool Exact)> examples)
    {
        _group = group;
        Exact = exact;
        Near = near;
        Examples = examples;
        Pairs = group.CountBy(g => g).Sum(g => (double)g.Value * (g.Value - 1) / 2);
    }

    /// <summary>Rows that repeat an earlier one exactly.</summary>
    public int Exact { get; }

    /// <summary>Rows that nearly repeat an earlier one, and do not repeat one exactly.</summary>
    public int Near { get; }

    /// <summary>Pairs of rows that say the same, counted within groups.</summary>
    public double Pairs { get; }

    /// <summary>The first few pairs, of each kind.</summary>
    public IReadOnlyList<(int First, int Second, bool Exact)> Examples { get; }

    /// <summary>A number for each row that rows which say the same have in common.</summary>
    public IReadOnlyList<int> Groups => _group;

    /// <summary>The false negatives that a batch has on average: pairs · N(N − 1) / (n(n − 1)) of n rows.</summary>
    /// <param name="batchSize">N.</param>
    public double ExpectedPerBatch(int batchSize) => _group.Length < 2 ? 0 : Pairs * batchSize * (batchSize - 1) / ((double)_group.Length * (_group.Length - 1));

    /// <summary>Looks for them.</summary>
    /// <param name="corpus">The data.</param>
    /// <param name="cancellationToken">Stops between rows.</param>
    public static Duplicates Find(TrainingCorpus corpus, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        int rows = corpus.Rows;
        int[] parent = [.. Enumerable.Range(0, rows)];
        bool[] exact = new bool[rows], near = new bool[rows];
        List<(int, int, bool)> examples = [];

        Dictionary<UInt128, int> seen = [];
        for (int column = 0; column < Math.Min(corpus.Columns, 2); column++)
        {
            seen.Clear();
            for (int row = 0; row < rows; row++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                ref int first = ref CollectionsMarshal.GetValueRefOrAddDefault(seen, Hash(corpus.Ids(row, column)), out bool known);
                if (!known)
                {
                    first = row;
                }
                else if (Join(first, row))
                {
                    Note(first, row, isExact: true);
                    exact[row] = true;
                }
            }
        }

        ulong[] signatures = new ulong[(long)rows * Bands]; // [row][band]
        Parallel.For(0, rows, new ParallelOptions { CancellationToken = cancellationToken }, row => Sign(corpus.Ids(row, 0), signatures.AsSpan(row * Bands, Bands)));
        Dictionary<ulong, int> bucket = [];
        for (int band = 0; band < Bands; band++)
        {
            bucket.Clear();
            for (int row = 0; row < rows; row++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                if (!bucket.TryAdd(signatures[(row * Bands) + band], row) && bucket[signatures[(row * Bands) + band]] is var first && Root(first) != Root(row)
                    && Jaccard(corpus.Ids(first, 0), corpus.Ids(row, 0)) >= NearBound)
                {
                    Join(first, row);
                    Note(first, row, isExact: false);
                    near[row] = !exact[row];
                }
            }
        }

        return new Duplicates([.. Enumerable.Range(0, rows).Select(Root)], exact.Count(e => e), near.Count(n => n), examples);

        void Note(int first, int second, bool isExact)
        {
            if (examples.Count(e => e.Item3 == isExact) < ShownPairs)
            {
                examples.Add((first, second, isExact));
            }
        }

        int Root(int row)
        {
            while (parent[row] != row)
            {
                row = parent[row] = parent[parent[row]];
            }

            return row;
        }

        bool Join(int a, int b)
        {
            (a, b) = (Root(a), Root(b));
            parent[Math.Max(a, b)] = Math.Min(a, b);
            return a != b;
        }
    }

    private static UInt128 Hash(ReadOnlySpan<int> ids) => XxHash128.HashToUInt128(MemoryMarshal.AsBytes(ids));

    /// <summary>A number for each band of minima of hashes of the shingles.</summary>
    private static void Sign(int[] ids, Span<ulong> bands)
    {
        HashSet<ulong> shingles = Shingles(ids);
        Span<ulong> minima = stackalloc ulong[BandRows];
        for (int band = 0; band < bands.Length; band++)
        {
            minima.Fill(ulong.MaxValue);
            foreach (ulong shingle in shingles)
            {
                for (int i = 0; i < BandRows; i++)
                {
                    minima[i] = Math.Min(minima[i], Mix(shingle + (ulong)((band * BandRows) + i + 1) * 0x9E3779B97F4A7C15));
                }
            }

            bands[band] = XxHash64.HashToUInt64(MemoryMarshal.AsBytes(minima));
        }
    }

    private static double Jaccard(int[] a, int[] b)
    {
        HashSet<ulong> first = Shingles(a), second = Shingles(b);
        int common = first.Count(second.Contains);
        return (double)common / (first.Count + second.Count - common);
    }

    /// <summary>Hashes of the runs of three tokens, the special ones at the ends among them.</summary>
    private static HashSet<ulong> Shingles(int[] ids)
    {
        HashSet<ulong> shingles = [];
        for (int i = 0; i == 0 || i + Shingle <= ids.Length; i++)
        {
            shingles.Add(XxHash64.HashToUInt64(MemoryMarshal.AsBytes(ids.AsSpan(i, Math.Min(Shingle, ids.Length - i)))));
        }

        return shingles;
    }

    /// <summary>The finaliser of SplitMix64.</summary>
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
        return x ^ (x >> 31);
    }
}
