using SimCse.Checkpoints;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace SimCse.Bench.Plain;

// BERT as Hugging Face's transformers 4.2 has it, the version that the SimCSE repository pins (models/bert/modeling_bert.py), module by
// module and in its order of operations: padded batch, additive mask, separate query, key and value layers, softmax, libtorch's dropout.
// Each forward has a dispose scope of its own, which frees what Python's reference counts would free at that point.

/// <summary>Word, position and token-type embeddings, layer norm, dropout.</summary>
internal sealed class BertEmbeddings : Module<Tensor, Tensor, Tensor>
{
    private readonly Embedding _wordEmbeddings, _positionEmbeddings, _tokenTypeEmbeddings;
    private readonly LayerNorm _layerNorm;
    private readonly Dropout _dropout;

    public BertEmbeddings(EncoderConfig config)
        : base(nameof(BertEmbeddings))
    {
        _wordEmbeddings = Embedding(config.VocabularySize, config.HiddenSize, padding_idx: config.PadTokenId);
        _positionEmbeddings = Embedding(config.MaxPositions, config.HiddenSize);
        _tokenTypeEmbeddings = Embedding(config.TokenTypes, config.HiddenSize);
        _layerNorm = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        _dropout = Dropout(config.HiddenDropout);
        register_module("word_embeddings", _wordEmbeddings);
        register_module("position_embeddings", _positionEmbeddings);
        register_module("token_type_embeddings", _tokenTypeEmbeddings);
        register_module("LayerNorm", _layerNorm);
        register_module("dropout", _dropout);
    }

    public override Tensor forward(Tensor inputIds, Tensor tokenTypeIds)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor positionIds = arange(inputIds.shape[1], dtype: ScalarType.Int64).unsqueeze(0); // (1, L)
        Tensor inputsEmbeds = _wordEmbeddings.call(inputIds); // (R, L, H)
        Tensor tokenTypeEmbeddings = _tokenTypeEmbeddings.call(tokenTypeIds); // (R, L, H)
        Tensor embeddings = inputsEmbeds + tokenTypeEmbeddings;
        Tensor positionEmbeddings = _positionEmbeddings.call(positionIds); // (1, L, H)
        embeddings = embeddings + positionEmbeddings;
        embeddings = _layerNorm.call(embeddings);
        embeddings = _dropout.call(embeddings);
        return embeddings.MoveToOuterDisposeScope();
    }
}

/// <summary>Multi-head self-attention up to the context vectors.</summary>
internal sealed class BertSelfAttention : Module<Tensor, Tensor, Tensor>
{
    private readonly long _heads, _headSize;
    private readonly Linear _query, _key, _value;
    private readonly Dropout _dropout;

    public BertSelfAttention(EncoderConfig config)
        : base(nameof(BertSelfAttention))
    {
        _heads = config.Heads;
        _headSize = config.HiddenSize / config.Heads;
        _query = Linear(config.HiddenSize, config.HiddenSize);
        _key = Linear(config.HiddenSize, config.HiddenSize);
        _value = Linear(config.HiddenSize, config.HiddenSize);
        _dropout = Dropout(config.AttentionDropout);
        register_module("query", _query);
        register_module("key", _key);
        register_module("value", _value);
        register_module("dropout", _dropout);
    }

    public override Tensor forward(Tensor hiddenStates, Tensor attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor queryLayer = TransposeForScores(_query.call(hiddenStates)); // (R, A, L, D)
        Tensor keyLayer = TransposeForScores(_key.call(hiddenStates)); // (R, A, L, D)
        Tensor valueLayer = TransposeForScores(_value.call(hiddenStates)); // (R, A, L, D)
        Tensor attentionScores = queryLayer.matmul(keyLayer.transpose(-1, -2)); // (R, A, L, L)
        attentionScores = attentionScores / Math.Sqrt(_headSize);
        attentionScores = attentionScores + attentionMask;
        Tensor attentionProbs = functional.softmax(attentionScores, dim: -1);
        attentionProbs = _dropout.call(attentionProbs);
        Tensor contextLayer = attentionProbs.matmul(valueLayer); // (R, A, L, D)
        contextLayer = contextLayer.permute(0, 2, 1, 3).contiguous(); // (R, L, A, D)
        contextLayer = contextLayer.view(contextLayer.shape[0], contextLayer.shape[1], _heads * _headSize); // (R, L, H)
        return contextLayer.MoveToOuterDisposeScope();
    }

    private Tensor TransposeForScores(Tensor x) =>
        x.view(x.shape[0], x.shape[1], _heads, _headSize).permute(0, 2, 1, 3); // (R, A, L, D)
}

/// <summary>Linear, dropout, residual, layer norm: behind the attention (BertSelfOutput) and behind the feed-forward layer (BertOutput).</summary>
internal sealed class BertResidualOutput : Module<Tensor, Tensor, Tensor>
{
    private readonly Linear _dense;
    private readonly LayerNorm _layerNorm;
    private readonly Dropout _dropout;

    public BertResidualOutput(EncoderConfig config, int inputSize)
        : base(nameof(BertResidualOutput))
    {
        _dense = Linear(inputSize, config.HiddenSize);
        _layerNorm = LayerNorm(config.HiddenSize, eps: config.LayerNormEpsilon);
        _dropout = Dropout(config.HiddenDropout);
        register_module("dense", _dense);
        register_module("LayerNorm", _layerNorm);
        register_module("dropout", _dropout);
    }

    public override Tensor forward(Tensor hiddenStates, Tensor inputTensor)
    {
        using DisposeScope scope = NewDisposeScope();
        hiddenStates = _dense.call(hiddenStates); // (R, L, H)
        hiddenStates = _dropout.call(hiddenStates);
        hiddenStates = _layerNorm.call(hiddenStates + inputTensor);
        return hiddenStates.MoveToOuterDisposeScope();
    }
}

/// <summary>Self-attention and its output.</summary>
internal sealed class BertAttention : Module<Tensor, Tensor, Tensor>
{
    private readonly BertSelfAttention _self;
    private readonly BertResidualOutput _output;

    public BertAttention(EncoderConfig config)
        : base(nameof(BertAttention))
    {
        _self = new BertSelfAttention(config);
        _output = new BertResidualOutput(config, config.HiddenSize);
        register_module("self", _self);
        register_module("output", _output);
    }

    public override Tensor forward(Tensor hiddenStates, Tensor attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor context = _self.call(hiddenStates, attentionMask); // (R, L, H)
        return _output.call(context, hiddenStates).MoveToOuterDisposeScope();
    }
}

/// <summary>The widening half of the feed-forward layer, with the exact (erf) GELU.</summary>
internal sealed class BertIntermediate : Module<Tensor, Tensor>
{
    private readonly Linear _dense;

    public BertIntermediate(EncoderConfig config)
        : base(nameof(BertIntermediate))
    {
        _dense = Linear(config.HiddenSize, config.IntermediateSize);
        register_module("dense", _dense);
    }

    public override Tensor forward(Tensor hiddenStates)
    {
        using DisposeScope scope = NewDisposeScope();
        hiddenStates = _dense.call(hiddenStates); // (R, L, I)
        return functional.gelu(hiddenStates).MoveToOuterDisposeScope();
    }
}

/// <summary>One layer: attention, then feed-forward.</summary>
internal sealed class BertLayer : Module<Tensor, Tensor, Tensor>
{
    private readonly BertAttention _attention;
    private readonly BertIntermediate _intermediate;
    private readonly BertResidualOutput _output;

    public BertLayer(EncoderConfig config)
        : base(nameof(BertLayer))
    {
        _attention = new BertAttention(config);
        _intermediate = new BertIntermediate(config);
        _output = new BertResidualOutput(config, config.IntermediateSize);
        register_module("attention", _attention);
        register_module("intermediate", _intermediate);
        register_module("output", _output);
    }

    public override Tensor forward(Tensor hiddenStates, Tensor attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor attentionOutput = _attention.call(hiddenStates, attentionMask); // (R, L, H)
        Tensor intermediateOutput = _intermediate.call(attentionOutput); // (R, L, I)
        return _output.call(intermediateOutput, attentionOutput).MoveToOuterDisposeScope();
    }
}

/// <summary>The stack of layers; its one child is named as in a checkpoint, <c>layer.0</c>, <c>layer.1</c> and so on.</summary>
internal sealed class BertEncoder : Module<Tensor, Tensor, Tensor>
{
    private readonly ModuleList<BertLayer> _layer;

    public BertEncoder(EncoderConfig config)
        : base(nameof(BertEncoder))
    {
        _layer = ModuleList(Enumerable.Range(0, config.Layers).Select(_ => new BertLayer(config)).ToArray());
        register_module("layer", _layer);
    }

    public override Tensor forward(Tensor hiddenStates, Tensor attentionMask)
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (BertLayer layer in _layer)
        {
            hiddenStates = layer.call(hiddenStates, attentionMask); // (R, L, H)
        }

        return hiddenStates.MoveToOuterDisposeScope();
    }
}

/// <summary>Embeddings and encoder, without BERT's own pooler (<c>add_pooling_layer=False</c>).</summary>
internal sealed class BertModel : Module<Tensor, Tensor, Tensor, Tensor>
{
    private readonly BertEmbeddings _embeddings;
    private readonly BertEncoder _encoder;

    public BertModel(EncoderConfig config)
        : base(nameof(BertModel))
    {
        _embeddings = new BertEmbeddings(config);
        _encoder = new BertEncoder(config);
        register_module("embeddings", _embeddings);
        register_module("encoder", _encoder);
    }

    public override Tensor forward(Tensor inputIds, Tensor attentionMask, Tensor tokenTypeIds)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor extendedAttentionMask = attentionMask.unsqueeze(1).unsqueeze(2).to(ScalarType.Float32); // (R, 1, 1, L)
        extendedAttentionMask = (1.0 - extendedAttentionMask) * -10000.0;
        Tensor embeddingOutput = _embeddings.call(inputIds, tokenTypeIds); // (R, L, H)
        return _encoder.call(embeddingOutput, extendedAttentionMask).MoveToOuterDisposeScope(); // (R, L, H)
    }
}
