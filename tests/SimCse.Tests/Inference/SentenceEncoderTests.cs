using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Tests.Inference;

public sealed class SentenceEncoderTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static TheoryData<string, Pooling> ModelsAndPoolings()
    {
        TheoryData<string, Pooling> data = [];
        foreach (string model in new[] { "tiny-bert", "tiny-roberta", "all-MiniLM-L6-v2" })
        {
            foreach (Pooling pooling in Enum.GetValues<Pooling>().Where(p => p != Pooling.Cls))
            {
                data.Add(model, pooling);
            }
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(ModelsAndPoolings))]
    public void Vectors_equal_the_reference(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        using SentenceEncoder encoder = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = pooling, AllowOtherPooling = true });

        EmbeddingMatrix vectors = encoder.Encode(goldens.Sentences, Cancellation);

        Assert.Equal(goldens.Sentences.Length, vectors.Count);
        VectorAssert.Close(goldens.Floats($"pooled.{pooling.ToName()}"), vectors.Values);
    }

    [Theory]
    [InlineData("bert-cls-dense")] // [CLS], a linear layer and tanh
    [InlineData("roberta-mean")] // the mean, normalised
    public void Vectors_equal_those_of_sentence_transformers(string name)
    {
        (string[] sentences, float[] expected) = SentenceTransformersVectors.Read(name);
        using SentenceEncoder encoder = SentenceEncoder.Load(RepositoryPaths.Fixture("sentence-transformers-6", name), new() { Normalize = null });

        VectorAssert.Close(expected, encoder.Encode(sentences, Cancellation).Values);
    }

    [Fact]
    public void Vectors_are_raw_unless_asked_for_unit_length()
    {
        string directory = RepositoryPaths.Fixture("sentence-transformers-6", "roberta-mean");
        using SentenceEncoder raw = SentenceEncoder.Load(directory);
        using SentenceEncoder unit = SentenceEncoder.Load(directory, new() { Normalize = true });

        float[] vector = raw.Encode("Two dogs run.");
        float length = MathF.Sqrt(vector.Sum(x => x * x));

        Assert.NotInRange(length, 0.99f, 1.01f);
        VectorAssert.Close([.. vector.Select(x => x / length)], unit.Encode("Two dogs run."));
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void A_plain_directory_that_keeps_a_pooler_uses_it_as_the_head_of_cls(string model)
    {
        using Goldens goldens = Goldens.Open(model);
        float[] weight = goldens.Floats("head.mlp.dense.weight"); // (H, H)
        float[] bias = goldens.Floats("head.mlp.dense.bias"); // (H)
        int h = bias.Length;
        string directory = CopyWithPooler(goldens.ModelDirectory, weight, bias);
        using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Pooling = Pooling.Cls });

        float[] cls = goldens.Floats("pooled.cls_before_pooler"); // (27, H)
        float[] expected = new float[cls.Length];
        for (int at = 0; at < cls.Length; at++)
        {
            int row = at / h * h, o = at % h;
            double sum = bias[o];
            for (int i = 0; i < h; i++)
            {
                sum += (double)weight[(o * h) + i] * cls[row + i];
            }

            expected[at] = (float)Math.Tanh(sum);
        }

        VectorAssert.Close(expected, encoder.Encode(goldens.Sentences, Cancellation).Values);
    }

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg)]
    [InlineData("tiny-bert", Pooling.ClsBeforePooler)]
    [InlineData("tiny-roberta", Pooling.AvgFirstLast)]
    public void A_sentence_has_the_same_vector_alone_and_in_any_batch(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        using SentenceEncoder small = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = pooling, BatchTokens = 1 });
        using SentenceEncoder large = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = pooling, BatchTokens = 100_000 });

        EmbeddingMatrix together = large.Encode(goldens.Sentences, Cancellation);
        EmbeddingMatrix backwards = large.Encode([.. goldens.Sentences.Reverse()], Cancellation);

        VectorAssert.Close(together.Values, small.Encode(goldens.Sentences, Cancellation).Values);
        for (int i = 0; i < goldens.Sentences.Length; i++)
        {
            VectorAssert.Close(together[i], large.Encode(goldens.Sentences[i]));
            VectorAssert.Close(together[i], backwards[goldens.Sentences.Length - 1 - i]);
        }
    }

    [Fact]
    public void No_sentences_give_no_rows()
    {
        using SentenceEncoder encoder = TinyBert();
        EmbeddingMatrix none = encoder.Encode([], Cancellation);

        Assert.Equal(0, none.Count);
        Assert.Equal(32, none.Dimensions);
    }

    [Fact]
    public void A_very_long_text_is_cut_at_the_models_length_and_counted()
    {
        using SentenceEncoder encoder = TinyBert();
        string words = string.Join(' ', Enumerable.Repeat("dogs", 100_000));

        EmbeddingMatrix vectors = encoder.Encode(["short", words, words + " more", "short"], Cancellation);

        Assert.Equal(64, encoder.MaxLength);
        Assert.Equal(2, encoder.TruncatedTexts);
        VectorAssert.Close(vectors[1], vectors[2]);
        VectorAssert.Close(vectors[0], vectors[3]);
    }

    [Fact]
    public void A_text_that_is_too_long_can_be_refused()
    {
        using SentenceEncoder encoder = SentenceEncoder.Load(RepositoryPaths.Fixture("tiny-bert"), new() { Pooling = Pooling.Avg, RefuseTruncation = true });
        string words = string.Join(' ', Enumerable.Repeat("dogs", 100));

        TextTooLongException error = Assert.Throws<TextTooLongException>(() => encoder.Encode(["short", "short", words], Cancellation));

        Assert.Equal((2, 64), (error.Index, error.MaxLength));
        Assert.Equal(0, encoder.TruncatedTexts);
    }

    [Fact]
    public async Task A_stream_gives_the_same_vectors_in_its_order()
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        using SentenceEncoder encoder = TinyBert();
        int count = 5000; // several windows, and a part of one
        IEnumerable<string> texts = Enumerable.Range(0, count).Select(i => goldens.Sentences[i % goldens.Sentences.Length]);
        float[] expected = goldens.Floats("pooled.avg");
        int row = 0;
        await foreach (EncodedSentence sentence in encoder.EncodeAsync(texts.ToAsyncEnumerable(), Cancellation))
        {
            int golden = row++ % goldens.Sentences.Length;
            Assert.Equal(goldens.Sentences[golden], sentence.Text);
            VectorAssert.Close(expected.AsSpan(golden * 32, 32), sentence.Vector.Span);
        }

        Assert.Equal(count, row);
    }

    [Fact]
    public async Task A_stream_is_read_no_further_than_two_windows_ahead()
    {
        using SentenceEncoder encoder = TinyBert();
        int read = 0;
        await using IAsyncEnumerator<EncodedSentence> stream = encoder.EncodeAsync(Enumerable.Range(0, 1_000_000).Select(_ => $"text {read++}").ToAsyncEnumerable(), Cancellation).GetAsyncEnumerator(Cancellation);

        Assert.True(await stream.MoveNextAsync());
        Assert.InRange(read, 1, 2 * 2048);
    }

    [Fact]
    public async Task A_stream_that_fails_or_is_cancelled_says_so()
    {
        using SentenceEncoder encoder = TinyBert();
        await Assert.ThrowsAsync<TimeoutException>(async () => await encoder.EncodeAsync(Failing().ToAsyncEnumerable(), Cancellation).CountAsync(Cancellation));
        using CancellationTokenSource source = new();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (EncodedSentence _ in encoder.EncodeAsync(Enumerable.Repeat("x", 100_000).ToAsyncEnumerable(), source.Token))
            {
                source.Cancel();
            }
        });

        static IEnumerable<string> Failing()
        {
            for (int i = 0; i < 3000; i++)
            {
                yield return "x";
            }

            throw new TimeoutException();
        }
    }

    [Fact]
    public void The_length_is_the_sentence_transformers_limit_then_the_tokenizers_then_the_positions()
    {
        using SentenceEncoder tokenizers = SentenceEncoder.Load(RepositoryPaths.Fixture("sentence-transformers-6", "roberta-mean"));
        Assert.Equal(32, tokenizers.MaxLength);

        string directory = Copy(RepositoryPaths.Fixture("tiny-roberta"));
        File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), """{"model_max_length": 1000000000000000019884624838656}""");
        using SentenceEncoder positions = SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg });
        Assert.Equal(64, positions.MaxLength); // 66 positions of which the first two are not used
        Assert.Equal(32, positions.Encode("x").Length);
        Assert.Equal(0, positions.TruncatedTexts);

        using SentenceEncoder asked = SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg, MaxLength = 16 });
        Assert.Equal(16, asked.MaxLength);

        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg, MaxLength = 65 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg, MaxLength = 2 }));
    }

    [Fact]
    public void A_directory_without_a_pooling_asks_for_one()
    {
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(RepositoryPaths.Fixture("tiny-bert")));

        Assert.Contains("--pooling", error.Message, StringComparison.Ordinal);
        Assert.Contains("cls_before_pooler", error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void Another_pooling_than_the_stored_one_is_refused_unless_allowed()
    {
        string directory = RepositoryPaths.Fixture("sentence-transformers-6", "bert-cls-dense");
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.ClsBeforePooler }));
        Assert.Contains("'cls'", error.Message, StringComparison.Ordinal);
        Assert.Contains("AllowOtherPooling", error.Message, StringComparison.Ordinal);

        using SentenceEncoder allowed = SentenceEncoder.Load(directory, new() { Pooling = Pooling.ClsBeforePooler, AllowOtherPooling = true });
        Assert.Equal(Pooling.ClsBeforePooler, allowed.Pooling);
        using SentenceEncoder stored = SentenceEncoder.Load(directory, new() { Pooling = Pooling.Cls });
        Assert.Equal(Pooling.Cls, stored.Pooling);
        Assert.DoesNotContain(stored.Encode("x").Zip(allowed.Encode("x")), pair => pair.First == pair.Second);
    }

    [Fact]
    public void A_tokenizer_with_more_tokens_than_the_model_is_refused()
    {
        string directory = Copy(RepositoryPaths.Fixture("tiny-roberta"));
        foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt" })
        {
            File.Copy(RepositoryPaths.Fixture("tiny-bert", file), Path.Combine(directory, file), overwrite: true);
        }

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg }));
        Assert.Contains("ids up to 1999", error.Message, StringComparison.Ordinal);
        Assert.Contains("1500", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("config.json")]
    [InlineData("tokenizer.json")]
    [InlineData("model.safetensors")]
    public void A_broken_file_is_named_in_one_line(string file)
    {
        string directory = Copy(RepositoryPaths.Fixture("tiny-bert"));
        byte[] bytes = File.ReadAllBytes(Path.Combine(directory, file));
        File.WriteAllBytes(Path.Combine(directory, file), bytes[..(bytes.Length / 2)]);

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg }));

        Assert.Contains(file, error.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    [Fact]
    public void A_stored_length_without_room_for_a_token_is_refused()
    {
        string directory = Copy(RepositoryPaths.Fixture("tiny-bert"));
        File.WriteAllText(Path.Combine(directory, "tokenizer_config.json"), """{"model_max_length": 2}""");

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg }));
        Assert.Contains("to 2 tokens; expected at least 3", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_pooler_of_another_shape_is_refused()
    {
        string directory = CopyWithPooler(RepositoryPaths.Fixture("tiny-bert"), new float[16 * 16], new float[16]);

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Cls }));
        Assert.Contains("'bert.pooler.dense.weight' has shape [16, 16], expected [32, 32]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tokenizer_without_special_tokens_is_refused()
    {
        string directory = Copy(RepositoryPaths.Fixture("tiny-bert"));
        string file = Path.Combine(directory, "tokenizer.json");
        JsonNode json = JsonNode.Parse(File.ReadAllText(file))!;
        json["post_processor"] = null;
        File.WriteAllText(file, json.ToJsonString());

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, new() { Pooling = Pooling.Avg }));
        Assert.Contains("special token", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_directory_that_is_not_there_is_named()
    {
        DirectoryNotFoundException error = Assert.Throws<DirectoryNotFoundException>(() => SentenceEncoder.Load("no-such-model"));
        Assert.Contains("no-such-model", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_null_sentence_is_refused_by_its_number()
    {
        using SentenceEncoder encoder = TinyBert();
        ArgumentException error = Assert.Throws<ArgumentException>(() => encoder.Encode(["a", null!], Cancellation));
        Assert.Contains("sentence 1", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_from_many_threads_give_the_same_vectors()
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        using SentenceEncoder encoder = TinyBert();
        float[] expected = encoder.Encode(goldens.Sentences, Cancellation).Values.ToArray();

        float[][] found = await Task.WhenAll(Enumerable.Range(0, 16).Select(_ => Task.Run(() => encoder.Encode(goldens.Sentences, Cancellation).Values.ToArray(), Cancellation)));

        Assert.All(found, values => Assert.Equal(expected, values));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void The_number_of_threads_changes_no_vector(int threads)
    {
        using Goldens goldens = Goldens.Open("tiny-roberta");
        using SentenceEncoder encoder = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = Pooling.Avg, Threads = threads, BatchTokens = 100 });
        float[] expected = goldens.Floats("pooled.avg");

        VectorAssert.Close(expected, encoder.Encode(goldens.Sentences, Cancellation).Values);
        VectorAssert.Close(expected.AsSpan(0, 32), encoder.Encode(goldens.Sentences[0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = Pooling.Avg, Threads = 0 }));
    }

    [Fact]
    public void Cancelling_stops_the_encoding()
    {
        using SentenceEncoder encoder = TinyBert();
        using CancellationTokenSource source = new();
        source.Cancel();

        Assert.ThrowsAny<OperationCanceledException>(() => encoder.Encode(["a", "b"], source.Token));
    }

    [Fact]
    public void Similarity_is_the_cosine_of_the_two_vectors()
    {
        using SentenceEncoder encoder = TinyBert();
        float[] a = encoder.Encode("A man plays."), b = encoder.Encode("Dogs run.");
        double dot = a.Zip(b, (x, y) => (double)x * y).Sum();
        double lengths = Math.Sqrt(a.Sum(x => (double)x * x)) * Math.Sqrt(b.Sum(x => (double)x * x));

        Assert.Equal(dot / lengths, encoder.Similarity("A man plays.", "Dogs run."), 1e-5);
        Assert.Equal(1, encoder.Similarity("Dogs run.", "Dogs run."), 1e-6);
    }

    private static SentenceEncoder TinyBert() => SentenceEncoder.Load(RepositoryPaths.Fixture("tiny-bert"), new() { Pooling = Pooling.Avg });

    private static string Copy(string directory)
    {
        string copy = RepositoryPaths.NewTemporaryDirectory();
        foreach (string file in Directory.GetFiles(directory).Where(file => Path.GetFileName(file) is not ("goldens.json" or "goldens.safetensors" or "pytorch_model.bin")))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
            File.SetAttributes(Path.Combine(copy, Path.GetFileName(file)), FileAttributes.Normal);
        }

        return copy;
    }

    private static string CopyWithPooler(string directory, float[] weight, float[] bias)
    {
        string copy = Copy(directory);
        using (Checkpoint source = Checkpoint.Open(directory))
        {
            int h = bias.Length;
            SafetensorsFile.Write(Path.Combine(copy, "model.safetensors"),
            [
                .. source.Tensors.Select(tensor => source.Unchanged(tensor.Name)),
                TensorToWrite.FromFloats($"{source.Prefix}pooler.dense.weight", [h, h], weight),
                TensorToWrite.FromFloats($"{source.Prefix}pooler.dense.bias", [h], bias),
            ]);
        }

        return copy;
    }
}
