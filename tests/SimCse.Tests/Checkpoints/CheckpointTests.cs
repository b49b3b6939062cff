using System.Security.Cryptography;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class CheckpointTests
{
    [Theory]
    [InlineData("tiny-bert", ModelFamily.Bert, "bert.", 64)]
    [InlineData("tiny-roberta", ModelFamily.Roberta, "roberta.", 64)]
    public void A_directory_opens_with_its_sizes_prefix_and_head(string model, ModelFamily family, string prefix, int maxTokens)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture(model));

        Assert.Equal(family, checkpoint.Config.Family);
        Assert.Equal(prefix, checkpoint.Prefix);
        Assert.Equal(maxTokens, checkpoint.Config.MaxTokens);
        Assert.Equal(32, checkpoint.Config.HiddenSize);
        Assert.Equal(3, checkpoint.Config.Layers);
        Assert.Null(checkpoint.Modules);
        Assert.True(checkpoint.HasMaskedLanguageHead);
        MaskedLanguageHead head = checkpoint.ReadMaskedLanguageHead()!;
        Assert.Equal(32 * 32, head.DenseWeight.Length);
        Assert.Equal(checkpoint.Config.VocabularySize, head.DecoderBias.Length);
        Assert.Null(head.DecoderWeight);
    }

    [Theory]
    [InlineData("bert-cls-dense", Pooling.Cls, true, false)]
    [InlineData("roberta-mean", Pooling.Avg, false, true)]
    public void Modules_of_sentence_transformers_6_are_read(string model, Pooling pooling, bool head, bool normalize)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("sentence-transformers-6", model));

        SentenceModules modules = checkpoint.Modules!;
        Assert.Equal(pooling, modules.Pooling);
        Assert.Equal(head, modules.Head is { Tanh: true, InFeatures: 32, OutFeatures: 32, Weight.Length: 1024, Bias.Length: 32 });
        Assert.Equal(normalize, modules.Normalize);
        Assert.Null(modules.MaxSequenceLength);
        Assert.Equal("", checkpoint.Prefix);
        Assert.False(checkpoint.HasMaskedLanguageHead);
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void Pickle_and_safetensors_hold_the_same_tensors(string model)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        foreach (string name in (string[])["config.json", "pytorch_model.bin"])
        {
            File.Copy(RepositoryPaths.Fixture(model, name), Path.Combine(directory, name));
        }

        using Checkpoint pickled = Checkpoint.Open(directory);
        using Checkpoint safe = Checkpoint.Open(RepositoryPaths.Fixture(model));

        Assert.Equal(safe.Prefix, pickled.Prefix);
        foreach (TensorEntry tensor in safe.Tensors)
        {
            Assert.Equal(tensor.Shape, pickled.Find(tensor.Name)!.Shape);
            Assert.Equal(safe.ReadTensor(tensor.Name), pickled.ReadTensor(tensor.Name));
        }

        // The pickle holds the tied decoder twice; safetensors leaves it out.
        Assert.All(pickled.Tensors.Select(t => t.Name).Except(safe.Tensors.Select(t => t.Name), StringComparer.Ordinal), name => Assert.Contains("decoder", name, StringComparison.Ordinal));
        Assert.Null(pickled.ReadMaskedLanguageHead()!.DecoderWeight);
    }

    [Theory]
    [InlineData("")]
    [InlineData("model.")]
    [InlineData("model.bert.")]
    [InlineData("0.auto_model.")]
    public void Any_prefix_of_the_tensor_names_is_found(string prefix)
    {
        string headPrefix = prefix is "model.bert." ? "model." : "";
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Renamed(n => n.StartsWith("bert.", StringComparison.Ordinal) ? prefix + n[5..] : headPrefix + n));

        using Checkpoint checkpoint = copy.Open();
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal(prefix, checkpoint.Prefix);
        Assert.Equal(original.ReadEncoderTensor(EncoderTensors.WordEmbeddings), checkpoint.ReadEncoderTensor(EncoderTensors.WordEmbeddings));
        Assert.Equal(prefix is not "0.auto_model.", checkpoint.HasMaskedLanguageHead);
    }

    [Fact]
    public void Of_two_encoders_the_one_with_the_familys_own_prefix_is_taken()
    {
        ModelCopy own = ModelCopy.Bert("own").Tensors(t => t.Concat(t.Renamed(n => "teacher." + n)));
        ModelCopy neither = ModelCopy.Bert("neither").Tensors(t => t.Renamed(n => "a." + n).Concat(t.Renamed(n => "b." + n)));

        using Checkpoint checkpoint = own.Open();

        Assert.Equal("bert.", checkpoint.Prefix);
        Assert.Equal("model.safetensors: holds 2 encoders ('a.bert.', 'b.bert.'), expected one, or one of them to be called 'bert.'", neither.Refusal());
    }

    [Fact]
    public void A_directory_of_links_opens_as_the_files_behind_them()
    {
        string snapshot = RepositoryPaths.NewTemporaryDirectory(); // as the Hugging Face cache has it: names that link to blobs
        foreach (string file in new[] { "config.json", "model.safetensors" })
        {
            File.CreateSymbolicLink(Path.Combine(snapshot, file), RepositoryPaths.Fixture("tiny-bert", file));
        }

        using Checkpoint linked = Checkpoint.Open(snapshot), real = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal(real.ReadEncoderTensor(EncoderTensors.WordEmbeddings), linked.ReadEncoderTensor(EncoderTensors.WordEmbeddings));
    }

    [Fact]
    public void Tensors_of_the_other_family_are_refused()
    {
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Renamed(n => n.Replace("bert.", "roberta.", StringComparison.Ordinal)));

        Assert.Equal("model.safetensors: tensors are called 'roberta.…', but config.json says that the model is 'bert'", copy.Refusal());
    }

    [Fact]
    public void Layer_normalisation_may_go_by_its_old_names()
    {
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Renamed(n => n.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal)));

        using Checkpoint checkpoint = copy.Open();
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal("bert.embeddings.LayerNorm.gamma", checkpoint.NameInFile("embeddings.LayerNorm.weight"));
        foreach (TensorEntry tensor in EncoderTensors.For(checkpoint.Config))
        {
            Assert.Equal(original.ReadEncoderTensor(tensor.Name), checkpoint.ReadEncoderTensor(tensor.Name));
        }

        Assert.Equal(original.ReadMaskedLanguageHead()!.NormWeight, checkpoint.ReadMaskedLanguageHead()!.NormWeight);
    }

    [Fact]
    public void Tensors_that_are_not_needed_may_be_of_any_type()
    {
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Append(TensorToWrite.FromIntegers("bert.embeddings.position_ids", [1, 64], Enumerable.Range(0, 64).Select(i => (long)i).ToArray())));

        using Checkpoint checkpoint = copy.Open();

        Assert.Equal(TensorType.I64, checkpoint.Find("bert.embeddings.position_ids")!.Type);
        Assert.Throws<InvalidDataException>(() => checkpoint.ReadTensor("bert.embeddings.position_ids"));
    }

    [Fact]
    public void A_tensor_with_a_wrong_shape_is_refused_with_both_shapes()
    {
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Select(x => x.Entry.Name is "bert.embeddings.word_embeddings.weight"
            ? TensorToWrite.FromFloats(x.Entry.Name, [2000, 31], new float[2000 * 31])
            : x));

        Assert.Equal("model.safetensors: tensor 'bert.embeddings.word_embeddings.weight' has shape [2000, 31], expected [2000, 32] from config.json", copy.Refusal());
    }

    [Theory]
    [InlineData("bert.encoder.layer.1.attention.self.query.weight", "model.safetensors: tensor 'bert.encoder.layer.1.attention.self.query.weight' of shape [32, 32] is missing, which config.json calls for")]
    [InlineData("bert.embeddings.word_embeddings.weight", "model.safetensors: tensor 'embeddings.word_embeddings.weight' is missing, with and without a prefix such as 'bert.'")]
    [InlineData("cls.predictions.transform.dense.bias", "model.safetensors: tensor 'cls.predictions.transform.dense.bias' is missing")]
    public void A_missing_tensor_is_named(string name, string message) =>
        Assert.Equal(message, ModelCopy.Bert().Tensors(t => t.Where(x => !x.Entry.Name.Equals(name, StringComparison.Ordinal))).Refusal());

    [Fact]
    public void A_tensor_of_integers_where_floats_belong_is_refused()
    {
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Select(x => x.Entry.Name is "bert.embeddings.LayerNorm.bias" ? TensorToWrite.FromIntegers(x.Entry.Name, [32], new long[32]) : x));

        Assert.Equal("model.safetensors: tensor 'bert.embeddings.LayerNorm.bias' has type I64, expected F32, F16, BF16 or F64", copy.Refusal());
    }

    [Fact]
    public void The_decoder_is_read_only_where_the_configuration_does_not_tie_it()
    {
        // transformers ties it whenever tie_word_embeddings is true, its default, whatever the file holds.
        float[] decoder = [.. Enumerable.Repeat(0.5f, 64000)];
        ModelCopy tied = ModelCopy.Bert("tied").Tensors(t => t.Append(TensorToWrite.FromFloats("cls.predictions.decoder.weight", [2000, 32], decoder)));
        ModelCopy untied = ModelCopy.Bert("untied").Tensors(t => t.Append(TensorToWrite.FromFloats("cls.predictions.decoder.weight", [2000, 32], decoder))).Json("config.json", j => j["tie_word_embeddings"] = false);
        ModelCopy missing = ModelCopy.Bert("missing").Json("config.json", j => j["tie_word_embeddings"] = false);

        using Checkpoint first = tied.Open();
        using Checkpoint second = untied.Open();

        Assert.Null(first.ReadMaskedLanguageHead()!.DecoderWeight);
        Assert.Equal(decoder, second.ReadMaskedLanguageHead()!.DecoderWeight!);
        Assert.Equal("model.safetensors: tensor 'cls.predictions.decoder.weight' is missing", missing.Refusal());
    }

    [Fact]
    public void The_decoders_bias_goes_by_two_names()
    {
        using Checkpoint renamed = ModelCopy.Bert().Tensors(t => t.Renamed(n => n is "cls.predictions.bias" ? "cls.predictions.decoder.bias" : n)).Open();
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));

        Assert.Equal(original.ReadMaskedLanguageHead()!.DecoderBias, renamed.ReadMaskedLanguageHead()!.DecoderBias);
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Half_precision_weights_are_read_as_float32(TensorType type)
    {
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        ModelCopy copy = ModelCopy.Bert().Tensors(t => t.Select(x => TensorToWrite.FromFloats(x.Entry.Name, x.Entry.Shape, original.ReadTensor(x.Entry.Name), type)));

        using Checkpoint half = copy.Open();

        double relative = type == TensorType.F16 ? 1 / 2048.0 : 1 / 256.0; // half a unit in the last place of 11 and of 8 bits
        foreach (TensorEntry tensor in original.Tensors)
        {
            float[] expected = original.ReadTensor(tensor.Name);
            float[] actual = half.ReadTensor(tensor.Name);
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.InRange(Math.Abs(actual[i] - expected[i]), 0, Math.Max(Math.Abs(expected[i]) * relative, 6e-8));
            }
        }
    }

    [Theory]
    [InlineData("model", ".safetensors")]
    [InlineData("pytorch_model", ".bin")]
    public void Shards_are_one_model(string name, string ending)
    {
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        ModelCopy copy = Shards.Of(original, name, ending);

        using Checkpoint sharded = copy.Open();

        Assert.Equal(original.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal), sharded.Tensors.Select(t => t.Name).Order(StringComparer.Ordinal));
        foreach (TensorEntry tensor in original.Tensors)
        {
            Assert.Equal(original.ReadTensor(tensor.Name), sharded.ReadTensor(tensor.Name));
        }
    }

    [Theory]
    [InlineData("model-00002-of-00003.safetensors", "../secret.safetensors", "expected the name of a *.safetensors file beside the index")]
    [InlineData("model-00002-of-00003.safetensors", "/etc/passwd", "expected the name of a *.safetensors file beside the index")]
    [InlineData("model-00002-of-00003.safetensors", "model-00004-of-00003.safetensors", "names the file 'model-00004-of-00003.safetensors', which is missing")]
    [InlineData("bert.embeddings.LayerNorm.bias", "bert.embeddings.LayerNorm.bios", "tensor 'bert.embeddings.LayerNorm.bios' is said to be in 'model-00001-of-00003.safetensors', which does not hold it")]
    [InlineData("weight_map", "weightmap", "weight_map is missing")]
    public void An_index_that_lies_is_refused(string from, string to, string message)
    {
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        ModelCopy copy = Shards.Of(original, "model", ".safetensors");
        const string Index = "model.safetensors.index.json";
        copy.Text(Index, File.ReadAllText(copy.PathOf(Index)).Replace(from, to, StringComparison.Ordinal));

        string refusal = copy.Refusal();

        Assert.StartsWith(Index, refusal, StringComparison.Ordinal);
        Assert.Contains(message, refusal, StringComparison.Ordinal);
    }

    [Fact]
    public void The_hash_is_that_of_the_files_bytes_shards_in_the_order_of_their_names()
    {
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        ModelCopy copy = Shards.Of(original, "model", ".safetensors");
        using Checkpoint sharded = copy.Open();

        byte[] whole = File.ReadAllBytes(RepositoryPaths.Fixture("tiny-bert", "model.safetensors"));
        byte[] shards = [.. Directory.GetFiles(copy.Directory, "*.safetensors").Order(StringComparer.Ordinal).SelectMany(File.ReadAllBytes)];

        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(whole)), original.HashWeights(TestContext.Current.CancellationToken));
        Assert.Equal(Convert.ToHexStringLower(SHA256.HashData(shards)), sharded.HashWeights(TestContext.Current.CancellationToken));
    }

    [Fact]
    public void The_published_hashes_of_the_reference_models_are_found()
    {
        // shared/models/README.md; 53aa5117…d9db is also what the hub gives for sentence-transformers/all-MiniLM-L6-v2.
        using Checkpoint miniLm = Checkpoint.Open(RepositoryPaths.Shared("models", "all-MiniLM-L6-v2"));
        using Checkpoint raw = Checkpoint.Open(RepositoryPaths.Shared("models", "minilm-l6-mlm"));

        Assert.Equal("53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db", miniLm.HashWeights(TestContext.Current.CancellationToken));
        Assert.Equal("e29bed771a8d553aa5a628ea6547cab22c48ace9af66f3bff80fc88a5234ef13", raw.HashWeights(TestContext.Current.CancellationToken));
        Assert.Equal(new SentenceModules(Pooling.Avg, Head: null, Normalize: true, 256, LowerCase: false), miniLm.Modules);
        Assert.True(raw.HasMaskedLanguageHead);
        Assert.Null(raw.ReadMaskedLanguageHead()!.DecoderWeight);
        Assert.Equal("bert.", raw.Prefix);
        Assert.Equal("", miniLm.Prefix);
    }

    [Fact]
    public void What_is_not_there_is_named()
    {
        string empty = RepositoryPaths.NewTemporaryDirectory();
        ModelCopy weightless = ModelCopy.Bert().Without("model.safetensors");

        Assert.Equal($"{empty}/absent: no such directory", Assert.Throws<DirectoryNotFoundException>(() => Checkpoint.Open(empty + "/absent")).Message);
        Assert.Contains("config.json: missing", Assert.Throws<FileNotFoundException>(() => Checkpoint.Open(empty)).Message, StringComparison.Ordinal);
        Assert.Contains("holds no weights", Assert.Throws<FileNotFoundException>(weightless.Open).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_is_read_into_memory_of_the_callers()
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        float[] values = new float[32];

        checkpoint.ReadTensor("bert.embeddings.LayerNorm.bias", values);

        Assert.Equal(checkpoint.ReadEncoderTensor("embeddings.LayerNorm.bias"), values);
        Assert.Throws<ArgumentException>(() => checkpoint.ReadTensor("bert.embeddings.LayerNorm.bias", new float[31]));
    }
}
