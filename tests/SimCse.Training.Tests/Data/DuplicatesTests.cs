using SimCse.Tokenization;
using SimCse.Training.Data;

namespace SimCse.Training.Tests;

public class DuplicatesTests
{
    private static Tokenizer Tokenizer { get; } = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));

    [Fact]
    public void Exact_and_near_repetitions_are_found_and_others_are_not()
    {
        string[] texts =
        [
            "a man is playing the guitar in the snow while the child reads a book about the river",
            "the company reported a loss in the first quarter of the year, and nobody was surprised",
            "A man is playing the guitar in the snow while the child reads a book about the river", // case apart
            "a man is playing the guitar in the snow while the child reads a book about the river.", // one token more
            "she cuts an onion, and the dog runs through the snow to the river where a man is playing",
            "a dog",
            "a dog",
        ];
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(texts.Select(t => (IReadOnlyList<string>)[t]), Tokenizer, 64, TestContext.Current.CancellationToken);
        Duplicates found = Duplicates.Find(corpus, TestContext.Current.CancellationToken);
        Assert.Equal((2, 1), (found.Exact, found.Near));
        Assert.Equal([0, 1, 0, 0, 4, 5, 5], found.Groups);
        Assert.Equal(4, found.Pairs); // three of the first group, one of the last
        Assert.Equal(4.0 * 3 * 2 / (7 * 6), found.ExpectedPerBatch(3), 1e-12);
        Assert.Equal([(0, 2, true), (5, 6, true), (0, 3, false)], found.Examples);
    }

    [Fact]
    public void Rows_of_pairs_that_share_either_text_are_one_group()
    {
        string[][] rows = [["a man reads", "someone reads"], ["the dog", "an animal"], ["a man reads", "a man has a book"], ["the cat", "an animal"]];
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(rows, Tokenizer, 64, TestContext.Current.CancellationToken);
        Assert.Equal([0, 1, 0, 1], Duplicates.Find(corpus, TestContext.Current.CancellationToken).Groups);
    }

    [Fact]
    public void Held_out_rows_are_in_no_batch_and_the_others_in_one_each()
    {
        string[][] rows = [.. Enumerable.Range(0, 50).Select(i => new[] { string.Join(' ', Enumerable.Repeat("a", i + 1)) })];
        using TrainingCorpus corpus = TrainingCorpus.Tokenize(rows, Tokenizer, 64, TestContext.Current.CancellationToken);
        HeldOutRows heldOut = new(50, 10);
        Assert.Equal((40, 10), (heldOut.Trained, heldOut.Rows.Distinct().Count()));
        StepBatches batches = new(corpus, new EpochOrder(heldOut.Trained, 8, seed: 3), heldOut: heldOut, groups: [.. Enumerable.Range(0, 50)]);
        ContrastiveBatch[] epoch = [.. Enumerable.Range(0, 5).Select(batches.At)];
        int[] trained = [.. epoch.SelectMany(b => b.Views[0].Select(ids => ids.Length - 3)).Order()]; // the row's number is in its length
        Assert.Equal(Enumerable.Range(0, 50).Except(heldOut.Rows), trained);
        Assert.Equal(epoch.SelectMany(b => b.Views[0].Select(ids => ids.Length - 3)), epoch.SelectMany(b => b.Groups!));
    }
}
