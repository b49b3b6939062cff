using SimCse.Checkpoints;
using SimCse.Tokenization;

namespace SimCse.Inference;

/// <summary>What a model's directory and the options together say about how texts become vectors.</summary>
/// <param name="Config">The encoder's sizes.</param>
/// <param name="Modules">What the directory stores of pooling; null where it stores nothing.</param>
/// <param name="Tokenizer">The directory's tokenizer.</param>
/// <param name="Pooling">Of token vectors.</param>
/// <param name="Head">The dense module after pooling, null for none.</param>
/// <param name="Normalize">Whether vectors are scaled to length one.</param>
/// <param name="Dimensions">The components of a vector.</param>
/// <param name="MaxLength">The tokens kept of a text, special ones included.</param>
internal sealed record EncoderSetup(EncoderConfig Config, SentenceModules? Modules, Tokenizer Tokenizer, Pooling Pooling, DenseHead? Head, bool Normalize, int Dimensions, int MaxLength)
{
    /// <summary>Reads the small files of a directory: everything but weights.</summary>
    /// <param name="directory">The model's directory.</param>
    /// <param name="loading">Its tokenizer, which is being loaded while the caller opens the model.</param>
    /// <param name="checkpoint">Its weights, opened; null where an ONNX file is in their place.</param>
    /// <param name="options">What was asked for.</param>
    /// <exception cref="InvalidDataException">As <see cref="SentenceEncoder.Load"/>.</exception>
    /// <exception cref="ArgumentOutOfRangeException">A length or a number of components that the model does not have.</exception>
    public static EncoderSetup Read(string directory, Task<Tokenizer> loading, Checkpoint? checkpoint, SentenceEncoderOptions options)
    {
        EncoderConfig config = checkpoint?.Config ?? ReadConfig(directory);
        SentenceModules? modules = checkpoint is null ? SentenceModulesFiles.Read(directory, config) : checkpoint.Modules;
        Pooling pooling = ChoosePooling(directory, modules, options);
        pooling.RequireLayers(config.Layers);
        DenseHead? head = ChooseHead(checkpoint, modules, pooling);
        bool normalize = options.Normalize ?? modules?.Normalize ?? false;
        Tokenizer tokenizer = loading.GetAwaiter().GetResult();
        if (tokenizer.VocabularySize > config.VocabularySize)
        {
            throw new InvalidDataException($"{directory}: the tokenizer has ids up to {tokenizer.VocabularySize - 1}, but config.json gives the model a vocabulary of {config.VocabularySize}");
        }

        int components = head?.OutFeatures ?? config.HiddenSize;
        if (options.Dimensions is { } asked && (asked < 1 || asked > components))
        {
            throw new ArgumentOutOfRangeException(nameof(options), asked, $"Dimensions must be from 1 to {components}, the components that the model gives");
        }

        int maxLength = ChooseMaxLength(directory, config, modules, tokenizer, options);
        return new EncoderSetup(config, modules, tokenizer, pooling, head, normalize, options.Dimensions ?? components, maxLength);
    }

    private static EncoderConfig ReadConfig(string directory)
    {
        string config = Path.Combine(directory, "config.json");
        return File.Exists(config) ? EncoderConfig.Load(config) : throw new FileNotFoundException($"{config}: missing; expected a model's directory as Hugging Face lays it out");
    }

    private static Pooling ChoosePooling(string directory, SentenceModules? modules, SentenceEncoderOptions options)
    {
        if (modules is null)
        {
            return options.Pooling ?? throw new InvalidDataException(
                $"{directory}: no pooling is stored with this model; give one with --pooling (SentenceEncoderOptions.Pooling in code): {string.Join(", ", PoolingNames.All)}");
        }

        if (options.Pooling is not { } pooling || pooling == modules.Pooling)
        {
            return modules.Pooling;
        }

        // Without a head the two names of [CLS] mean the same vector.
        bool same = modules.Head is null && IsFirstToken(pooling) && IsFirstToken(modules.Pooling);
        if (!same && !options.AllowOtherPooling)
        {
            throw new InvalidDataException(
                $"{directory}: this model is stored with the pooling '{modules.Pooling.ToName()}', not '{pooling.ToName()}'; set SentenceEncoderOptions.AllowOtherPooling to measure it with another");
        }

        return pooling;
    }

    private static bool IsFirstToken(Pooling pooling) => pooling is Pooling.Cls or Pooling.ClsBeforePooler;

    private static DenseHead? ChooseHead(Checkpoint? checkpoint, SentenceModules? modules, Pooling pooling)
    {
        if (pooling == Pooling.ClsBeforePooler)
        {
            return null;
        }

        if (modules is not null || checkpoint is null)
        {
            return pooling == modules?.Pooling ? modules.Head : null;
        }

        // A plain Hugging Face directory keeps its head as the model's pooler: so do the reference repository's published checkpoints.
        int h = checkpoint.Config.HiddenSize;
        return pooling == Pooling.Cls && checkpoint.Find($"{checkpoint.Prefix}pooler.dense.weight") is not null
            ? new DenseHead(h, h, ReadPooler(checkpoint, "weight", h, h), ReadPooler(checkpoint, "bias", h), Tanh: true)
            : null;
    }

    private static float[] ReadPooler(Checkpoint checkpoint, string part, params long[] shape)
    {
        string name = $"{checkpoint.Prefix}pooler.dense.{part}";
        return checkpoint.Find(name) is { } tensor && !tensor.Shape.SequenceEqual(shape)
            ? throw new InvalidDataException($"{checkpoint.Directory}: tensor '{name}' has shape [{string.Join(", ", tensor.Shape)}], expected [{string.Join(", ", shape)}]")
            : checkpoint.ReadTensor(name);
    }

    private static int ChooseMaxLength(string directory, EncoderConfig config, SentenceModules? modules, Tokenizer tokenizer, SentenceEncoderOptions options)
    {
        int special = tokenizer.Encode("").Ids.Length;
        if (special == 0)
        {
            throw new InvalidDataException($"{directory}: the tokenizer puts no special token around a text, so an empty text would have no vector; expected [CLS] or <s>");
        }

        int positions = config.MaxTokens;
        if (options.MaxLength is { } asked)
        {
            return asked > special && asked <= positions ? asked : throw new ArgumentOutOfRangeException(
                nameof(options), asked, $"MaxLength must be at least {special + 1}, the special tokens and one more, and at most {positions}, the positions that the model has");
        }

        int stored = Math.Min(positions, modules?.MaxSequenceLength ?? tokenizer.ModelMaxLength ?? positions);
        return stored > special ? stored : throw new InvalidDataException(
            $"{directory}: the model's files limit a text to {stored} tokens; expected at least {special + 1}, the special tokens and one more");
    }
}
