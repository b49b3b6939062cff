using System.Text.Json;

namespace SimCse.Checkpoints;

/// <summary>
/// sentence-transformers' files in a model's directory, in the form of its version 2 (<c>pooling_mode_cls_token</c>, …) and of its version 6 (<c>pooling_mode</c>),
/// and our own marker for poolings that it does not know.
/// </summary>
internal static class SentenceModulesFiles
{
    /// <summary>In config_sentence_transformers.json, whose unknown fields sentence-transformers leaves alone.</summary>
    public const string Marker = "simcse_pooling";

    public const string ModulesFile = "modules.json";
    public const string SettingsFile = "config_sentence_transformers.json";
    public const string LengthFile = "sentence_bert_config.json";

    /// <summary>Components of a vector are at most this many; so is a module's number of features.</summary>
    private const int MaximumFeatures = 1_000_000;

    /// <summary>Our poolings that sentence-transformers cannot express.</summary>
    public static bool NeedsMarker(Pooling pooling) => pooling is Pooling.AvgTop2 or Pooling.AvgFirstLast or Pooling.StaticFirstLast;

    public static SentenceModules? Read(string directory, EncoderConfig config)
    {
        Pooling? marked = ReadSettings(Path.Combine(directory, SettingsFile));
        (int? length, bool? lowerCase) = ReadLength(Path.Combine(directory, LengthFile), config);
        string modules = Path.Combine(directory, ModulesFile);
        if (!File.Exists(modules))
        {
            return marked is { } pooling ? new SentenceModules(pooling, Head: null, Normalize: false, length, lowerCase) : null;
        }

        SentenceModules read = ReadModules(directory, modules, config) with { MaxSequenceLength = length, LowerCase = lowerCase };
        return marked is null || marked == read.Pooling
            ? read
            : throw new InvalidDataException($"{Path.Combine(directory, SettingsFile)}: {Marker} is '{marked.Value.ToName()}', but modules.json says '{read.Pooling.ToName()}'");
    }

    private static Pooling? ReadSettings(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        JsonFields fields = JsonFields.ReadObject(path);
        if (fields.Text("default_prompt_name") is { } prompt && fields.Fields("prompts")?.Text(prompt) is { Length: > 0 })
        {
            throw fields.Wrong("default_prompt_name", "none: texts that go into the model behind a prompt are not supported");
        }

        if (fields.Text(Marker) is not { } name)
        {
            return null;
        }

        return PoolingNames.All.Contains(name, StringComparer.Ordinal) ? PoolingNames.Parse(name) : throw fields.Wrong(Marker, $"one of {string.Join(", ", PoolingNames.All)}");
    }

    private static (int? Length, bool? LowerCase) ReadLength(string path, EncoderConfig config)
    {
        if (!File.Exists(path))
        {
            return (null, null);
        }

        JsonFields fields = JsonFields.ReadObject(path);
        if (fields.Fields("modality_config")?.Fields("text") is { } text && text.Has("method_output_name") && text.Text("method_output_name") is not "last_hidden_state")
        {
            throw text.Wrong("method_output_name", "'last_hidden_state'");
        }

        if (fields.Has("module_output_name") && fields.Text("module_output_name") is not "token_embeddings")
        {
            throw fields.Wrong("module_output_name", "'token_embeddings'");
        }

        // More than the positions allow is common in published models and means: as much as they allow.
        int? length = fields.Integer("max_seq_length", 1, int.MaxValue);
        return (length is { } tokens ? Math.Min(tokens, config.MaxTokens) : null, fields.Truth("do_lower_case"));
    }

    private static SentenceModules ReadModules(string directory, string file, EncoderConfig config)
    {
        JsonElement root = JsonFields.ReadDocument(file, 1 << 20);
        if (root.ValueKind != JsonValueKind.Array)
        {
            throw new InvalidDataException($"{file}: expected an array of modules");
        }

        List<(JsonFields Fields, string Kind, string Path)> modules = [];
        foreach (JsonElement item in root.EnumerateArray())
        {
            JsonFields module = JsonFields.Object(item, file, $"module {modules.Count}");
            string type = module.RequiredText("type");
            string path = module.RequiredText("path");
            if (module.RequiredInteger("idx", 0, int.MaxValue) != modules.Count)
            {
                throw module.Wrong("idx", $"{modules.Count}, the module's place");
            }

            if (path.Length > 100 || path is "." or ".." || path.AsSpan().ContainsAny('/', '\\', ':') || path.Any(char.IsControl))
            {
                throw module.Wrong("path", "the name of a folder in the model's directory");
            }

            modules.Add((module, type[(type.LastIndexOf('.') + 1)..], path));
        }

        int at = 0;
        if (modules.Count == 0 || modules[0].Kind is not "Transformer")
        {
            throw modules.Count == 0 ? new InvalidDataException($"{file}: names no module") : modules[0].Fields.Wrong("type", "a Transformer first");
        }

        if (modules[at++].Path.Length != 0)
        {
            throw modules[0].Fields.Wrong("path", "'': the encoder in the model's directory itself");
        }

        if (at == modules.Count || modules[at].Kind is not "Pooling")
        {
            throw at == modules.Count ? new InvalidDataException($"{file}: names no Pooling") : modules[at].Fields.Wrong("type", "a Pooling second");
        }

        Pooling pooling = ReadPooling(ConfigOf(modules[at++]), config.HiddenSize);
        DenseHead? head = null;
        if (at < modules.Count && modules[at].Kind is "Dense")
        {
            head = ReadDense(ConfigOf(modules[at++]), config.HiddenSize);
            pooling = pooling == Pooling.ClsBeforePooler ? Pooling.Cls : pooling;
        }

        bool normalize = at < modules.Count && modules[at].Kind is "Normalize";
        at += normalize ? 1 : 0;
        return at == modules.Count
            ? new SentenceModules(pooling, head, normalize, MaxSequenceLength: null, LowerCase: null)
            : throw modules[at].Fields.Wrong("type", "nothing more: what is supported is Transformer, Pooling, then at most one Dense, then at most one Normalize");

        string ConfigOf((JsonFields Fields, string Kind, string Path) module)
        {
            string path = Path.Combine(directory, module.Path, "config.json");
            return File.Exists(path) ? path : throw module.Fields.Wrong("path", "a folder that holds a config.json");
        }
    }

    private static Pooling ReadPooling(string path, int hiddenSize)
    {
        const string OldPrefix = "pooling_mode_";
        JsonFields fields = JsonFields.ReadObject(path);
        string sizeName = fields.Has("embedding_dimension") ? "embedding_dimension" : "word_embedding_dimension";
        if (fields.RequiredInteger(sizeName, 1, MaximumFeatures) != hiddenSize)
        {
            throw fields.Wrong(sizeName, $"{hiddenSize}, hidden_size of config.json");
        }

        List<string> modes = [];
        if (fields.Text("pooling_mode") is { } mode)
        {
            modes.Add(mode);
        }

        foreach (JsonProperty property in fields.Element.EnumerateObject())
        {
            if (property.Name.StartsWith(OldPrefix, StringComparison.Ordinal) && fields.Truth(property.Name) is true)
            {
                modes.Add(property.Name[OldPrefix.Length..]);
            }
        }

        return modes switch
        {
            ["cls"] or ["cls_token"] => Pooling.ClsBeforePooler,
            ["mean"] or ["mean_tokens"] => Pooling.Avg,
            [] => throw new InvalidDataException($"{path}: names no pooling mode; expected cls or mean"),
            [string one] => throw new InvalidDataException($"{path}: pooling mode {JsonFields.Quote(one)} is not supported; expected cls or mean"),
            _ => throw new InvalidDataException($"{path}: {modes.Count} pooling modes at once are not supported; expected one, cls or mean"),
        };
    }

    private static DenseHead ReadDense(string path, int hiddenSize)
    {
        JsonFields fields = JsonFields.ReadObject(path);
        int inFeatures = fields.RequiredInteger("in_features", 1, MaximumFeatures);
        int outFeatures = fields.RequiredInteger("out_features", 1, MaximumFeatures);
        if (inFeatures != hiddenSize)
        {
            throw fields.Wrong("in_features", $"{hiddenSize}, hidden_size of config.json");
        }

        foreach (string end in (ReadOnlySpan<string>)["module_input_name", "module_output_name"])
        {
            if (fields.Has(end) && fields.Text(end) is not "sentence_embedding")
            {
                throw fields.Wrong(end, "'sentence_embedding'");
            }
        }

        bool tanh = fields.Text("activation_function") switch
        {
            null or "torch.nn.modules.activation.Tanh" => true, // tanh is what sentence-transformers takes where the file is silent
            "torch.nn.modules.linear.Identity" => false,
            _ => throw fields.Wrong("activation_function", "'torch.nn.modules.activation.Tanh' or 'torch.nn.modules.linear.Identity'"),
        };
        using WeightFiles weights = WeightFiles.Open(Path.GetDirectoryName(path)!);
        return new DenseHead(
            inFeatures,
            outFeatures,
            ReadExactly(weights, "linear.weight", [outFeatures, inFeatures]),
            fields.Truth("bias") is false ? new float[outFeatures] : ReadExactly(weights, "linear.bias", [outFeatures]),
            tanh);
    }

    private static float[] ReadExactly(WeightFiles weights, string name, long[] shape)
    {
        (ITensorFile file, TensorEntry entry) = weights.Find(name) ?? throw new InvalidDataException($"{weights.Path}: tensor '{name}' is missing");
        TensorBytes.RequireFloat(file.Path, entry);
        if (!entry.Shape.AsSpan().SequenceEqual(shape))
        {
            throw new InvalidDataException($"{file.Path}: tensor '{name}' has shape {TensorTypes.Show(entry.Shape)}, expected {TensorTypes.Show(shape)} from config.json beside it");
        }

        float[] values = TensorBytes.NewArray(file.Path, entry);
        file.Read(entry, values);
        return values;
    }
}
