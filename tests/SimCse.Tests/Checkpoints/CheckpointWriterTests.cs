using System.Text;
using System.Text.Json;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class CheckpointWriterTests
{
    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    [InlineData("sentence-transformers-6/bert-cls-dense")]
    public void A_directory_saved_untouched_has_the_same_bytes(string model)
    {
        string source = RepositoryPaths.Fixture(model.Split('/'));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "saved");
        using Checkpoint original = Checkpoint.Open(source);

        CheckpointWriter.Write(target, Untouched(original) with { Modules = null });

        string[] written = [.. Directory.GetFiles(target).Select(Path.GetFileName).Order(StringComparer.Ordinal)!];
        Assert.Contains("model.safetensors", written, StringComparer.Ordinal);
        Assert.Contains("tokenizer.json", written, StringComparer.Ordinal);
        foreach (string name in written)
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(source, name)), File.ReadAllBytes(Path.Combine(target, name)));
        }

        using Checkpoint again = Checkpoint.Open(target);
        Assert.Equal(original.Prefix, again.Prefix);
        Assert.Equal(original.Config, again.Config);
        Assert.Equal(original.HashWeights(TestContext.Current.CancellationToken), again.HashWeights(TestContext.Current.CancellationToken));
    }

    [Fact]
    public void A_half_precision_checkpoint_saved_untouched_stays_as_it_is_bit_for_bit()
    {
        using Checkpoint single = Checkpoint.Open(RepositoryPaths.Fixture("tiny-roberta"));
        string directory = RepositoryPaths.NewTemporaryDirectory();
        CheckpointWriter.Write(Path.Combine(directory, "half"), Untouched(single) with { Tensors = [.. Values(single, TensorType.F16)] });
        using Checkpoint half = Checkpoint.Open(Path.Combine(directory, "half"));

        CheckpointWriter.Write(Path.Combine(directory, "again"), Untouched(half));

        Assert.All(half.Tensors, t => Assert.Equal(TensorType.F16, t.Type));
        foreach (string name in (string[])["config.json", "model.safetensors"])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(directory, "half", name)), File.ReadAllBytes(Path.Combine(directory, "again", name)));
        }
    }

    [Fact]
    public void Weights_stored_in_another_type_change_the_type_that_the_configuration_names_and_nothing_else()
    {
        using Checkpoint single = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "half");

        CheckpointWriter.Write(target, Untouched(single) with { Tensors = [.. Values(single, TensorType.BF16)] });

        string before = File.ReadAllText(RepositoryPaths.Fixture("tiny-bert", "config.json"));
        Assert.Equal(before.Replace("\"torch_dtype\": \"float32\"", "\"torch_dtype\": \"bfloat16\"", StringComparison.Ordinal), File.ReadAllText(Path.Combine(target, "config.json")));
    }

    [Fact]
    public void One_float32_tensor_among_halves_makes_the_model_float32()
    {
        using Checkpoint single = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string directory = RepositoryPaths.NewTemporaryDirectory();
        CheckpointWriter.Write(Path.Combine(directory, "half"), Untouched(single) with { Tensors = [.. Values(single, TensorType.F16)] });
        using Checkpoint half = Checkpoint.Open(Path.Combine(directory, "half"));

        CheckpointWriter.Write(Path.Combine(directory, "mixed"), Untouched(half) with { Tensors = [.. Values(half, TensorType.F32).Take(1), .. half.Tensors.Skip(1).Select(t => half.Unchanged(t.Name))] });

        Assert.Contains("\"torch_dtype\": \"float16\"", File.ReadAllText(Path.Combine(directory, "half", "config.json")), StringComparison.Ordinal);
        Assert.Equal(File.ReadAllText(RepositoryPaths.Fixture("tiny-bert", "config.json")), File.ReadAllText(Path.Combine(directory, "mixed", "config.json")));
    }

    [Theory]
    [InlineData(Pooling.Cls, true, false)]
    [InlineData(Pooling.Cls, true, true)]
    [InlineData(Pooling.ClsBeforePooler, false, false)]
    [InlineData(Pooling.Avg, false, true)]
    [InlineData(Pooling.Avg, true, false)]
    [InlineData(Pooling.AvgTop2, false, false)]
    [InlineData(Pooling.AvgFirstLast, false, false)]
    [InlineData(Pooling.StaticFirstLast, false, false)]
    public void Modules_come_back_as_they_were_written(Pooling pooling, bool head, bool normalize)
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");
        SentenceModules modules = new(pooling, head ? Head() : null, normalize, 32, LowerCase: false);

        CheckpointWriter.Write(target, Untouched(source) with { Modules = modules });

        using Checkpoint written = Checkpoint.Open(target);
        Assert.Equal(modules with { Head = null }, written.Modules! with { Head = null });
        Assert.Equal(head, written.Modules.Head is not null);
        if (written.Modules.Head is { } read)
        {
            Assert.Equal(modules.Head!.Weight, read.Weight);
            Assert.Equal(modules.Head.Bias, read.Bias);
            Assert.True(read.Tanh);
        }

        bool expressible = pooling is Pooling.Cls or Pooling.ClsBeforePooler or Pooling.Avg;
        Assert.Equal(expressible, File.Exists(Path.Combine(target, "modules.json")));
        Assert.Equal(!expressible, File.ReadAllText(Path.Combine(target, "config_sentence_transformers.json")).Contains("simcse_pooling", StringComparison.Ordinal));
    }

    [Fact]
    public void Module_files_have_the_form_of_sentence_transformers_2()
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");

        CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.Cls, Head(), Normalize: false, 32, LowerCase: null) });

        // protocol section 7, and the files of sentence-transformers/all-MiniLM-L6-v2 for the spelling
        Assert.Equal(
            """
            [
              {
                "idx": 0,
                "name": "0",
                "path": "",
                "type": "sentence_transformers.models.Transformer"
              },
              {
                "idx": 1,
                "name": "1",
                "path": "1_Pooling",
                "type": "sentence_transformers.models.Pooling"
              },
              {
                "idx": 2,
                "name": "2",
                "path": "2_Dense",
                "type": "sentence_transformers.models.Dense"
              }
            ]
            """.ReplaceLineEndings("\n"),
            File.ReadAllText(Path.Combine(target, "modules.json")));
        Assert.Equal("{\n  \"max_seq_length\": 32,\n  \"do_lower_case\": false\n}", File.ReadAllText(Path.Combine(target, "sentence_bert_config.json")));
        using JsonDocument dense = JsonDocument.Parse(File.ReadAllText(Path.Combine(target, "2_Dense", "config.json")));
        Assert.Equal("torch.nn.modules.activation.Tanh", dense.RootElement.GetProperty("activation_function").GetString());
        using SafetensorsFile weights = SafetensorsFile.Open(Path.Combine(target, "2_Dense", "model.safetensors"));
        Assert.Equal([32, 32], weights.Find("linear.weight")!.Shape);
        Assert.Equal([32], weights.Find("linear.bias")!.Shape);
        Assert.Equal(
            ["include_prompt", "pooling_mode_cls_token", "pooling_mode_lasttoken", "pooling_mode_max_tokens", "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_mean_tokens", "pooling_mode_weightedmean_tokens", "word_embedding_dimension"],
            Keys(Path.Combine(target, "1_Pooling", "config.json")));
        Assert.Equal(["__version__", "default_prompt_name", "prompts", "similarity_fn_name"], Keys(Path.Combine(target, "config_sentence_transformers.json")));
    }

    [Fact]
    public void Without_a_length_the_tokenizers_own_limit_is_written()
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("sentence-transformers-6", "roberta-mean"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");

        CheckpointWriter.Write(target, Untouched(source));

        using Checkpoint written = Checkpoint.Open(target);
        Assert.Equal(32, written.Modules!.MaxSequenceLength); // model_max_length of its tokenizer_config.json
        Assert.True(written.Modules.Normalize);
    }

    [Fact]
    public void An_old_model_is_replaced_whole_and_what_is_no_model_is_left_alone()
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string parent = RepositoryPaths.NewTemporaryDirectory();
        string target = Path.Combine(parent, "model");
        CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.Cls, Head(), false, 32, false), ModelCard = "# One\n", Files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal) { ["onnx/model.onnx"] = "1"u8.ToArray() } });

        CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.ClsBeforePooler, null, false, 32, false), ModelCard = "# Two\n" });

        Assert.Equal("# Two\n", File.ReadAllText(Path.Combine(target, "README.md")));
        Assert.False(Directory.Exists(Path.Combine(target, "2_Dense")));
        Assert.False(Directory.Exists(Path.Combine(target, "onnx")));
        Assert.Equal("model", Path.GetFileName(Assert.Single(Directory.GetFileSystemEntries(parent))));

        string letters = Path.Combine(parent, "letters");
        Directory.CreateDirectory(letters);
        File.WriteAllText(Path.Combine(letters, "dear.txt"), "dear");
        Assert.Throws<IOException>(() => CheckpointWriter.Write(letters, Untouched(source)));
        Assert.Equal("dear", File.ReadAllText(Path.Combine(letters, "dear.txt")));
    }

    [Fact]
    public void A_write_that_fails_leaves_the_old_model()
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string parent = RepositoryPaths.NewTemporaryDirectory();
        string target = Path.Combine(parent, "model");
        CheckpointWriter.Write(target, Untouched(source));
        byte[] before = File.ReadAllBytes(Path.Combine(target, "model.safetensors"));

        InvalidDataException missing = Assert.Throws<InvalidDataException>(() => CheckpointWriter.Write(target, Untouched(source) with { Tensors = [.. Values(source, TensorType.F32).Skip(1)] }));
        TensorToWrite[] tooLarge = [.. Values(source, TensorType.F16).Where(t => t.Entry.Name is not "bert.embeddings.LayerNorm.bias"), TensorToWrite.FromFloats("bert.embeddings.LayerNorm.bias", [32], Enumerable.Repeat(1e6f, 32).ToArray(), TensorType.F16)];
        InvalidDataException large = Assert.Throws<InvalidDataException>(() => CheckpointWriter.Write(target, Untouched(source) with { Tensors = tooLarge }));

        Assert.Contains("is missing", missing.Message, StringComparison.Ordinal);
        Assert.Contains("'bert.embeddings.LayerNorm.bias': element 0 is 1000000, too large for F16", large.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Path.Combine(target, "model.safetensors")));
        Assert.Equal("model", Path.GetFileName(Assert.Single(Directory.GetFileSystemEntries(parent))));
    }

    [Fact]
    public async Task A_reader_never_finds_the_model_missing_or_half_while_it_is_replaced()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "names are exchanged in one step on Linux only");
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");
        CheckpointWriter.Write(target, Untouched(source));
        using CancellationTokenSource written = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        Task<int> reader = Task.Run(() =>
        {
            int found = 0;
            while (!written.IsCancellationRequested)
            {
                Assert.True(Directory.Exists(target));
                Assert.Equal(386024, new FileInfo(Path.Combine(target, "model.safetensors")).Length);
                found++;
            }

            return found;
        }, TestContext.Current.CancellationToken);

        for (int i = 0; i < 30; i++)
        {
            CheckpointWriter.Write(target, Untouched(source));
        }

        await written.CancelAsync();
        Assert.True(await reader > 0);
    }

    [Fact]
    public void A_model_may_be_saved_over_the_directory_it_was_read_from()
    {
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");
        using (Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-roberta")))
        {
            CheckpointWriter.Write(target, Untouched(source));
        }

        using Checkpoint opened = Checkpoint.Open(target);
        CheckpointWriter.Write(target, Untouched(opened) with { ModelCard = "# Again\n" });

        Assert.Equal(File.ReadAllBytes(RepositoryPaths.Fixture("tiny-roberta", "model.safetensors")), File.ReadAllBytes(Path.Combine(target, "model.safetensors")));
        Assert.True(File.Exists(Path.Combine(target, "README.md")));
    }

    [Theory]
    [InlineData("../out.txt")]
    [InlineData("/out.txt")]
    [InlineData("onnx//x")]
    [InlineData("a\\b")]
    public void A_file_outside_the_directory_is_refused(string name)
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");

        Assert.Throws<ArgumentException>(() => CheckpointWriter.Write(target, Untouched(source) with { Files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal) { [name] = "x"u8.ToArray() } }));

        Assert.False(Directory.Exists(target));
    }

    [Fact]
    public void Heads_and_normalisation_that_no_file_can_tell_of_are_refused()
    {
        using Checkpoint source = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");

        Assert.Throws<ArgumentException>(() => CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.AvgTop2, Head(), false, 32, false) }));
        Assert.Throws<ArgumentException>(() => CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.ClsBeforePooler, Head(), false, 32, false) }));
        Assert.Throws<ArgumentException>(() => CheckpointWriter.Write(target, Untouched(source) with { Modules = new SentenceModules(Pooling.AvgFirstLast, null, true, 32, false) }));
    }

    [Theory]
    [InlineData(ModelFamily.Bert)]
    [InlineData(ModelFamily.Roberta)]
    public void A_model_made_anew_writes_its_own_configuration(ModelFamily family)
    {
        EncoderConfig config = new()
        {
            Family = family,
            VocabularySize = 50,
            HiddenSize = 8,
            Layers = 2,
            Heads = 2,
            IntermediateSize = 16,
            MaxPositions = 20,
            PadTokenId = family == ModelFamily.Roberta ? 1 : 0,
            LayerNormEpsilon = 1e-5,
        };
        string target = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model");
        IEnumerable<TensorEntry> tensors = EncoderTensors.For(config).Select(t => t with { Name = "bert." + t.Name }).Concat(EncoderTensors.ForMaskedLanguageHead(config));
        if (family == ModelFamily.Roberta)
        {
            tensors = tensors.Select(t => t with { Name = t.Name.Replace("bert.", "roberta.", StringComparison.Ordinal) });
        }

        CheckpointWriter.Write(target, new CheckpointContents
        {
            Tensors = [.. tensors.Select(t => TensorToWrite.FromFloats(t.Name, t.Shape, new float[t.Count]))],
            Files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal) { ["config.json"] = config.ToJson(maskedLanguageHead: true) },
        });

        using Checkpoint written = Checkpoint.Open(target);
        Assert.Equal(config, written.Config);
        Assert.True(written.HasMaskedLanguageHead);
        Assert.Contains("ForMaskedLM", Encoding.UTF8.GetString(config.ToJson(maskedLanguageHead: true)), StringComparison.Ordinal);
    }

    private static CheckpointContents Untouched(Checkpoint source) => new()
    {
        Source = source.Directory,
        Tensors = [.. source.Tensors.Select(t => source.Unchanged(t.Name))],
        Modules = source.Modules,
    };

    private static IEnumerable<TensorToWrite> Values(Checkpoint source, TensorType type) =>
        source.Tensors.Select(t => TensorToWrite.FromFloats(t.Name, t.Shape, () => source.ReadTensor(t.Name), type));

    private static DenseHead Head() => new(32, 32, [.. Enumerable.Range(0, 1024).Select(i => i / 1024f)], [.. Enumerable.Range(0, 32).Select(i => -i / 32f)], Tanh: true);

    private static string[] Keys(string path)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(path));
        return [.. document.RootElement.EnumerateObject().Select(p => p.Name).Order(StringComparer.Ordinal)];
    }
}
