using CsCheck;
using SimCse.Search;

namespace SimCse.Tests.Search;

public sealed class TopHitsTests
{
    [Fact]
    public void What_is_kept_is_the_head_of_a_sort_whatever_the_order_of_the_offers()
    {
        // Few different scores, so that ties are common.
        Gen.Select(Gen.Int[0, 4].Array[0, 60], Gen.Int[0, 12], Gen.Int[0, 1000]).Sample((scores, k, seed) =>
        {
            SearchHit[] hits = [.. scores.Select((score, row) => new SearchHit(row, score))];
            SearchHit[] offered = [.. hits];
            new Random(seed).Shuffle(offered);
            TopHits best = new(k);
            foreach (SearchHit hit in offered)
            {
                best.Offer(hit.Row, hit.Score);
            }

            Assert.Equal(hits.OrderByDescending(hit => hit.Score).ThenBy(hit => hit.Row).Take(k), best.Sorted());
        });
    }
}
