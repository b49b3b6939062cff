using System.Text.Json;
using SimCse.Tokenization;

namespace SimCse.Tests.Tokenization;

/// <summary>The tokens that Hugging Face's transformers gave for the 27 sentences of the fixtures.</summary>
public class TokenizerGoldenTests
{
    [Theory]
    [InlineData("tiny-bert", true)]
    [InlineData("tiny-bert", false)]
    [InlineData("tiny-roberta", true)]
    [InlineData("tiny-roberta", false)]
    public void Tokens_equal_the_goldens(string model, bool fromTokenizerJson)
    {
        Tokenizer tokenizer = Tokenizer.Load(fromTokenizerJson ? RepositoryPaths.Fixture(model) : ModelFiles.WithoutTokenizerJson(RepositoryPaths.Fixture(model)));
        using JsonDocument goldens = JsonDocument.Parse(File.ReadAllBytes(RepositoryPaths.Fixture(model, "goldens.json")));
        string[] sentences = goldens.RootElement.GetProperty("sentences").Deserialize<string[]>()!;
        string[][] tokens = goldens.RootElement.GetProperty("tokens").Deserialize<string[][]>()!;

        Assert.Equal(27, sentences.Length);
        for (int i = 0; i < sentences.Length; i++)
        {
            TokenizedText encoded = tokenizer.Encode(sentences[i]);
            Assert.Equal(tokens[i], encoded.Ids.Select(tokenizer.TokenOf), StringComparer.Ordinal);
            Assert.False(encoded.Truncated);
        }
    }

    [Theory]
    [InlineData("tiny-bert", 2000, 2, 3, 0, 4, 1)]
    [InlineData("tiny-roberta", 1500, 0, 2, 1, 4, 3)]
    public void Special_tokens_are_those_of_the_configuration(string model, int size, int cls, int sep, int pad, int mask, int unknown)
    {
        foreach (string directory in (string[])[RepositoryPaths.Fixture(model), ModelFiles.WithoutTokenizerJson(RepositoryPaths.Fixture(model))])
        {
            Tokenizer tokenizer = Tokenizer.Load(directory);
            Assert.Equal((size, 64), (tokenizer.VocabularySize, tokenizer.ModelMaxLength));
            Assert.Equal((cls, sep, pad, mask, unknown), (tokenizer.ClassTokenId, tokenizer.SeparatorTokenId, tokenizer.PadTokenId, tokenizer.MaskTokenId, tokenizer.UnknownTokenId));
            Assert.All([cls, sep, pad, mask, unknown], id => Assert.True(tokenizer.IsSpecial(id)));
            Assert.False(tokenizer.IsSpecial(5));
        }
    }
}
