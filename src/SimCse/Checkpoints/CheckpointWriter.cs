using System.Globalization;
using System.Text;
using System.Text.Json;

namespace SimCse.Checkpoints;

/// <summary>What a written model directory shall hold.</summary>
public sealed record CheckpointContents
{
    /// <summary>The directory that <c>config.json</c> and the tokenizer's files are copied from, byte for byte; null where <see cref="Files"/> holds them.</summary>
    public string? Source { get; init; }

    /// <summary>The weights, under the names they shall have in <c>model.safetensors</c>. <see cref="Checkpoint.Unchanged"/> gives those that training left alone.</summary>
    public required IReadOnlyList<TensorToWrite> Tensors { get; init; }

    /// <summary>Pooling, head, normalisation and length; null writes a plain Hugging Face directory.</summary>
    public SentenceModules? Modules { get; init; }

    /// <summary>The text of <c>README.md</c>; null writes none.</summary>
    public string? ModelCard { get; init; }

    /// <summary>
    /// Further files: relative path with forward slashes (<c>trainer_state.json</c>, <c>onnx/model.onnx</c>) → bytes. A file here takes the place of one that would be copied.
    /// </summary>
    public IReadOnlyDictionary<string, ReadOnlyMemory<byte>> Files { get; init; } = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal);
}

/// <summary>
/// Writes a model directory that Hugging Face's transformers, sentence-transformers (2 to 6) and text-embeddings-inference open: <c>config.json</c>, <c>model.safetensors</c>,
/// the tokenizer's files and, in the form of sentence-transformers 2, <c>modules.json</c>, <c>1_Pooling/config.json</c>, <c>sentence_bert_config.json</c>,
/// <c>config_sentence_transformers.json</c> and, where a head is kept, <c>2_Dense</c>.
/// </summary>
/// <remarks>
/// Poolings that sentence-transformers cannot express (<c>avg_top2</c>, <c>avg_first_last</c>, <c>static_first_last</c>) are recorded as <c>simcse_pooling</c> in
/// config_sentence_transformers.json, and no modules.json is written: it would silently give other vectors.
/// </remarks>
public static class CheckpointWriter
{
    /// <summary>The version of sentence-transformers whose form is written.</summary>
    private const string FormVersion = "2.7.0";

    private static readonly string[] s_copied =
    [
        "config.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    ];

    /// <summary>
    /// Writes the whole directory beside its place (<c>NAME.writing</c>), opens it as a check, and puts it in its place by one exchange of names (on Linux; by two renames elsewhere),
    /// so that a crash leaves the old directory or the new one. An old directory of that name is removed, with everything in it.
    /// </summary>
    /// <param name="directory">Where the model shall be. Its parent is created where it is missing.</param>
    /// <param name="contents">What it shall hold.</param>
    /// <exception cref="ArgumentException">Contents that contradict themselves: a head where the pooling has none, a path that leaves the directory, two tensors of one name.</exception>
    /// <exception cref="InvalidDataException">The contents make no model that opens: no config.json, a tensor that is missing or has the wrong shape, a value too large for its type.</exception>
    /// <exception cref="IOException">It cannot be written; or there is something of that name that is no model directory, which is left alone.</exception>
    public static void Write(string directory, CheckpointContents contents)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentNullException.ThrowIfNull(contents);
        Check(contents);
        string target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(directory));
        AtomicDirectory.Write(target, IsModel, beside =>
        {
            WriteFiles(beside, contents);
            Checkpoint.Open(beside).Dispose();
        });
    }

    private static bool IsModel(string directory) => File.Exists(Path.Combine(directory, "config.json")) || !Directory.EnumerateFileSystemEntries(directory).Any();

    private static void Check(CheckpointContents contents)
    {
        if (contents.Modules is { } modules)
        {
            if (modules.Head is not null && modules.Pooling is not (Pooling.Cls or Pooling.Avg))
            {
                throw new ArgumentException($"a head after pooling '{modules.Pooling.ToName()}' cannot be stored", nameof(contents));
            }

            if (modules.Normalize && SentenceModulesFiles.NeedsMarker(modules.Pooling))
            {
                throw new ArgumentException($"normalisation after pooling '{modules.Pooling.ToName()}' cannot be stored", nameof(contents));
            }
        }

        foreach (string name in contents.Files.Keys)
        {
            if (Path.IsPathRooted(name) || name.Split('/').Any(part => part is "" or "." or ".." || part.AsSpan().ContainsAny("\\:\0")))
            {
                throw new ArgumentException($"'{name}' is not a path inside the directory", nameof(contents));
            }
        }
    }

    private static void WriteFiles(string directory, CheckpointContents contents)
    {
        Dictionary<string, ReadOnlyMemory<byte>> files = new(StringComparer.Ordinal);
        foreach (string name in s_copied)
        {
            if (contents.Source is { } source && Path.Combine(source, name) is var path && File.Exists(path))
            {
                files[name] = File.ReadAllBytes(path);
            }
        }

        foreach ((string name, ReadOnlyMemory<byte> bytes) in contents.Files)
        {
            files[name] = bytes;
        }

        if (!files.TryGetValue("config.json", out ReadOnlyMemory<byte> json))
        {
            throw new InvalidDataException($"{contents.Source ?? directory}: there is no config.json to go with the weights");
        }

        EncoderConfig config = EncoderConfig.Parse(json, Path.Combine(contents.Source ?? directory, "config.json"));
        files["config.json"] = WithStoredType(json, contents.Tensors);
        if (contents.Modules is { } modules)
        {
            AddModules(files, modules, config);
        }

        if (contents.ModelCard is { } card)
        {
            files["README.md"] = Encoding.UTF8.GetBytes(card);
        }

        foreach ((string name, ReadOnlyMemory<byte> bytes) in files)
        {
            string path = Path.Combine(directory, name);
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            AtomicFile.Write(path, stream => stream.Write(bytes.Span));
        }

        SafetensorsFile.Write(Path.Combine(directory, "model.safetensors"), contents.Tensors);
        if (contents.Modules?.Head is { } head)
        {
            SafetensorsFile.Write(
                Path.Combine(directory, "2_Dense", "model.safetensors"),
                [
                    TensorToWrite.FromFloats("linear.weight", [head.OutFeatures, head.InFeatures], head.Weight),
                    TensorToWrite.FromFloats("linear.bias", [head.OutFeatures], head.Bias),
                ],
                new Dictionary<string, string>(StringComparer.Ordinal));
        }
    }

    private static void AddModules(Dictionary<string, ReadOnlyMemory<byte>> files, SentenceModules modules, EncoderConfig config)
    {
        bool marked = SentenceModulesFiles.NeedsMarker(modules.Pooling);
        string marker = marked ? $",\n  \"{SentenceModulesFiles.Marker}\": \"{modules.Pooling.ToName()}\"" : "";
        Add(SentenceModulesFiles.SettingsFile, $$"""
            {
              "__version__": {
                "sentence_transformers": "{{FormVersion}}"
              },
              "prompts": {},
              "default_prompt_name": null,
              "similarity_fn_name": "cosine"{{marker}}
            }
            """);
        int length = Math.Min(modules.MaxSequenceLength ?? TokenizerLimit(files) ?? config.MaxTokens, config.MaxTokens);
        Add(SentenceModulesFiles.LengthFile, $$"""
            {
              "max_seq_length": {{length}},
              "do_lower_case": {{Truth(modules.LowerCase is true)}}
            }
            """);
        if (marked)
        {
            return;
        }

        List<(string Path, string Type)> chain = [("", "Transformer"), ("1_Pooling", "Pooling")];
        if (modules.Head is { } head)
        {
            chain.Add(("2_Dense", "Dense"));
            string activation = head.Tanh ? "torch.nn.modules.activation.Tanh" : "torch.nn.modules.linear.Identity";
            Add("2_Dense/config.json", $$"""{"in_features": {{head.InFeatures}}, "out_features": {{head.OutFeatures}}, "bias": true, "activation_function": "{{activation}}"}""");
        }

        if (modules.Normalize)
        {
            chain.Add(($"{chain.Count}_Normalize", "Normalize"));
        }

        Add(SentenceModulesFiles.ModulesFile, $"[\n{string.Join(",\n", chain.Select((module, i) => $$"""
              {
                "idx": {{i}},
                "name": "{{i}}",
                "path": "{{module.Path}}",
                "type": "sentence_transformers.models.{{module.Type}}"
              }
            """))}\n]");
        Add("1_Pooling/config.json", $$"""
            {
              "word_embedding_dimension": {{config.HiddenSize}},
              "pooling_mode_cls_token": {{Truth(modules.Pooling is Pooling.Cls or Pooling.ClsBeforePooler)}},
              "pooling_mode_mean_tokens": {{Truth(modules.Pooling is Pooling.Avg)}},
              "pooling_mode_max_tokens": false,
              "pooling_mode_mean_sqrt_len_tokens": false,
              "pooling_mode_weightedmean_tokens": false,
              "pooling_mode_lasttoken": false,
              "include_prompt": true
            }
            """);

        void Add(string name, string text) => files[name] = Encoding.UTF8.GetBytes(text.ReplaceLineEndings("\n"));
        static string Truth(bool value) => value ? "true" : "false";
    }

    /// <summary>The tokenizer's own limit, null where it names none or an absurd one (1e30 stands for none).</summary>
    private static int? TokenizerLimit(Dictionary<string, ReadOnlyMemory<byte>> files)
    {
        const string Name = "tokenizer_config.json";
        if (!files.TryGetValue(Name, out ReadOnlyMemory<byte> json))
        {
            return null;
        }

        return JsonFields.Parse(json, Name) is { ValueKind: JsonValueKind.Object } root && root.TryGetProperty("model_max_length", out JsonElement value)
            && value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out int limit) && limit > 0 ? limit : null;
    }

    /// <summary>
    /// The configuration with <c>torch_dtype</c> (<c>dtype</c> in new files) saying how the weights are stored now: transformers 5 loads them all as what it says, so it is float32
    /// as soon as one of them is (a trained encoder beside a head that was left in F16). No other byte changes, and none where it is right already or absent.
    /// </summary>
    private static ReadOnlyMemory<byte> WithStoredType(ReadOnlyMemory<byte> json, IReadOnlyList<TensorToWrite> tensors)
    {
        TensorType[] types = [.. tensors.Select(t => t.Entry.Type).Where(t => t.IsFloat()).Distinct()];
        string? stored = types switch
        {
            _ when types.Contains(TensorType.F32) => "float32",
            [TensorType.F16] => "float16",
            [TensorType.BF16] => "bfloat16",
            _ => null,
        };
        Utf8JsonReader reader = new(json.Span);
        while (stored is not null && reader.Read())
        {
            if (reader.TokenType == JsonTokenType.PropertyName && reader.CurrentDepth == 1 && (reader.ValueTextEquals("torch_dtype") || reader.ValueTextEquals("dtype")))
            {
                reader.Read();
                if (reader.TokenType == JsonTokenType.String && !reader.ValueTextEquals(stored))
                {
                    string text = string.Create(CultureInfo.InvariantCulture, $"\"{stored}\"");
                    return (byte[])[.. json.Span[..(int)reader.TokenStartIndex], .. Encoding.UTF8.GetBytes(text), .. json.Span[(int)reader.BytesConsumed..]];
                }
            }
        }

        return json;
    }
}
