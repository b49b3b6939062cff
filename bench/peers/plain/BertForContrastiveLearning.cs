using SimCse.Checkpoints;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace SimCse.Bench.Plain;

/// <summary>
/// <c>BertForCL</c> of princeton-nlp/SimCSE at 49fa580 (simcse/models.py), pooler <c>cls</c>: the flattened batch through the encoder
/// once, [CLS] through the MLP head, cosine similarity over temperature, cross entropy; a hard negative's logits join as further columns.
/// </summary>
public sealed class BertForContrastiveLearning : Module<Tensor, Tensor, Tensor, (Tensor Loss, Tensor Logits)>
{
    private readonly BertModel _bert;
    private readonly MlpLayer _mlp;
    private readonly CosineSimilarity _cos;
    private readonly CrossEntropyLoss _lossFct;
    private readonly double _temperature, _hardNegativeWeight;

    /// <summary>The encoder's weights from <paramref name="checkpoint"/>, by their Hugging Face names; the head's as given.</summary>
    /// <param name="checkpoint">An open checkpoint of the BERT family.</param>
    /// <param name="config">The checkpoint's config, or the same with other dropout probabilities.</param>
    /// <param name="headWeight">H × H, row-major (out, in).</param>
    /// <param name="headBias">H.</param>
    /// <param name="temperature">τ.</param>
    /// <param name="hardNegativeWeight">ln α, added to the logit of one's own hard negative.</param>
    public BertForContrastiveLearning(Checkpoint checkpoint, EncoderConfig config, float[] headWeight, float[] headBias, double temperature = 0.05, double hardNegativeWeight = 0)
        : base(nameof(BertForContrastiveLearning))
    {
        if (config.Family != ModelFamily.Bert)
        {
            throw new InvalidDataException($"{checkpoint.Directory}: the peer is BERT's step; this is a model of the {config.Family} family");
        }

        _temperature = temperature;
        _hardNegativeWeight = hardNegativeWeight;
        _bert = new BertModel(config);
        _mlp = new MlpLayer(config);
        _cos = CosineSimilarity(dim: -1);
        _lossFct = CrossEntropyLoss();
        register_module("bert", _bert);
        register_module("mlp", _mlp);

        using (no_grad())
        {
            foreach ((string name, Parameter parameter) in _bert.named_parameters())
            {
                Fill(parameter, checkpoint.ReadEncoderTensor(name));
            }

            Fill(_mlp.get_parameter("dense.weight")!, headWeight);
            Fill(_mlp.get_parameter("dense.bias")!, headBias);
        }

        train();
    }

    /// <summary>Loss and logits of one batch.</summary>
    /// <param name="inputIds">(N, n, L): N sentences, n = 2 views, or 3 with a hard negative, padded to L tokens.</param>
    /// <param name="attentionMask">(N, n, L): 1 for a token, 0 for padding.</param>
    /// <param name="tokenTypeIds">(N, n, L).</param>
    public override (Tensor Loss, Tensor Logits) forward(Tensor inputIds, Tensor attentionMask, Tensor tokenTypeIds)
    {
        using DisposeScope scope = NewDisposeScope();
        long batchSize = inputIds.shape[0], numSent = inputIds.shape[1];
        inputIds = inputIds.view(-1, inputIds.shape[2]); // (R, L), R = N n
        attentionMask = attentionMask.view(-1, attentionMask.shape[2]); // (R, L)
        tokenTypeIds = tokenTypeIds.view(-1, tokenTypeIds.shape[2]); // (R, L)

        Tensor lastHidden = _bert.call(inputIds, attentionMask, tokenTypeIds); // (R, L, H)
        Tensor poolerOutput = lastHidden[TensorIndex.Colon, 0]; // (R, H)
        poolerOutput = poolerOutput.view(batchSize, numSent, poolerOutput.shape[1]); // (N, n, H)
        poolerOutput = _mlp.call(poolerOutput);

        Tensor z1 = poolerOutput[TensorIndex.Colon, 0], z2 = poolerOutput[TensorIndex.Colon, 1]; // (N, H) each
        Tensor cosSim = _cos.call(z1.unsqueeze(1), z2.unsqueeze(0)) / _temperature; // (N, N)
        if (numSent == 3)
        {
            Tensor z3 = poolerOutput[TensorIndex.Colon, 2]; // (N, H)
            Tensor z1z3Cos = _cos.call(z1.unsqueeze(1), z3.unsqueeze(0)) / _temperature; // (N, N)
            Tensor weights = cat([zeros_like(cosSim), eye(batchSize) * _hardNegativeWeight], 1); // (N, 2N)
            cosSim = cat([cosSim, z1z3Cos], 1) + weights; // (N, 2N)
        }

        Tensor labels = arange(batchSize, dtype: ScalarType.Int64);
        Tensor loss = _lossFct.call(cosSim, labels);
        return (loss.MoveToOuterDisposeScope(), cosSim.MoveToOuterDisposeScope());
    }

    private static void Fill(Tensor parameter, float[] values)
    {
        using Tensor source = tensor(values, parameter.shape);
        parameter.copy_(source);
    }
}

/// <summary>The head over [CLS]: one linear layer and tanh (<c>MLPLayer</c>).</summary>
internal sealed class MlpLayer : Module<Tensor, Tensor>
{
    private readonly Linear _dense;

    public MlpLayer(EncoderConfig config)
        : base(nameof(MlpLayer))
    {
        _dense = Linear(config.HiddenSize, config.HiddenSize);
        register_module("dense", _dense);
    }

    public override Tensor forward(Tensor features)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor x = _dense.call(features);
        return x.tanh().MoveToOuterDisposeScope();
    }
}
