namespace SimCse.Checkpoints;

/// <summary>
/// A model's directory as Hugging Face lays it out: <c>config.json</c>, the weights (safetensors or PyTorch's pickle, whole or in shards) and, where they are,
/// the files of sentence-transformers. Opening it checks everything that can be checked without reading values; tensors are read on request, from any thread.
/// </summary>
public sealed class Checkpoint : IDisposable
{
    private readonly WeightFiles _weights;

    private Checkpoint(string directory, EncoderConfig config, WeightFiles weights)
    {
        Directory = directory;
        Config = config;
        _weights = weights;
        Prefix = FindPrefix();
        CheckEncoder();
        HasMaskedLanguageHead = CheckMaskedLanguageHead();
        Modules = SentenceModulesFiles.Read(directory, config);
    }

    /// <summary>The directory, as it was given to <see cref="Open"/>.</summary>
    public string Directory { get; }

    /// <summary>The encoder's sizes and constants.</summary>
    public EncoderConfig Config { get; }

    /// <summary>What stands before the encoder's tensor names in the files: <c>bert.</c>, <c>roberta.</c>, nothing, or another (<c>model.</c>, …).</summary>
    public string Prefix { get; }

    /// <summary>All tensors of the weight files, the encoder's and any others.</summary>
    public IReadOnlyList<TensorEntry> Tensors => _weights.Tensors;

    /// <summary>Whether the weights have a masked-language head (<c>cls.predictions.*</c> or <c>lm_head.*</c>).</summary>
    public bool HasMaskedLanguageHead { get; }

    /// <summary>Pooling, head and normalisation, from sentence-transformers' files (of version 2 or 6) or our own marker; null where the directory is a plain encoder.</summary>
    public SentenceModules? Modules { get; }

    /// <summary>Whether a directory holds weights: safetensors or PyTorch's, whole or in shards. One that holds an ONNX file alone does not.</summary>
    public static bool HasWeights(string directory) => WeightFiles.Exist(directory);

    /// <summary>Opens a directory: reads the configuration and the weights' headers, and checks that every tensor of the encoder is there with its right shape.</summary>
    /// <param name="directory">A directory with <c>config.json</c> and weights.</param>
    /// <exception cref="InvalidDataException">A file is damaged, contradicts another, or asks for something that is not supported; the message names the file, and what was expected.</exception>
    /// <exception cref="IOException">A file is missing or cannot be read.</exception>
    public static Checkpoint Open(string directory)
    {
        ArgumentNullException.ThrowIfNull(directory);
        if (!System.IO.Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException($"{directory}: no such directory");
        }

        string config = Path.Combine(directory, "config.json");
        if (!File.Exists(config))
        {
            throw new FileNotFoundException($"{config}: missing; expected a model's directory as Hugging Face lays it out");
        }

        EncoderConfig parsed = EncoderConfig.Load(config);
        WeightFiles weights = WeightFiles.Open(directory);
        Checkpoint? opened = null;
        try
        {
            opened = new Checkpoint(directory, parsed, weights);
            return opened;
        }
        finally
        {
            if (opened is null)
            {
                weights.Dispose();
            }
        }
    }

    /// <summary>Reads a tensor by its name in the file, as float32, row-major.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is not of a float type.</exception>
    public float[] ReadTensor(string nameInFile)
    {
        (ITensorFile file, TensorEntry entry) = Require(nameInFile);
        float[] values = TensorBytes.NewArray(file.Path, entry);
        file.Read(entry, values);
        return values;
    }

    /// <summary>Reads a tensor by its name in the file, as float32, row-major, into memory of the caller's.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is not of a float type.</exception>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is not as long as the tensor.</exception>
    public void ReadTensor(string nameInFile, Span<float> destination)
    {
        (ITensorFile file, TensorEntry entry) = Require(nameInFile);
        if (destination.Length != entry.Count)
        {
            throw new ArgumentException($"tensor '{nameInFile}' has {entry.Count} elements, not {destination.Length}", nameof(destination));
        }

        file.Read(entry, destination);
    }

    /// <summary>Reads a tensor of the encoder by its name without prefix (see <see cref="EncoderTensors"/>), as float32, row-major.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is not of a float type.</exception>
    public float[] ReadEncoderTensor(string name) => ReadTensor(NameInFile(name));

    /// <summary>
    /// The name in the file of an encoder's tensor: the prefix before it, and <c>LayerNorm.gamma</c>, <c>LayerNorm.beta</c> where the file is of the time when
    /// layer normalisation's weight and bias were called so.
    /// </summary>
    public string NameInFile(string name)
    {
        string full = Prefix + name;
        if (_weights.Find(full) is null)
        {
            string old = full.Replace(".LayerNorm.weight", ".LayerNorm.gamma", StringComparison.Ordinal).Replace(".LayerNorm.bias", ".LayerNorm.beta", StringComparison.Ordinal);
            if (_weights.Find(old) is not null)
            {
                return old;
            }
        }

        return full;
    }

    /// <summary>The tensor of that name in the file, null where there is none.</summary>
    public TensorEntry? Find(string nameInFile) => _weights.Find(nameInFile)?.Entry;

    /// <summary>A tensor of this checkpoint for <see cref="CheckpointWriter"/> or <see cref="SafetensorsFile.Write"/>, as it is stored, bit for bit. This checkpoint must stay open until it is written.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name.</exception>
    public TensorToWrite Unchanged(string nameInFile)
    {
        (ITensorFile file, TensorEntry entry) = RequireAny(nameInFile);
        return TensorToWrite.From(file, entry);
    }

    /// <summary>
    /// The masked-language head; null where there is none. Its decoder's weight is the word embeddings where the configuration ties them (a copy in the file is then
    /// ignored, as transformers does), and is read from the file where it does not.
    /// </summary>
    /// <exception cref="InvalidDataException">A tensor of the head is not of a float type.</exception>
    public MaskedLanguageHead? ReadMaskedLanguageHead()
    {
        if (!HasMaskedLanguageHead)
        {
            return null;
        }

        string[] names = [.. EncoderTensors.ForMaskedLanguageHead(Config).Select(t => HeadNameInFile(t.Name)!)];
        float[]? decoder = Config.TieWordEmbeddings ? null : ReadTensor(DecoderWeight);
        return new MaskedLanguageHead(ReadTensor(names[0]), ReadTensor(names[1]), ReadTensor(names[2]), ReadTensor(names[3]), ReadTensor(names[4]), decoder);
    }

    /// <summary>SHA-256 of the weights in lower-case hexadecimal: of the file's bytes, or of all shards' bytes in the order of their names (<c>cat model-*.safetensors | sha256sum</c>).</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public string HashWeights(CancellationToken cancellationToken = default) => _weights.Hash(cancellationToken);

    /// <inheritdoc/>
    public void Dispose() => _weights.Dispose();

    private string DecoderName => Config.Family == ModelFamily.Roberta ? "lm_head.decoder" : "cls.predictions.decoder";

    private string DecoderWeight => HeadPrefix + DecoderName + ".weight";

    /// <summary>What stands before <c>cls.</c> or <c>lm_head.</c>: the encoder's prefix without its last part.</summary>
    private string HeadPrefix => Prefix[..(Prefix.TrimEnd('.').LastIndexOf('.') + 1)];

    private string FindPrefix()
    {
        string[] prefixes = [.. Tensors.Select(t => t.Name).Where(n => n.EndsWith(EncoderTensors.WordEmbeddings, StringComparison.Ordinal))
            .Select(n => n[..^EncoderTensors.WordEmbeddings.Length]).Where(p => p.Length == 0 || p[^1] == '.')];
        string own = Config.Family == ModelFamily.Roberta ? "roberta." : "bert.";
        string foreign = Config.Family == ModelFamily.Roberta ? "bert." : "roberta.";
        string prefix = prefixes switch
        {
            [] => throw new InvalidDataException($"{_weights.Path}: tensor '{EncoderTensors.WordEmbeddings}' is missing, with and without a prefix such as '{own}'"),
            [string one] => one,
            _ => Array.Find(prefixes, p => p.Equals(own, StringComparison.Ordinal)) ?? Array.Find(prefixes, p => p.Length == 0)
                ?? throw new InvalidDataException($"{_weights.Path}: holds {prefixes.Length} encoders ({string.Join(", ", prefixes.Take(4).Select(JsonFields.Quote))}), expected one, or one of them to be called '{own}'"),
        };
        return prefix.Equals(foreign, StringComparison.Ordinal)
            ? throw new InvalidDataException($"{_weights.Path}: tensors are called '{foreign}…', but config.json says that the model is '{own.TrimEnd('.')}'")
            : prefix;
    }

    private void CheckEncoder()
    {
        long bytes = 0;
        foreach (TensorEntry expected in EncoderTensors.For(Config))
        {
            string name = NameInFile(expected.Name);
            (ITensorFile file, TensorEntry entry) = _weights.Find(name) is null
                ? throw new InvalidDataException($"{_weights.Path}: tensor {JsonFields.Quote(name)} of shape {TensorTypes.Show(expected.Shape)} is missing, which config.json calls for")
                : Require(name);
            CheckShape(file, entry, expected.Shape);
            bytes += entry.Count * entry.Type.Size();
        }

        // In a pickle many tensors may be views of one small storage: legal, but no encoder's, and memory for them all is more than the file justifies.
        if (bytes > _weights.TotalLength)
        {
            throw new InvalidDataException($"{_weights.Path}: the encoder's tensors have {bytes} bytes together, more than the {_weights.TotalLength} of the file: they share storage");
        }
    }

    private bool CheckMaskedLanguageHead()
    {
        TensorEntry[] head = [.. EncoderTensors.ForMaskedLanguageHead(Config)];
        if (Array.TrueForAll(head, t => HeadNameInFile(t.Name) is null))
        {
            return false;
        }

        foreach (TensorEntry expected in head)
        {
            (ITensorFile file, TensorEntry entry) = Require(HeadNameInFile(expected.Name) ?? HeadPrefix + expected.Name);
            CheckShape(file, entry, expected.Shape);
        }

        if (!Config.TieWordEmbeddings)
        {
            (ITensorFile file, TensorEntry entry) = Require(DecoderWeight);
            CheckShape(file, entry, [Config.VocabularySize, Config.HiddenSize]);
        }

        return true;
    }

    /// <summary>The head's bias goes by two names, which are one tensor in memory; files hold either or both.</summary>
    private string? HeadNameInFile(string name)
    {
        string full = HeadPrefix + name;
        string other = name.Equals(EncoderTensors.HeadNames(Config.Family).Bias, StringComparison.Ordinal)
            ? HeadPrefix + DecoderName + ".bias"
            : full.Replace("LayerNorm.weight", "LayerNorm.gamma", StringComparison.Ordinal).Replace("LayerNorm.bias", "LayerNorm.beta", StringComparison.Ordinal);
        return _weights.Find(full) is not null ? full : _weights.Find(other) is not null ? other : null;
    }

    private static void CheckShape(ITensorFile file, TensorEntry entry, long[] expected)
    {
        if (!entry.Shape.AsSpan().SequenceEqual(expected))
        {
            throw new InvalidDataException($"{file.Path}: tensor {JsonFields.Quote(entry.Name)} has shape {TensorTypes.Show(entry.Shape)}, expected {TensorTypes.Show(expected)} from config.json");
        }
    }

    private (ITensorFile File, TensorEntry Entry) Require(string nameInFile)
    {
        (ITensorFile file, TensorEntry entry) = RequireAny(nameInFile);
        TensorBytes.RequireFloat(file.Path, entry);
        return (file, entry);
    }

    private (ITensorFile File, TensorEntry Entry) RequireAny(string nameInFile) =>
        _weights.Find(nameInFile) ?? throw new InvalidDataException($"{_weights.Path}: tensor {JsonFields.Quote(nameInFile)} is missing");
}
