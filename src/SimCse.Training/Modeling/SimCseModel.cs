using SimCse.Checkpoints;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>When the MLP head (one linear layer of the hidden size, and tanh, over [CLS]) is part of the model.</summary>
public enum HeadUse
{
    /// <summary>No head: the pooled vector itself is trained.</summary>
    None,

    /// <summary>In training only, dropped at test: unsupervised SimCSE (<c>--mlp-only-train</c>).</summary>
    TrainingOnly,

    /// <summary>In training and at test: supervised SimCSE.</summary>
    Kept,
}

/// <summary>A sentence encoder that learns: encoder, pooling, the MLP head and, for the auxiliary objective, the masked-language head.</summary>
public sealed class SimCseModel : IDisposable
{
    private const string HeadWeight = "mlp.dense.weight", HeadBias = "mlp.dense.bias";
    private const string SecondPrefix = "second.";
    private const uint HeadPurpose = 1, SecondHeadPurpose = 7;

    private SimCseModel(EncoderConfig config, ParameterSet parameters, Pooling pooling, HeadUse head, Precision precision)
    {
        pooling.RequireLayers(config.Layers);
        Config = config;
        Parameters = parameters;
        Pooling = pooling;
        Head = head;
        Precision = precision;
        Encoder = NewEncoder(config, parameters, precision, "");
    }

    /// <summary>The encoder's shape.</summary>
    public EncoderConfig Config { get; }

    /// <summary>Everything that learns, by Hugging Face's names without prefix; the head is <c>mlp.dense.*</c>, as in the reference code.</summary>
    public ParameterSet Parameters { get; }

    /// <summary>How token vectors become a sentence vector in training.</summary>
    public Pooling Pooling { get; }

    /// <summary>When the MLP head is used.</summary>
    public HeadUse Head { get; }

    /// <summary>In which numbers the linear layers multiply.</summary>
    public Precision Precision { get; }

    /// <summary>The layers.</summary>
    public IEncoder Encoder { get; }

    /// <summary>The encoder of the second view where it has one of its own, see <see cref="AddSecondEncoder"/>; it is not part of the finished model.</summary>
    public IEncoder? SecondEncoder { get; private set; }

    /// <summary>How the finished model pools: what is stored with it.</summary>
    public Pooling FinalPooling => Pooling == Pooling.Cls && Head != HeadUse.Kept ? Pooling.ClsBeforePooler : Pooling;

    /// <summary>The masked-language head, where <see cref="AddMaskedLanguageHead"/> was called.</summary>
    public MaskedLanguageModeling? MaskedLanguage { get; private set; }

    /// <summary>
    /// A model that starts from a checkpoint. A new head is drawn from N(0, 0.02²) with bias 0, as in the reference; a head that the checkpoint keeps is gone on with.
    /// </summary>
    /// <param name="checkpoint">Where the encoder's weights come from.</param>
    /// <param name="config">The checkpoint's configuration, or the same with other dropout.</param>
    /// <param name="pooling">The pooling that is trained.</param>
    /// <param name="mlpOnlyTrain">For <see cref="Pooling.Cls"/>: whether the head is dropped at test.</param>
    /// <param name="seed">Draws the head.</param>
    /// <param name="precision">In which numbers the linear layers multiply.</param>
    /// <param name="device">Where the model lives; null for the CPU.</param>
    public static SimCseModel FromCheckpoint(
        Checkpoint checkpoint, EncoderConfig config, Pooling pooling, bool mlpOnlyTrain, long seed, Precision precision = Precision.Fp32, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(config);
        ParameterSet parameters = new(device);
        foreach (TensorEntry tensor in EncoderTensors.For(config))
        {
            parameters.Add(tensor.Name, checkpoint.ReadEncoderTensor(tensor.Name), tensor.Shape);
        }

        HeadUse head = pooling != Pooling.Cls ? HeadUse.None : mlpOnlyTrain ? HeadUse.TrainingOnly : HeadUse.Kept;
        SimCseModel model = new(config, parameters, pooling, head, precision);
        if (head != HeadUse.None)
        {
            int width = config.HiddenSize;
            DenseHead? stored = checkpoint.Modules?.Head;
            if (stored is not null && (stored.InFeatures != width || stored.OutFeatures != width || !stored.Tanh))
            {
                throw new InvalidDataException($"{checkpoint.Directory}: the stored head is {stored.InFeatures} to {stored.OutFeatures}{(stored.Tanh ? "" : " without tanh")}; training goes on only with {width} to {width} and tanh");
            }

            parameters.Add(HeadWeight, stored?.Weight ?? new CounterRandom(seed, HeadPurpose).Normal(width * width, 0.02), width, width);
            parameters.Add(HeadBias, stored?.Bias ?? new float[width], width);
        }

        return model;
    }

    /// <summary>
    /// A new encoder, drawn as BERT is: weights from N(0, r²) with r the config's initialiser range, biases 0, layer norms 1 and 0, the padding token's vector 0.
    /// </summary>
    public static SimCseModel FromConfig(EncoderConfig config, Pooling pooling, Precision precision, long seed)
    {
        ArgumentNullException.ThrowIfNull(config);
        ParameterSet parameters = new();
        uint purpose = 1000;
        foreach (TensorEntry tensor in EncoderTensors.For(config))
        {
            int count = checked((int)tensor.Shape.Aggregate(1L, (a, b) => a * b));
            float[] values = tensor.Name.EndsWith("LayerNorm.weight", StringComparison.Ordinal) ? [.. Enumerable.Repeat(1f, count)]
                : tensor.Name.EndsWith(".bias", StringComparison.Ordinal) ? new float[count]
                : new CounterRandom(seed, purpose).Normal(count, config.InitializerRange);
            if (string.Equals(tensor.Name, "embeddings.word_embeddings.weight", StringComparison.Ordinal))
            {
                values.AsSpan(config.PadTokenId * config.HiddenSize, config.HiddenSize).Clear();
            }

            parameters.Add(tensor.Name, values, tensor.Shape);
            purpose++;
        }

        return new SimCseModel(config, parameters, pooling, HeadUse.None, precision);
    }

    /// <summary>Adds the masked-language head, from the checkpoint where it has one and new otherwise.</summary>
    public void AddMaskedLanguageHead(MaskedLanguageHead? stored, long seed) => MaskedLanguage = MaskedLanguageModeling.Create(this, stored, seed);

    /// <summary>
    /// Gives the views after the first an encoder of their own, with weights (and a head, where the first has one) that start from the same checkpoint and learn apart: the dual encoder of Logeswaran and
    /// Lee (2018), the second column of the paper's table 2. The finished model is the first encoder.
    /// </summary>
    /// <param name="checkpoint">Where its weights come from.</param>
    /// <param name="seed">Draws its head.</param>
    public void AddSecondEncoder(Checkpoint checkpoint, long seed)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        foreach (TensorEntry tensor in EncoderTensors.For(Config))
        {
            Parameters.Add(SecondPrefix + tensor.Name, checkpoint.ReadEncoderTensor(tensor.Name), tensor.Shape);
        }

        if (Head != HeadUse.None)
        {
            int width = Config.HiddenSize;
            Parameters.Add(SecondPrefix + HeadWeight, new CounterRandom(seed, SecondHeadPurpose).Normal(width * width, 0.02), width, width);
            Parameters.Add(SecondPrefix + HeadBias, new float[width], width);
        }

        SecondEncoder = NewEncoder(Config, Parameters, Precision, SecondPrefix);
    }

    /// <summary>Says that these tokens' word embeddings have a gradient, in all encoders.</summary>
    internal void TouchTokens(ReadOnlySpan<int> ids)
    {
        Parameters.Touch(EncoderTensors.WordEmbeddings, ids);
        if (SecondEncoder is not null)
        {
            Parameters.Touch(SecondPrefix + EncoderTensors.WordEmbeddings, ids);
        }
    }

    /// <summary>The rows as a batch where the model lives.</summary>
    public PackedBatch Pack(IReadOnlyList<int[]> rows) => new(rows, Config.PositionOffset, Parameters.Device);

    /// <summary>Sentence vectors, (R, H), in the batch's order, with the head where it is part of the model at that time; without gradient.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="masks">The noise of the pass; null for none.</param>
    /// <param name="training">Whether this is a training pass, for a head that is used in training only.</param>
    /// <param name="second">Whether the <see cref="SecondEncoder"/> encodes.</param>
    public Tensor Represent(PackedBatch batch, DropoutMasks? masks, bool training, bool second = false)
    {
        using IDisposable noGradient = no_grad();
        return Vectors(Encode(batch, masks, forGradient: false, second), batch, training, second);
    }

    /// <summary>The same for a training step: the vectors, and the way back from them to the parameters.</summary>
    /// <param name="batch">The rows.</param>
    /// <param name="masks">The noise of the pass; null for none.</param>
    /// <param name="second">Whether the <see cref="SecondEncoder"/> encodes.</param>
    public Representation Represent(PackedBatch batch, DropoutMasks? masks, bool second = false)
    {
        EncoderPass pass = Encode(batch, masks, forGradient: true, second);
        return new Representation(Vectors(pass, batch, training: true, second), pass);
    }

    private static IEncoder NewEncoder(EncoderConfig config, ParameterSet parameters, Precision precision, string prefix) => parameters.Device.type == TorchSharp.DeviceType.CPU
        ? new NativeEncoder(config, parameters, precision, prefix)
        : new AutogradEncoder(config, parameters, precision, prefix);

    private EncoderPass Encode(PackedBatch batch, DropoutMasks? masks, bool forGradient, bool second) =>
        (second ? SecondEncoder! : Encoder).Forward(batch, masks, Pooling.HiddenStates(Config.Layers), Pooling.ReadsFirstTokenOnly(), forGradient);

    private Tensor Vectors(EncoderPass pass, PackedBatch batch, bool training, bool second)
    {
        string prefix = second ? SecondPrefix : "";
        Tensor pooled = Pooler.Pool(pass, batch, Pooling, Config.Layers); // (R, H)
        return Head == HeadUse.Kept || (Head == HeadUse.TrainingOnly && training)
            ? nn.functional.linear(pooled, Parameters[prefix + HeadWeight], Parameters[prefix + HeadBias]).tanh() // (R, H)
            : pooled;
    }

    /// <summary>The head as it is stored with the finished model; null where the model keeps none.</summary>
    public DenseHead? StoredHead() => Head == HeadUse.Kept
        ? new DenseHead(Config.HiddenSize, Config.HiddenSize, Parameters.Read(HeadWeight), Parameters.Read(HeadBias), Tanh: true)
        : null;

    /// <summary>
    /// The tensors of the model under the names that <paramref name="checkpoint"/> gives them: what was trained, stored as <paramref name="type"/>, and everything else as it was.
    /// </summary>
    public IReadOnlyList<TensorToWrite> TensorsFor(Checkpoint checkpoint, TensorType type = TensorType.F32)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        Dictionary<string, TensorToWrite> trained = EncoderTensors.For(Config)
            .Select(t => TensorToWrite.FromFloats(checkpoint.NameInFile(t.Name), t.Shape, () => Parameters.Read(t.Name), type))
            .ToDictionary(t => t.Entry.Name, StringComparer.Ordinal);
        foreach (TensorToWrite tensor in MaskedLanguage?.Tensors(type) ?? [])
        {
            trained[tensor.Entry.Name] = tensor;
        }

        // A copy of the decoder that the source holds would contradict the head that was trained.
        TensorEntry[] kept = [.. checkpoint.Tensors.Where(t => MaskedLanguage is null || trained.ContainsKey(t.Name) || !IsDecoder(t.Name))];
        HashSet<string> before = [.. kept.Select(t => t.Name)];
        return [.. kept.Select(t => trained.GetValueOrDefault(t.Name) ?? checkpoint.Unchanged(t.Name)), .. trained.Values.Where(t => !before.Contains(t.Entry.Name))];

        static bool IsDecoder(string name) => name.Contains("cls.predictions.decoder.", StringComparison.Ordinal) || name.Contains("lm_head.decoder.", StringComparison.Ordinal);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Encoder.Dispose();
        SecondEncoder?.Dispose();
        Parameters.Dispose();
    }
}

/// <summary>The vectors of a batch in training.</summary>
public sealed class Representation
{
    private readonly EncoderPass _pass;

    internal Representation(Tensor vectors, EncoderPass pass)
    {
        Vectors = vectors;
        _pass = pass;
    }

    /// <summary>(R, H), in the batch's order.</summary>
    public Tensor Vectors { get; }

    /// <summary>Adds to the parameters' gradients what follows from that of the vectors.</summary>
    /// <param name="gradient">∂ℓ/∂vectors, (R, H).</param>
    /// <param name="layerDone">As for <see cref="EncoderPass.Backward"/>.</param>
    public void Backward(Tensor gradient, Action<int>? layerDone = null)
    {
        Vectors.backward([gradient]);
        _pass.Backward(layerDone);
    }
}
