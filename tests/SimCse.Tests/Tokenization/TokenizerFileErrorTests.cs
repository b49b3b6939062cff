using System.Text.Json.Nodes;
using SimCse.Tokenization;

namespace SimCse.Tests.Tokenization;

/// <summary>What is wrong in a file ends in one line that names the file and the place.</summary>
public class TokenizerFileErrorTests
{
    [Fact]
    public void A_directory_without_tokenizer_files_is_named()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        FileNotFoundException e = Assert.Throws<FileNotFoundException>(() => Tokenizer.Load(directory));
        Assert.Contains(directory, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("tiny-bert", "{}", "model is missing")]
    [InlineData("tiny-bert", "[]", "must be an object, not []")]
    [InlineData("tiny-bert", "", "not valid JSON at line 1")]
    [InlineData("tiny-bert", "{\"model\":\n{\"type\": \"WordPiece\",", "not valid JSON at line 2")]
    [InlineData("tiny-bert", "{\"model\": 1}", "model must be an object, not 1")]
    [InlineData("tiny-bert", "{\"version\": \"2.0\", \"model\": {}}", "version '2.0'")]
    [InlineData("tiny-bert", "{\"model\": {\"type\": \"Unigram\"}}", "model.type 'Unigram'")]
    [InlineData("tiny-bert", "{\"model\": {\"type\": \"WordPiece\", \"vocab\": {\"\\ud800\": 1}}}", "not valid Unicode")]
    [InlineData("tiny-bert", "{\"model\": {\"type\": \"\\udc00\"}}", "not valid Unicode")]
    [InlineData("tiny-bert", "{\"model\": {\"vocab\": {\"a\": 1, \"a\": 2}}}", "model.vocab['a'] is there twice")]
    public void Text_that_is_not_a_tokenizer(string model, string text, string expected)
    {
        string directory = ModelFiles.Copy(RepositoryPaths.Fixture(model));
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), text);
        AssertRefused(directory, "tokenizer.json", expected);
    }

    public static TheoryData<string, string, string, string> Edits { get; } = new()
    {
        // model, path of what is replaced, its new value (JSON; empty: removed), message
        { "tiny-bert", "model.vocab.the", "-1", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "2147483647", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "1e30", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "1.5", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "\"7\"", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "null", "model.vocab['the'] must be a token id" },
        { "tiny-bert", "model.vocab.the", "4", "has the id 4, which '[MASK]' has too" },
        { "tiny-bert", "model.vocab", "[]", "model.vocab must be an object" },
        { "tiny-bert", "model.vocab", "{}", "model.vocab is empty" },
        { "tiny-bert", "model.vocab", "", "model.vocab is missing" },
        { "tiny-bert", "model.unk_token", "\"[NIX]\"", "model.unk_token '[NIX]' is not in model.vocab" },
        { "tiny-bert", "model.unk_token", "", "model.unk_token is missing" },
        { "tiny-bert", "model.max_input_chars_per_word", "-1", "model.max_input_chars_per_word" },
        { "tiny-bert", "model.max_input_chars_per_word", "\"many\"", "model.max_input_chars_per_word" },
        { "tiny-bert", "model.continuing_subword_prefix", "", "model.continuing_subword_prefix is missing" },
        { "tiny-bert", "normalizer.type", "\"NFKC\"", "normalizer.type 'NFKC' is not supported" },
        { "tiny-bert", "normalizer.lowercase", "\"yes\"", "normalizer.lowercase must be true or false" },
        { "tiny-bert", "normalizer.clean_text", "", "normalizer.clean_text is missing" },
        { "tiny-bert", "pre_tokenizer.type", "\"Whitespace\"", "pre_tokenizer.type 'Whitespace' is not supported" },
        { "tiny-bert", "pre_tokenizer", "null", "pre_tokenizer is missing" },
        { "tiny-bert", "post_processor.type", "\"Other\"", "post_processor.type 'Other' is not supported" },
        { "tiny-bert", "post_processor.single", "[]", "post_processor.single has no sequence A" },
        { "tiny-bert", "post_processor.single", "[1]", "post_processor.single[0] must be an object" },
        { "tiny-bert", "post_processor.single.1", "{\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}", "post_processor.single[1] must be the one sequence A" },
        { "tiny-bert", "post_processor.special_tokens.[CLS].ids", "[3]", "'[CLS]' with the id 3 is not in the vocabulary" },
        { "tiny-bert", "post_processor.special_tokens.[CLS].ids", "[2, 3]", "as many ids as tokens" },
        { "tiny-bert", "post_processor.special_tokens.[SEP]", "", "post_processor.special_tokens['[SEP]'] is missing" },
        { "tiny-bert", "added_tokens", "{}", "added_tokens must be an array" },
        { "tiny-bert", "added_tokens.0", "7", "added_tokens[0] must be an object" },
        { "tiny-bert", "added_tokens.0.id", "9", "added_tokens[0]: '[PAD]' has the id 9 here and 0 in the vocabulary" },
        { "tiny-bert", "added_tokens.0.id", "", "added_tokens[0].id is missing" },
        { "tiny-bert", "added_tokens.0.content", "\"[NEW]\"", "added_tokens[0]: '[NEW]' has the id 0, which '[PAD]' has too" },
        { "tiny-bert", "added_tokens.0.content", "\"\"", "must not be empty" },
        { "tiny-bert", "added_tokens.0.lstrip", "3", "added_tokens[0].lstrip must be true or false" },
        { "tiny-roberta", "model.merges", "", "model.merges is missing" },
        { "tiny-roberta", "model.merges.5", "[\"a\"]", "model.merges[5] must be a string" },
        { "tiny-roberta", "model.merges.5", "\"a b c\"", "model.merges[5] must be two tokens" },
        { "tiny-roberta", "model.merges.5", "[\"a\", \"nowhere\"]", "model.merges[5] must be two tokens of the vocabulary" },
        { "tiny-roberta", "model.dropout", "0.1", "model.dropout 0.1 is not supported" },
        { "tiny-roberta", "model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix '</w>' is not supported" },
        { "tiny-roberta", "model.byte_fallback", "true", "model.byte_fallback is not supported" },
        { "tiny-roberta", "model.unk_token", "\"<nix>\"", "model.unk_token '<nix>' is not in model.vocab" },
        { "tiny-roberta", "normalizer", "{\"type\": \"NFC\"}", "normalizer must be null with byte-level BPE" },
        { "tiny-roberta", "pre_tokenizer.type", "\"Metaspace\"", "pre_tokenizer.type 'Metaspace' is not supported" },
        { "tiny-roberta", "post_processor.cls", "[\"<s>\"]", "post_processor.cls must be a token and its id" },
        { "tiny-roberta", "post_processor.sep", "[\"</s>\", 5]", "'</s>' with the id 5 is not in the vocabulary" },
    };

    [Theory]
    [MemberData(nameof(Edits))]
    public void A_tokenizer_json_with_one_thing_wrong(string model, string place, string value, string expected)
    {
        string directory = ModelFiles.Edited(RepositoryPaths.Fixture(model), root =>
        {
            string[] steps = place.Split('.');
            JsonNode at = root;
            foreach (string step in steps[..^1])
            {
                at = at is JsonArray array ? array[int.Parse(step, System.Globalization.CultureInfo.InvariantCulture)]! : at[step]!;
            }

            if (value.Length == 0)
            {
                at.AsObject().Remove(steps[^1]);
            }
            else if (at is JsonArray array)
            {
                array[int.Parse(steps[^1], System.Globalization.CultureInfo.InvariantCulture)] = JsonNode.Parse(value);
            }
            else
            {
                at[steps[^1]] = JsonNode.Parse(value);
            }
        });
        AssertRefused(directory, "tokenizer.json", expected);
    }

    [Theory]
    [InlineData("cls_token", "\"[NIX]\"", "cls_token '[NIX]' is not in the vocabulary of tokenizer.json")]
    [InlineData("cls_token", "5", "cls_token must be a string")]
    [InlineData("model_max_length", "-1", "model_max_length must be a number of tokens")]
    [InlineData("model_max_length", "\"512\"", "model_max_length must be a number of tokens")]
    [InlineData("do_lower_case", "1", "do_lower_case must be true or false")]
    [InlineData("added_tokens_decoder", "{\"x\": {\"content\": \"[PAD]\"}}", "added_tokens_decoder.x must be named by a token id")]
    [InlineData("added_tokens_decoder", "{\"0\": []}", "added_tokens_decoder.0 must be an object")]
    public void A_configuration_with_one_thing_wrong(string name, string value, string expected)
    {
        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-bert"), root => root[name] = JsonNode.Parse(value), "tokenizer_config.json");
        File.Delete(Path.Combine(directory, "special_tokens_map.json"));
        AssertRefused(directory, "tokenizer_config.json", expected);
    }

    [Theory]
    [InlineData("30000", "the id 30000 of '[NEW]' is not one of the 2000 of vocab.txt")]
    [InlineData("3", "'[NEW]' has the id 3, which '[SEP]' has too")]
    public void An_added_token_of_the_configuration_that_does_not_fit_vocab_txt(string id, string expected)
    {
        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-bert"), root => root["added_tokens_decoder"]![id] = new JsonObject { ["content"] = "[NEW]" }, "tokenizer_config.json");
        File.Delete(Path.Combine(directory, "tokenizer.json"));
        AssertRefused(directory, "tokenizer_config.json", expected);
    }

    [Theory]
    [InlineData("[CLS]", "cls_token")]
    [InlineData("[SEP]", "sep_token")]
    [InlineData("[PAD]", "pad_token")]
    [InlineData("[UNK]", "unk_token")]
    public void A_vocabulary_without_a_special_token(string token, string job)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        File.WriteAllLines(Path.Combine(directory, "vocab.txt"), File.ReadLines(RepositoryPaths.Fixture("tiny-bert", "vocab.txt")).Except([token], StringComparer.Ordinal));
        AssertRefused(directory, "vocab.txt", $"the vocabulary has no {job}; expected '{token}'");
    }

    [Fact]
    public void A_vocabulary_without_a_mask_is_read()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        File.WriteAllLines(Path.Combine(directory, "vocab.txt"), File.ReadLines(RepositoryPaths.Fixture("tiny-bert", "vocab.txt")).Except(["[MASK]"], StringComparer.Ordinal));
        Assert.Equal(-1, Tokenizer.Load(directory).MaskTokenId);
    }

    [Fact]
    public void Vocabulary_files_with_one_thing_wrong()
    {
        string bert = ModelFiles.WithoutTokenizerJson(RepositoryPaths.Fixture("tiny-bert"));
        File.WriteAllBytes(Path.Combine(bert, "vocab.txt"), [.. "[PAD]\n[UNK]\n"u8, 0xFF, (byte)'\n']);
        AssertRefused(bert, "vocab.txt", "not UTF-8 at byte 12");

        string roberta = ModelFiles.WithoutTokenizerJson(RepositoryPaths.Fixture("tiny-roberta"));
        File.AppendAllText(Path.Combine(roberta, "merges.txt"), "no nowhere\n");
        AssertRefused(roberta, "merges.txt", "line 1241: expected two tokens of the vocabulary that make a third one, found 'no nowhere'");
        File.WriteAllText(Path.Combine(roberta, "merges.txt"), "#version: 0.2\nlonely\n");
        AssertRefused(roberta, "merges.txt", "line 2");
        File.WriteAllText(Path.Combine(roberta, "vocab.json"), "{\"a\": 0, \"b\": 0}");
        AssertRefused(roberta, "vocab.json", "'b' has the id 0, which 'a' has too");
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void A_tokenizer_json_cut_or_changed_anywhere_is_read_or_refused(string model)
    {
        string directory = ModelFiles.Copy(RepositoryPaths.Fixture(model));
        string path = Path.Combine(directory, "tokenizer.json");
        byte[] whole = File.ReadAllBytes(path);
        var random = new Random(3);
        int refused = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] changed = i % 3 == 0 ? whole[..random.Next(whole.Length)] : [.. whole];
            for (int changes = i % 3; changes > 0; changes--)
            {
                // Near the ends, where the structure is, as often as in the vocabulary.
                int at = random.Next(2) == 0 ? random.Next(whole.Length) : random.Next(2) == 0 ? random.Next(3000) : random.Next(400);
                changed[at] = (byte)random.Next(256);
            }

            File.WriteAllBytes(path, changed);
            try
            {
                Tokenizer.Load(directory).Encode("Some text, to see that it works: 한국어 é [MASK].");
            }
            catch (InvalidDataException e)
            {
                refused++;
                Assert.Contains(directory, e.Message, StringComparison.Ordinal);
                Assert.DoesNotContain('\n', e.Message);
            }
        }

        Assert.InRange(refused, 100, 300);
    }

    private static void AssertRefused(string directory, string file, string expected)
    {
        InvalidDataException e = Assert.Throws<InvalidDataException>(() => Tokenizer.Load(directory));
        Assert.StartsWith(Path.Combine(directory, file), e.Message, StringComparison.Ordinal);
        Assert.Contains(expected, e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', e.Message);
    }
}
