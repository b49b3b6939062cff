using SimCse.Tokenization;

namespace SimCse.Tests.Tokenization;

public class WordPieceTrainerTests
{
    // The worked example of Hugging Face's course, chapter 6: hug 10 times, pug 5, pun 12, bun 4, hugs 5.
    private static readonly string[] s_course =
    [
        .. Enumerable.Repeat("hug", 10), .. Enumerable.Repeat("pug", 5), .. Enumerable.Repeat("pun", 12), .. Enumerable.Repeat("bun", 4), .. Enumerable.Repeat("hugs", 5),
    ];

    [Fact]
    public void Merges_are_those_of_the_worked_example_of_the_Hugging_Face_course()
    {
        WordPieceVocabulary vocabulary = WordPieceTrainer.Train(s_course, new WordPieceTrainerOptions { VocabularySize = 19 }, cancellationToken: TestContext.Current.CancellationToken);

        // u g (20 times) first, then u n (16), then h ug (15): and then p un (12).
        string[] expected =
        [
            "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "b", "g", "h", "n", "p", "s", "u", "##g", "##n", "##s", "##u", "##ug", "##un", "hug",
        ];
        Assert.Equal(expected, vocabulary.Tokens, StringComparer.Ordinal);
        Assert.Equal("pun", WordPieceTrainer.Train(s_course, new WordPieceTrainerOptions { VocabularySize = 20 }, cancellationToken: TestContext.Current.CancellationToken).Tokens[^1]);
    }

    [Fact]
    public void Pairs_that_come_less_often_than_asked_stay_apart()
    {
        WordPieceVocabulary vocabulary = WordPieceTrainer.Train(
            s_course, new WordPieceTrainerOptions { MinFrequency = 15 }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["##ug", "##un", "hug"], vocabulary.Tokens.Skip(16), StringComparer.Ordinal);
    }

    [Fact]
    public void The_alphabet_keeps_the_most_frequent_characters()
    {
        WordPieceVocabulary vocabulary = WordPieceTrainer.Train(
            ["aaaa bbb cc d"], new WordPieceTrainerOptions { LimitAlphabet = 2, MinFrequency = 100 }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(["a", "b", "##a", "##b"], vocabulary.Tokens.Skip(5), StringComparer.Ordinal);
    }

    [Fact]
    public void Text_is_normalised_as_the_options_say()
    {
        var cased = new WordPieceTrainerOptions { Lowercase = false, MinFrequency = 100 };
        Assert.Equal(["b", "c", "É", "中", "##c"], WordPieceTrainer.Train(["Éc 中b"], cased, cancellationToken: TestContext.Current.CancellationToken).Tokens.Skip(5), StringComparer.Ordinal);
        Assert.Equal(["b", "c", "e", "中", "##c"], WordPieceTrainer.Train(["Éc 中b"], cased with { Lowercase = true }, cancellationToken: TestContext.Current.CancellationToken).Tokens.Skip(5), StringComparer.Ordinal);
    }

    [Fact]
    public void The_order_of_the_texts_makes_no_difference()
    {
        string[] texts = [.. TokenizerTexts.Hostile.Concat(s_course)];
        WordPieceVocabulary one = WordPieceTrainer.Train(texts, new WordPieceTrainerOptions { VocabularySize = 3000 }, cancellationToken: TestContext.Current.CancellationToken);
        WordPieceVocabulary other = WordPieceTrainer.Train(texts.Reverse(), new WordPieceTrainerOptions { VocabularySize = 3000 }, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(one.Tokens, other.Tokens, StringComparer.Ordinal);
    }

    [Fact]
    public void The_vocabulary_is_the_one_that_Rust_learns_up_to_ties()
    {
        string file = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "text.txt");
        List<string> texts = TokenizerTexts.Real(every: 6);
        File.WriteAllLines(file, texts);
        string[] reference = RustReference.TrainWordPiece(file);
        string[] ours =
        [
            .. WordPieceTrainer.Train(
                texts,
                new WordPieceTrainerOptions { VocabularySize = reference.Length + 5, MinFrequency = 1, LimitAlphabet = int.MaxValue },
                cancellationToken: TestContext.Current.CancellationToken).Tokens.Skip(5),
        ];

        // Rust numbers the continued characters in the order of a hash table with a random seed, and ties go by number.
        Assert.Equal(30_000, ours.Length);
        foreach (int size in (int[])[4_000, 8_000, 16_000, 30_000])
        {
            int missing = reference.Take(size).Except(ours.Take(size), StringComparer.Ordinal).Count();
            Assert.True(missing <= size / 100, $"{missing} of the first {size} tokens differ");
        }
    }

    [Fact]
    public void Progress_is_told_and_cancellation_heeded()
    {
        var reports = new List<WordPieceTrainingProgress>();
        WordPieceTrainer.Train(Enumerable.Repeat("some words and others", 25_000), progress: new Reports(reports.Add), cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal([10_000, 20_000, 25_000], reports.Select(report => report.Texts));
        Assert.Equal([0, 0], reports[..2].Select(report => report.Tokens));
        Assert.InRange(reports[^1].Tokens, 5, 100);

        using var cancellation = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() =>
            WordPieceTrainer.Train(Enumerable.Repeat("text", int.MaxValue), progress: new Reports(_ => cancellation.Cancel()), cancellationToken: cancellation.Token));
    }

    [Fact]
    public void A_size_without_room_for_the_characters_is_refused()
    {
        ArgumentOutOfRangeException e = Assert.Throws<ArgumentOutOfRangeException>(() =>
            WordPieceTrainer.Train(["hug pug"], new WordPieceTrainerOptions { VocabularySize = 8 }, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Contains("4 characters", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true, null, true)]
    [InlineData(false, null, false)]
    [InlineData(true, false, true)]
    public void Written_files_are_read_alike_by_us_and_by_Rust(bool lowercase, bool? stripAccents, bool chinese)
    {
        string directory = WriteTrained(lowercase, stripAccents, chinese);
        string[] texts = [.. TokenizerTexts.Hostile];
        int[][] expected = RustReference.Encode(directory, texts);
        foreach (string from in (string[])[directory, ModelFiles.WithoutTokenizerJson(directory)])
        {
            Tokenizer tokenizer = Tokenizer.Load(from);
            for (int i = 0; i < texts.Length; i++)
            {
                Assert.Equal(expected[i], tokenizer.Encode(texts[i]).Ids);
            }
        }
    }

    [Fact]
    public void Written_files_say_what_was_asked()
    {
        string directory = WriteTrained(lowercase: true, stripAccents: null, chinese: true);
        Assert.Equal(["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"], Directory.GetFiles(directory).Select(Path.GetFileName).Order(StringComparer.Ordinal), StringComparer.Ordinal);
        Tokenizer tokenizer = Tokenizer.Load(directory);
        Assert.IsType<WordPieceTokenizer>(tokenizer);
        Assert.Equal((0, 1, 2, 3, 4), (tokenizer.PadTokenId, tokenizer.UnknownTokenId, tokenizer.ClassTokenId, tokenizer.SeparatorTokenId, tokenizer.MaskTokenId));
        Assert.Equal(128, tokenizer.ModelMaxLength);
        Assert.Equal(File.ReadLines(Path.Combine(directory, "vocab.txt")), Enumerable.Range(0, tokenizer.VocabularySize).Select(tokenizer.TokenOf), StringComparer.Ordinal);
    }

    [Fact]
    public void A_vocabulary_that_cannot_be_written_is_refused()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        foreach (string[] bad in (string[][])[["a", "a"], [""], ["a\nb"], ["\ud800"]])
        {
            Assert.Throws<ArgumentException>(() => TokenizerFiles.Write(directory, new WordPieceVocabulary([.. WordPieceVocabulary.SpecialTokens, .. bad])));
        }

        Assert.Throws<ArgumentException>(() => TokenizerFiles.Write(directory, new WordPieceVocabulary(["[PAD]", "[UNK]", "a"])));
        Assert.Empty(Directory.GetFiles(directory));
    }

    private static string WriteTrained(bool lowercase, bool? stripAccents, bool chinese)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        var options = new WordPieceTrainerOptions { VocabularySize = 2500, Lowercase = lowercase, StripAccents = stripAccents, HandleChineseCharacters = chinese };
        TokenizerFiles.Write(directory, WordPieceTrainer.Train(TokenizerTexts.Hostile, options, cancellationToken: TestContext.Current.CancellationToken), modelMaxLength: 128);
        return directory;
    }

    private sealed class Reports(Action<WordPieceTrainingProgress> report) : IProgress<WordPieceTrainingProgress>
    {
        public void Report(WordPieceTrainingProgress value) => report(value);
    }
}
