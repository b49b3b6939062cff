using SimCse.Training.Data;

namespace SimCse.Training.Tests;

public class EpochOrderTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(64)]
    [InlineData(99)]
    [InlineData(1000)]
    [InlineData(65_536)]
    [InlineData(65_537)]
    [InlineData(1_000_003)]
    public void An_epoch_visits_every_row_once(int rows)
    {
        EpochOrder order = new(rows, 64, seed: 3);
        Assert.Equal((rows + 63) / 64, order.StepsPerEpoch);
        bool[] seen = new bool[rows];
        for (int step = order.StepsPerEpoch; step < 2 * order.StepsPerEpoch; step++)
        {
            foreach (int row in order.RowsOf(step))
            {
                Assert.False(seen[row]);
                seen[row] = true;
            }
        }

        Assert.DoesNotContain(false, seen);
    }

    [Fact]
    public void Epochs_and_seeds_differ_and_a_step_is_the_same_whenever_it_is_asked_for()
    {
        EpochOrder order = new(100, 32, seed: 5);
        int[] first = Epoch(order, 0);
        Assert.NotEqual(first, Epoch(order, 1));
        Assert.NotEqual(first, Epoch(new EpochOrder(100, 32, seed: 6), 0));
        Assert.Equal(first[32..64], new EpochOrder(100, 32, seed: 5).RowsOf(1));
        Assert.Equal(first[96..], order.RowsOf(3));
    }

    /// <summary>
    /// A uniform permutation cut into k × k equal cells of (place, row): with all margins fixed, Pearson's χ² has the expectation n/(n−1)·(k−1)²
    /// (Haldane 1940), and a variance near 2(k−1)². Place against row: where a row goes; row against its row of the epoch before: whether epochs are independent;
    /// row against the row at the next place: whether neighbours are.
    /// </summary>
    [Theory]
    [InlineData(4096, 16)]
    [InlineData(5000, 20)]
    [InlineData(10_007 * 3, 3)]
    public void Places_epochs_and_neighbours_are_as_independent_as_of_a_uniform_permutation(int rows, int cells)
    {
        const int Epochs = 100;
        double[] sums = new double[3];
        EpochOrder order = new(rows, rows, seed: 11);
        int[] before = order.RowsOf(0);
        for (int epoch = 1; epoch <= Epochs; epoch++)
        {
            int[] now = order.RowsOf(epoch);
            sums[0] += ChiSquare(Enumerable.Range(0, rows).Select(i => (i, now[i])));
            sums[1] += ChiSquare(Enumerable.Range(0, rows).Select(i => (before[i], now[i])));
            sums[2] += ChiSquare(Enumerable.Range(0, rows).Select(i => (now[i], now[(i + 1) % rows])));
            before = now;
        }

        double expected = (double)rows / (rows - 1) * (cells - 1) * (cells - 1), deviation = Math.Sqrt(2.0 * (cells - 1) * (cells - 1) / Epochs);
        Assert.All(sums, sum => Assert.InRange((sum / Epochs) - expected, -4 * deviation, 4 * deviation));

        double ChiSquare(IEnumerable<(int A, int B)> pairs)
        {
            double[] counts = new double[cells * cells];
            double[] a = new double[cells], b = new double[cells];
            foreach ((int x, int y) in pairs)
            {
                int i = (int)((long)x * cells / rows), j = (int)((long)y * cells / rows);
                counts[(i * cells) + j]++;
                a[i]++;
                b[j]++;
            }

            return counts.Select((count, at) => (count, mean: a[at / cells] * b[at % cells] / rows)).Sum(c => (c.count - c.mean) * (c.count - c.mean) / c.mean);
        }
    }

    /// <summary>The number of fixed points of a uniform permutation has mean 1 and variance 1, whatever its size (de Montmort 1708).</summary>
    [Theory]
    [InlineData(7)]
    [InlineData(1000)]
    public void As_many_rows_stay_in_their_place_as_in_a_uniform_permutation(int rows)
    {
        const int Epochs = 4000;
        EpochOrder order = new(rows, rows, seed: 2);
        int[] stay = [.. Enumerable.Range(0, Epochs).Select(e => order.RowsOf(e).Where((row, place) => row == place).Count())];
        double mean = stay.Average(), variance = stay.Average(s => (s - mean) * (s - mean));
        Assert.Equal(1, mean, 4 / Math.Sqrt(Epochs));
        Assert.Equal(1, variance, 4 * Math.Sqrt(3.0 / Epochs)); // Poisson's fourth central moment is 4: the variance's variance is (4 − 1)/n
    }

    /// <summary>χ² over all orders of a few rows, with as many degrees of freedom as there are orders less one.</summary>
    [Theory]
    [InlineData(3, 6)]
    [InlineData(4, 24)]
    [InlineData(5, 120)]
    public void A_handful_of_rows_comes_in_all_its_orders_alike(int rows, int orders)
    {
        const int Each = 200;
        EpochOrder order = new(rows, rows, seed: 8);
        Dictionary<string, int> counts = Enumerable.Range(0, Each * orders).CountBy(e => string.Join(',', order.RowsOf(e))).ToDictionary(StringComparer.Ordinal);
        Assert.Equal(orders, counts.Count);
        double chiSquare = counts.Values.Sum(c => (double)(c - Each) * (c - Each) / Each);
        Assert.InRange(chiSquare, 0, orders - 1 + (4 * Math.Sqrt(2.0 * (orders - 1))));
    }

    [Fact]
    public void Memory_does_not_grow_with_the_rows()
    {
        long few = Allocated(1000), many = Allocated(int.MaxValue);
        Assert.Equal(few, many);

        static long Allocated(int rows)
        {
            new EpochOrder(rows, 64, seed: 1).RowsOf(9);
            long before = GC.GetAllocatedBytesForCurrentThread();
            new EpochOrder(rows, 64, seed: 1).RowsOf(9);
            return GC.GetAllocatedBytesForCurrentThread() - before;
        }
    }

    private static int[] Epoch(EpochOrder order, int epoch) => [.. Enumerable.Range(epoch * order.StepsPerEpoch, order.StepsPerEpoch).SelectMany(order.RowsOf)];
}
