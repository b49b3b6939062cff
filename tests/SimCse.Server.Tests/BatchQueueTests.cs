using SimCse.Server.Batching;

namespace SimCse.Server.Tests;

public sealed class BatchQueueTests
{
    [Fact]
    public void The_oldest_text_runs_with_those_of_the_nearest_lengths()
    {
        int[] lengths = [20, 90, 21, 5, 19, 20, 40, 22];

        Assert.Equal([0, 2, 4, 5], BatchQueue.Choose(lengths, 80));
        Assert.Equal([0, 5], BatchQueue.Choose(lengths, 58));
        Assert.Equal([0], BatchQueue.Choose(lengths, 10)); // longer than a batch may be, and runs nevertheless
        Assert.Equal([0, 1, 2, 3, 4, 5, 6, 7], BatchQueue.Choose(lengths, 1000));
        Assert.Equal([0], BatchQueue.Choose([7], 1000));
    }

    [Fact]
    public void Every_text_is_chosen_sooner_or_later_and_no_batch_is_too_large()
    {
        Random random = new(3);
        List<int> waiting = [.. Enumerable.Range(0, 300).Select(_ => random.Next(1, 128))];
        int left = waiting.Count;
        while (waiting.Count > 0)
        {
            int oldest = waiting[0];
            int[] chosen = BatchQueue.Choose([.. waiting], 512);

            Assert.Equal(0, chosen[0]);
            Assert.Equal(chosen.Distinct().Order(), chosen);
            Assert.InRange(chosen.Sum(place => waiting[place]), 1, 512);
            int farthest = chosen.Max(place => Math.Abs(waiting[place] - oldest));
            Assert.All(waiting.Where((_, place) => !chosen.Contains(place)), length => Assert.True(Math.Abs(length - oldest) >= farthest));
            foreach (int place in chosen.Reverse())
            {
                waiting.RemoveAt(place);
            }

            left -= chosen.Length;
        }

        Assert.Equal(0, left);
    }
}
