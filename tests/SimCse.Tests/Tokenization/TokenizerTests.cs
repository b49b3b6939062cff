using System.Globalization;
using System.Text.Json.Nodes;
using SimCse.Tokenization;

namespace SimCse.Tests.Tokenization;

public class TokenizerTests
{
    [Fact]
    public void The_end_of_a_long_text_is_cut_and_the_special_tokens_stay()
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));
        int[] whole = tokenizer.Encode("A man is playing a guitar.").Ids;
        Assert.Equal(12, whole.Length);

        for (int maxLength = 2; maxLength <= 14; maxLength++)
        {
            TokenizedText cut = tokenizer.Encode("A man is playing a guitar.", maxLength);
            Assert.Equal(maxLength < 12, cut.Truncated);
            Assert.Equal([.. whole[..(Math.Min(maxLength, 12) - 1)], tokenizer.SeparatorTokenId], cut.Ids);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.Encode("", 1));
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void A_million_characters_are_cut_without_being_tokenised(string model)
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture(model));
        string text = string.Concat(Enumerable.Repeat("some words ", 100_000));
        TokenizedText cut = tokenizer.Encode(text, 16);
        Assert.True(cut.Truncated);
        Assert.Equal(tokenizer.Encode(text[..200], 16).Ids, cut.Ids);
    }

    [Fact]
    public void One_word_of_a_million_bytes_is_merged_in_good_time()
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-roberta"));
        TokenizedText tokens = tokenizer.Encode(new string('a', 1_000_000));
        Assert.InRange(tokens.Ids.Length, 100_000, 1_000_002);
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void A_lone_surrogate_counts_as_a_replacement_character(string model)
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture(model));
        Assert.Equal(tokenizer.Encode("a\ufffdb \ufffd").Ids, tokenizer.Encode("a\ud800b \udc00").Ids);
        Assert.Equal(tokenizer.Encode("\ufffd😀").Ids, tokenizer.Encode("\ud83d😀").Ids);
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void Many_threads_give_what_one_gives(string model)
    {
        string directory = RepositoryPaths.Fixture(model);
        Tokenizer alone = Tokenizer.Load(directory);
        Tokenizer shared = Tokenizer.Load(directory);
        int[][] expected = [.. TokenizerTexts.Hostile.Select(text => alone.Encode(text).Ids)];
        Parallel.For(0, 8 * expected.Length, i => Assert.Equal(expected[i % expected.Length], shared.Encode(TokenizerTexts.Hostile[i % expected.Length]).Ids));
    }

    [Theory]
    [InlineData("512", 512)]
    [InlineData("1000000000000000019884624838656", null)]
    [InlineData("1e30", null)]
    [InlineData("null", null)]
    public void The_length_that_the_configuration_gives(string value, int? expected)
    {
        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-bert"), root => root["model_max_length"] = JsonNode.Parse(value), "tokenizer_config.json");
        Assert.Equal(expected, Tokenizer.Load(directory).ModelMaxLength);
    }

    [Fact]
    public void Truncation_and_padding_that_tokenizer_json_asks_for_are_left_to_the_caller()
    {
        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-bert"), root =>
        {
            root["truncation"] = new JsonObject { ["max_length"] = 5, ["strategy"] = "LongestFirst", ["stride"] = 0 };
            root["padding"] = new JsonObject { ["strategy"] = new JsonObject { ["Fixed"] = 128 } };
        });
        Assert.Equal(12, Tokenizer.Load(directory).Encode("A man is playing a guitar.").Ids.Length);
    }

    [Fact]
    public void The_configuration_names_the_special_tokens_of_vocabulary_files()
    {
        // As MPNet has it: RoBERTa's names in a WordPiece vocabulary.
        string directory = ModelFiles.WithoutTokenizerJson(RepositoryPaths.Fixture("tiny-bert"));
        string[] lines = File.ReadAllLines(Path.Combine(directory, "vocab.txt"));
        lines[2] = "<s>";
        lines[3] = "</s>";
        File.WriteAllLines(Path.Combine(directory, "vocab.txt"), lines);
        File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), """{"cls_token": "<s>", "sep_token": {"content": "</s>"}, "do_lower_case": false}""");
        File.Delete(Path.Combine(directory, "special_tokens_map.json"));
        Tokenizer tokenizer = Tokenizer.Load(directory);
        Assert.Equal([2, 3], tokenizer.Encode("").Ids);
        Assert.Equal([2, 2, 3, 3], tokenizer.Encode(" <s> </s>").Ids);
    }

    [Fact]
    public void An_id_without_a_token_is_refused()
    {
        Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.TokenOf(2000));
        Assert.Throws<ArgumentOutOfRangeException>(() => tokenizer.TokenOf(-1));
        Assert.False(tokenizer.IsSpecial(2000));
    }

    [Fact]
    public void The_culture_of_the_thread_makes_no_difference()
    {
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = new CultureInfo("tr-TR");
            Tokenizer tokenizer = Tokenizer.Load(RepositoryPaths.Fixture("tiny-bert"));
            Assert.Equal(tokenizer.Encode("i istanbul").Ids, tokenizer.Encode("I ISTANBUL").Ids);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }
}
