using SimCse.Checkpoints;
using SimCse.Training.Kernels;
using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// The encoder on the CPU, its forward and its backward written out by hand over memory that every step uses again: the arithmetic of <see cref="AutogradEncoder"/>, to rounding.
/// </summary>
/// <remarks>
/// Tokens are packed, rows of the batch are dealt out to the threads in blocks of whole rows, and a block goes through a layer while it is in the cache. What the backward needs of a layer is
/// Q, K, V, the context, the two sums before the layer norms and the feed-forward's input: (10 + I/H − 4)·T·H floats; everything else (probabilities, masks, normalised rows, GELU) is computed
/// again. The gradients of weights are products over all tokens, dealt out by rows of the weight, each summed in one order: no result depends on the number of threads.
/// </remarks>
internal sealed unsafe class NativeEncoder : IEncoder
{
    private const int BlockTokens = 256, BlockRows = 36;

    private readonly EncoderConfig _config;
    private readonly ParameterSet _parameters;
    private readonly string _prefix;
    private readonly Precision _precision;
    private readonly int _width, _inner;
    private readonly float _epsilon;
    private readonly SelfAttention _attention;
    private readonly LayerWeights[] _weights;
    private readonly LayerMemory[] _memory;
    private readonly NativeBuffer _hidden = new(), _firstHidden = new(), _gradient = new(), _firstGradient = new(), _dContext = new(), _embedded = new(), _embeddedStatistics = new(), _normPartials = new();
    private readonly WeightGradients _weightGradients;
    private WorkerMemory[] _workers = [];
    private Pass? _pass;

    /// <summary>An encoder over the tensors that <see cref="EncoderTensors"/> names, on the CPU.</summary>
    /// <param name="config">The shape.</param>
    /// <param name="parameters">Read, and given gradients, at every pass.</param>
    /// <param name="precision">In which numbers the linear layers multiply; attention is float32 either way.</param>
    /// <param name="prefix">What stands before the names of its tensors in the set.</param>
    public NativeEncoder(EncoderConfig config, ParameterSet parameters, Precision precision, string prefix = "")
    {
        if (precision == Precision.Bf16 && (config.HiddenSize % 2 != 0 || config.IntermediateSize % 2 != 0))
        {
            throw new ArgumentException($"bfloat16 products need even sizes; this model has hidden size {config.HiddenSize} and intermediate size {config.IntermediateSize}", nameof(config));
        }

        _config = config;
        _parameters = parameters;
        _prefix = prefix;
        _precision = precision;
        _width = config.HiddenSize;
        _inner = config.IntermediateSize;
        _epsilon = (float)config.LayerNormEpsilon;
        _attention = new SelfAttention(config.Heads, _width / config.Heads, config.AttentionDropout);
        _weights = [.. Enumerable.Range(0, config.Layers).Select(l => new LayerWeights(parameters, prefix + EncoderTensors.LayerPrefix(l), config, precision))];
        _memory = [.. Enumerable.Range(0, config.Layers).Select(_ => new LayerMemory())];
        _weightGradients = new WeightGradients(precision);
        parameters.FollowRows(prefix + EncoderTensors.WordEmbeddings);
    }

    /// <inheritdoc/>
    public EncoderPass Forward(PackedBatch batch, DropoutMasks? masks, IReadOnlyCollection<int> layers, bool lastLayerAtFirstToken, bool forGradient)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ArgumentNullException.ThrowIfNull(layers);
        Pass pass = new(batch, masks, lastLayerAtFirstToken);
        _pass = forGradient ? pass : null;
        Reserve(pass, forGradient);
        foreach (LayerWeights layer in _weights)
        {
            layer.Locate();
        }

        PackForward();
        Dictionary<int, Tensor> hidden = [];
        float* x = _hidden.Floats((long)pass.Tokens * _width);
        WorkerThreads.Run(pass.Blocks.Length, (block, worker) => Embed(pass, pass.Blocks[block], x, worker));
        Keep(0, x, pass.Tokens);
        for (int layer = 0; layer < _config.Layers; layer++)
        {
            int l = layer;
            LayerMemory memory = _memory[forGradient ? l : 0];
            if (lastLayerAtFirstToken && l == _config.Layers - 1)
            {
                float* first = _firstHidden.Floats((long)pass.Rows * _width);
                WorkerThreads.Run(pass.Blocks.Length, (block, worker) => AttendAtFirst(pass, pass.Blocks[block], l, memory, x, first, worker));
                WorkerThreads.Run(pass.RowBlocks.Length, (block, worker) => Transform(pass, pass.RowBlocks[block], l, memory, first, worker));
                Keep(l + 1, first, pass.Rows);
            }
            else
            {
                WorkerThreads.Run(pass.Blocks.Length, (block, worker) =>
                {
                    Attend(pass, pass.Blocks[block], l, memory, x, worker);
                    Transform(pass, pass.Blocks[block].Positions, l, memory, x, worker);
                });
                Keep(l + 1, x, pass.Tokens);
            }
        }

        return new EncoderPass(hidden, lastLayerAtFirstToken, forGradient ? (gradients, layerDone) => Backward(pass, gradients, layerDone) : null);

        void Keep(int layer, float* values, int rows)
        {
            if (layers.Contains(layer))
            {
                Tensor state = empty(rows, _width); // (T, H), or (R, H)
                new ReadOnlySpan<float>(values, checked(rows * _width)).CopyTo(state.Floats());
                hidden.Add(layer, state.requires_grad_(forGradient));
            }
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (NativeBuffer buffer in (ReadOnlySpan<NativeBuffer>)[_hidden, _firstHidden, _gradient, _firstGradient, _dContext, _embedded, _embeddedStatistics, _normPartials])
        {
            buffer.Dispose();
        }

        foreach (IDisposable memory in _weights.Concat<IDisposable>(_memory).Concat(_workers))
        {
            memory.Dispose();
        }

        _weightGradients.Dispose();
    }

    // ---- forward ----

    private void Embed(Pass pass, Block block, float* x, int worker)
    {
        float* words = Values(EncoderTensors.WordEmbeddings), positions = Values(EncoderTensors.PositionEmbeddings), type = Values(EncoderTensors.TokenTypeEmbeddings);
        float* gamma = Values("embeddings.LayerNorm.weight"), beta = Values("embeddings.LayerNorm.bias");
        float* statistics = _embeddedStatistics.Floats(2L * pass.Tokens), mask = _workers[worker].Mask(_width);
        for (int t = block.FirstToken; t < block.EndToken; t++)
        {
            float* row = x + ((long)t * _width);
            Sum(pass, t, words, positions, type, row);
            LayerNorm.Measure(row, _width, _epsilon, statistics + (2L * t));
            LayerNorm.Apply(row, _width, statistics + (2L * t), gamma, beta, row);
            if (HiddenMask(pass, t, false, 0, mask) is var factors && factors is not null)
            {
                LayerNorm.Drop(row, factors, _width, row);
            }
        }
    }

    /// <summary>word + position + token type 0: there is one segment.</summary>
    private void Sum(Pass pass, int token, float* words, float* positions, float* type, float* row)
    {
        float* word = words + ((long)pass.Batch.IdValues[token] * _width), position = positions + ((long)pass.Batch.PositionValues[token] * _width);
        for (int i = 0; i < _width; i++)
        {
            row[i] = word[i] + position[i] + type[i];
        }
    }

    /// <summary>Queries, keys, values and the context of a block's tokens.</summary>
    private void Attend(Pass pass, Block block, int layer, LayerMemory memory, float* x, int worker)
    {
        LayerWeights weights = _weights[layer];
        int n = block.Tokens, wide = 3 * _width;
        float* qkv = memory.Qkv.Floats(0) + ((long)block.FirstToken * wide), context = memory.Context.Floats(0) + ((long)block.FirstToken * _width);
        (nint left, int stride) = Left(x + ((long)block.FirstToken * _width), n, _width, worker);
        Linear(weights.Query, left, stride, n, qkv, wide);
        Linear(weights.Key, left, stride, n, qkv + _width, wide);
        Linear(weights.Value, left, stride, n, qkv + (2 * _width), wide);
        float* scratch = _workers[worker].Attention(_attention.Scratch(block.Longest));
        int token = 0;
        for (int row = block.FirstRow; row < block.EndRow; row++)
        {
            int length = pass.Lengths[row];
            SelfAttention.Rows q = new(qkv + ((long)token * wide), wide);
            _attention.Forward(q, length, q.At(_width), q.At(2 * _width), length, pass.AttentionNoise(layer, row), new(context + ((long)token * _width), _width), scratch);
            token += length;
        }
    }

    /// <summary>The same where only the first token of each row asks.</summary>
    private void AttendAtFirst(Pass pass, Block block, int layer, LayerMemory memory, float* x, float* first, int worker)
    {
        LayerWeights weights = _weights[layer];
        int n = block.Tokens, wide = 3 * _width;
        float* qkv = memory.Qkv.Floats(0) + ((long)block.FirstToken * wide), context = memory.Context.Floats(0), query = memory.FirstQuery.Floats(0);
        (nint left, int stride) = Left(x + ((long)block.FirstToken * _width), n, _width, worker);
        Linear(weights.Key, left, stride, n, qkv + _width, wide);
        Linear(weights.Value, left, stride, n, qkv + (2 * _width), wide);
        for (int row = block.FirstRow; row < block.EndRow; row++)
        {
            Copy(x + ((long)pass.Batch.FirstTokens[row] * _width), first + ((long)row * _width), _width);
        }

        long at = (long)block.FirstRow * _width;
        (left, stride) = Left(first + at, block.Rows, _width, worker);
        Linear(weights.Query, left, stride, block.Rows, query + at, _width);
        float* scratch = _workers[worker].Attention(_attention.Scratch(block.Longest));
        for (int row = block.FirstRow, token = 0; row < block.EndRow; row++)
        {
            int length = pass.Lengths[row];
            SelfAttention.Rows k = new(qkv + ((long)token * wide) + _width, wide);
            _attention.Forward(new(query + ((long)row * _width), _width), 1, k, k.At(_width), length, pass.AttentionNoise(layer, row), new(context + ((long)row * _width), _width), scratch);
            token += length;
        }
    }

    /// <summary>From the context of some positions to the layer's output there: projection, norm, feed-forward, norm. <paramref name="x"/> has the layer's input and receives its output.</summary>
    private void Transform(Pass pass, Positions at, int layer, LayerMemory memory, float* x, int worker)
    {
        LayerWeights weights = _weights[layer];
        int n = at.Count;
        bool first = at.AreRows;
        float* input = x + ((long)at.First * _width), sum1 = memory.Sum1.Floats(0) + ((long)at.First * _width), sum2 = memory.Sum2.Floats(0) + ((long)at.First * _width);
        float* inner = memory.Inner.Floats(0) + ((long)at.First * _inner), statistics1 = memory.Statistics1.Floats(0) + (2L * at.First), statistics2 = memory.Statistics2.Floats(0) + (2L * at.First);
        float* mask = _workers[worker].Mask(_width), middle = _workers[worker].Narrow((long)n * _width), activated = _workers[worker].Wide((long)n * _inner);

        (nint left, int stride) = Left(memory.Context.Floats(0) + ((long)at.First * _width), n, _width, worker);
        Product(weights.Projection, left, stride, n, sum1, _width);
        for (int i = 0; i < n; i++)
        {
            float* row = sum1 + ((long)i * _width);
            LayerNorm.AddDropped(row, weights.Projection.Bias, HiddenMask(pass, at.First + i, first, (3 * layer) + 2, mask), input + ((long)i * _width), _width);
            LayerNorm.Measure(row, _width, _epsilon, statistics1 + (2L * i));
            LayerNorm.Apply(row, _width, statistics1 + (2L * i), weights.Gamma1, weights.Beta1, middle + ((long)i * _width));
        }

        (left, stride) = Left(middle, n, _width, worker);
        Product(weights.Widen, left, stride, n, inner, _inner);
        for (int i = 0; i < n; i++)
        {
            Gelu.Forward(inner + ((long)i * _inner), weights.Widen.Bias, _inner, activated + ((long)i * _inner));
        }

        (left, stride) = Left(activated, n, _inner, worker);
        Product(weights.Contract, left, stride, n, sum2, _width);
        for (int i = 0; i < n; i++)
        {
            float* row = sum2 + ((long)i * _width);
            LayerNorm.AddDropped(row, weights.Contract.Bias, HiddenMask(pass, at.First + i, first, (3 * layer) + 3, mask), middle + ((long)i * _width), _width);
            LayerNorm.Measure(row, _width, _epsilon, statistics2 + (2L * i));
            LayerNorm.Apply(row, _width, statistics2 + (2L * i), weights.Gamma2, weights.Beta2, input + ((long)i * _width));
        }
    }

    // ---- backward ----

    private void Backward(Pass pass, IReadOnlyDictionary<int, Tensor> gradients, Action<int>? layerDone)
    {
        if (!ReferenceEquals(pass, _pass))
        {
            throw new InvalidOperationException("another pass has taken the memory of this one");
        }

        _pass = null;
        PackBackward();
        int last = _config.Layers;
        float* d = _gradient.Floats((long)pass.Tokens * _width);
        bool any = false; // whether d holds anything yet
        if (pass.LastAtFirst)
        {
            float* dFirst = _firstGradient.Floats((long)pass.Rows * _width);
            if (gradients.TryGetValue(last, out Tensor? atFirst))
            {
                atFirst.contiguous().Floats().CopyTo(new Span<float>(dFirst, pass.Rows * _width));
                LayerAtFirst(pass, last - 1, dFirst, d);
                any = true;
            }

            layerDone?.Invoke(last);
            last--;
        }

        for (int layer = last; layer > 0; layer--)
        {
            any |= Gather(layer, any);
            if (any)
            {
                Layer(pass, layer - 1, d);
            }

            layerDone?.Invoke(layer);
        }

        if (any | Gather(0, any))
        {
            EmbedBackward(pass, d);
        }

        bool Gather(int layer, bool add)
        {
            if (!gradients.TryGetValue(layer, out Tensor? gradient))
            {
                return false;
            }

            ReadOnlySpan<float> values = gradient.contiguous().Floats();
            Span<float> target = new(d, values.Length);
            if (add)
            {
                System.Numerics.Tensors.TensorPrimitives.Add(target, values, target);
            }
            else
            {
                values.CopyTo(target);
            }

            return true;
        }
    }

    private void Layer(Pass pass, int layer, float* d)
    {
        int wide = 3 * _width;
        LayerMemory memory = _memory[layer];
        LayerWeights weights = _weights[layer];
        float* partials = ClearedPartials(pass.Blocks.Length);
        WeightGradient query = new(weights.Query, pass.Blocks, wide), key = new(weights.Key, pass.Blocks, wide), value = new(weights.Value, pass.Blocks, wide);
        WeightGradient projection = new(weights.Projection, pass.Blocks, _width), widen = new(weights.Widen, pass.Blocks, _inner), contract = new(weights.Contract, pass.Blocks, _width);
        _weightGradients.Reserve([projection, widen, contract], pass.Tokens);
        float* dQkv = _weightGradients.Reserve(query, key, value, pass.Tokens);
        WorkerThreads.Run(pass.Blocks.Length, (item, worker) =>
        {
            Block block = pass.Blocks[item];
            TransformBackward(pass, block.Positions, item, layer, memory, d, projection, widen, contract, partials + ((long)item * 4 * _width), worker);

            float* qkv = memory.Qkv.Floats(0) + ((long)block.FirstToken * wide), dBlock = dQkv + ((long)block.FirstToken * wide), dContext = _dContext.Floats(0) + ((long)block.FirstToken * _width);
            float* scratch = _workers[worker].Attention(_attention.Scratch(block.Longest));
            for (int row = block.FirstRow, token = 0; row < block.EndRow; row++)
            {
                int length = pass.Lengths[row];
                SelfAttention.Rows q = new(qkv + ((long)token * wide), wide), dq = new(dBlock + ((long)token * wide), wide);
                _attention.Backward(q, length, q.At(_width), q.At(2 * _width), length, pass.AttentionNoise(layer, row), new(dContext + ((long)token * _width), _width), dq, dq.At(_width), dq.At(2 * _width), scratch);
                token += length;
            }

            // dx: what came past the attention is in d already
            (nint left, int stride) = Left(dBlock, block.Tokens, wide, worker);
            MatrixProduct.Multiply(_precision, block.Tokens, (float*)left, stride, 1, weights.QkvBackward, MatrixProduct.DepthWords(wide, _precision), d + ((long)block.FirstToken * _width), _width, accumulate: true);
            float* input = _workers[worker].Narrow((long)block.Tokens * _width);
            LayerInput(pass, block.FirstToken, block.Tokens, layer, input, worker);
            _weightGradients.Pack(query, item, input, _width);
        });
        key.ShareInput(query);
        value.ShareInput(query);
        _weightGradients.Run([widen, contract, query, key, value, projection]);
        AddPartials(partials, pass.Blocks.Length, layer);
    }

    /// <summary>The last layer where only [CLS] was read: from (R, H) to (T, H).</summary>
    private void LayerAtFirst(Pass pass, int layer, float* dFirst, float* d)
    {
        int wide = 3 * _width;
        LayerMemory memory = _memory[layer];
        LayerWeights weights = _weights[layer];
        float* partials = ClearedPartials(pass.RowBlocks.Length);
        WeightGradient projection = new(weights.Projection, pass.RowBlocks, _width), widen = new(weights.Widen, pass.RowBlocks, _inner), contract = new(weights.Contract, pass.RowBlocks, _width);
        WeightGradient query = new(weights.Query, pass.Blocks.Select(b => new Positions(b.FirstRow, b.Rows, true)), _width), key = new(weights.Key, pass.Blocks, wide), value = new(weights.Value, pass.Blocks, wide);
        _weightGradients.Reserve([projection, widen, contract, query], pass.Rows);
        float* dQkv = _weightGradients.Reserve(null, key, value, pass.Tokens);
        WorkerThreads.Run(pass.RowBlocks.Length, (item, worker) =>
            TransformBackward(pass, pass.RowBlocks[item], item, layer, memory, dFirst, projection, widen, contract, partials + ((long)item * 4 * _width), worker));
        WorkerThreads.Run(pass.Blocks.Length, (item, worker) =>
        {
            Block block = pass.Blocks[item];
            float* qkv = memory.Qkv.Floats(0) + ((long)block.FirstToken * wide), dBlock = dQkv + ((long)block.FirstToken * wide);
            float* scratch = _workers[worker].Attention(_attention.Scratch(block.Longest));
            for (int row = block.FirstRow, token = 0; row < block.EndRow; row++)
            {
                int length = pass.Lengths[row];
                long at = (long)row * _width;
                SelfAttention.Rows k = new(qkv + ((long)token * wide) + _width, wide), dk = new(dBlock + ((long)token * wide) + _width, wide);
                _attention.Backward(new(memory.FirstQuery.Floats(0) + at, _width), 1, k, k.At(_width), length, pass.AttentionNoise(layer, row),
                    new(_dContext.Floats(0) + at, _width), new(query.Output + at, _width), dk, dk.At(_width), scratch);
                token += length;
            }

            (nint left, int stride) = Left(dBlock + _width, block.Tokens, 2 * _width, worker, wide);
            int words = MatrixProduct.DepthWords(_width, _precision);
            Panels keyAndValue = new(weights.QkvBackward.Data + ((nint)words * Panels.Width), weights.QkvBackward.PanelStride, Panels.Width, _width);
            MatrixProduct.Multiply(_precision, block.Tokens, (float*)left, stride, 1, keyAndValue, 2 * words, d + ((long)block.FirstToken * _width), _width, accumulate: false);
            float* input = _workers[worker].Narrow((long)block.Tokens * _width);
            LayerInput(pass, block.FirstToken, block.Tokens, layer, input, worker);
            _weightGradients.Pack(key, item, input, _width);

            float* atFirst = _workers[worker].Wide((long)block.Rows * _width);
            for (int row = block.FirstRow; row < block.EndRow; row++)
            {
                Copy(input + ((long)(pass.Batch.FirstTokens[row] - block.FirstToken) * _width), atFirst + ((long)(row - block.FirstRow) * _width), _width);
            }

            _weightGradients.Pack(query, item, atFirst, _width);

            // the gradient of the first tokens as queries, and past the attention
            float* dRows = dFirst + ((long)block.FirstRow * _width);
            (left, stride) = Left(query.Output + ((long)block.FirstRow * _width), block.Rows, _width, worker);
            Panels ofQuery = new(weights.QkvBackward.Data, weights.QkvBackward.PanelStride, Panels.Width, _width);
            MatrixProduct.Multiply(_precision, block.Rows, (float*)left, stride, 1, ofQuery, words, dRows, _width, accumulate: true);
            for (int row = block.FirstRow; row < block.EndRow; row++)
            {
                float* from = dFirst + ((long)row * _width), to = d + ((long)pass.Batch.FirstTokens[row] * _width);
                for (int i = 0; i < _width; i++)
                {
                    to[i] += from[i];
                }
            }
        });
        value.ShareInput(key);
        _weightGradients.Run([key, value, widen, contract, projection, query]);
        AddPartials(partials, pass.RowBlocks.Length, layer);
    }

    /// <summary>From the gradient of a layer's output at some positions to that of the context (into _dContext) and, in its place, that of the layer's input past the attention.</summary>
    private void TransformBackward(
        Pass pass, Positions at, int item, int layer, LayerMemory memory, float* d, WeightGradient projection, WeightGradient widen, WeightGradient contract, float* partials, int worker)
    {
        LayerWeights weights = _weights[layer];
        int n = at.Count;
        bool first = at.AreRows;
        float* dRows = d + ((long)at.First * _width), sum1 = memory.Sum1.Floats(0) + ((long)at.First * _width), sum2 = memory.Sum2.Floats(0) + ((long)at.First * _width);
        float* inner = memory.Inner.Floats(0) + ((long)at.First * _inner), statistics1 = memory.Statistics1.Floats(0) + (2L * at.First), statistics2 = memory.Statistics2.Floats(0) + (2L * at.First);
        float* dContract = contract.Output + ((long)at.First * _width), dWiden = widen.Output + ((long)at.First * _inner), dProjection = projection.Output + ((long)at.First * _width);
        float* mask = _workers[worker].Mask(_width), narrow = _workers[worker].Narrow((long)n * _width), activated = _workers[worker].Wide((long)n * _inner);
        for (int i = 0; i < n; i++)
        {
            float* row = dRows + ((long)i * _width);
            LayerNorm.Backward(sum2 + ((long)i * _width), _width, statistics2 + (2L * i), weights.Gamma2, row, partials + (2 * _width), partials + (3 * _width));
            LayerNorm.Drop(row, HiddenMask(pass, at.First + i, first, (3 * layer) + 3, mask), _width, dContract + ((long)i * _width));
        }

        (nint left, int stride) = Left(dContract, n, _width, worker);
        MatrixProduct.Multiply(_precision, n, (float*)left, stride, 1, weights.Contract.Backward, MatrixProduct.DepthWords(_width, _precision), dWiden, _inner, accumulate: false);
        for (int i = 0; i < n; i++)
        {
            Gelu.Backward(inner + ((long)i * _inner), _inner, dWiden + ((long)i * _inner), activated + ((long)i * _inner));
        }

        _weightGradients.Pack(contract, item, activated, _inner);
        (left, stride) = Left(dWiden, n, _inner, worker);
        MatrixProduct.Multiply(_precision, n, (float*)left, stride, 1, weights.Widen.Backward, MatrixProduct.DepthWords(_inner, _precision), dRows, _width, accumulate: true);
        for (int i = 0; i < n; i++)
        {
            float* row = dRows + ((long)i * _width), sum = sum1 + ((long)i * _width);
            LayerNorm.Apply(sum, _width, statistics1 + (2L * i), weights.Gamma1, weights.Beta1, narrow + ((long)i * _width));
            LayerNorm.Backward(sum, _width, statistics1 + (2L * i), weights.Gamma1, row, partials, partials + _width);
            LayerNorm.Drop(row, HiddenMask(pass, at.First + i, first, (3 * layer) + 2, mask), _width, dProjection + ((long)i * _width));
        }

        _weightGradients.Pack(widen, item, narrow, _width);
        (left, stride) = Left(dProjection, n, _width, worker);
        MatrixProduct.Multiply(_precision, n, (float*)left, stride, 1, weights.Projection.Backward, MatrixProduct.DepthWords(_width, _precision), _dContext.Floats(0) + ((long)at.First * _width), _width, accumulate: false);
        _weightGradients.Pack(projection, item, memory.Context.Floats(0) + ((long)at.First * _width), _width);
    }

    /// <summary>A layer's input at some tokens, computed again from what the layer below has kept.</summary>
    private void LayerInput(Pass pass, int firstToken, int tokens, int layer, float* input, int worker)
    {
        if (layer > 0)
        {
            LayerMemory below = _memory[layer - 1];
            float* sum = below.Sum2.Floats(0), statistics = below.Statistics2.Floats(0);
            for (int i = 0; i < tokens; i++)
            {
                LayerNorm.Apply(sum + ((long)(firstToken + i) * _width), _width, statistics + (2L * (firstToken + i)), _weights[layer - 1].Gamma2, _weights[layer - 1].Beta2, input + ((long)i * _width));
            }
        }
        else
        {
            Embed(pass, new Block(0, 0, firstToken, tokens, 0), input - ((long)firstToken * _width), worker);
        }
    }

    private void EmbedBackward(Pass pass, float* d)
    {
        float* words = Values(EncoderTensors.WordEmbeddings), positions = Values(EncoderTensors.PositionEmbeddings), type = Values(EncoderTensors.TokenTypeEmbeddings);
        float* gamma = Values("embeddings.LayerNorm.weight");
        float* partials = ClearedPartials(pass.Blocks.Length), statistics = _embeddedStatistics.Floats(0);
        WorkerThreads.Run(pass.Blocks.Length, (item, worker) =>
        {
            float* row = _workers[worker].Narrow(_width), mask = _workers[worker].Mask(_width), ofBlock = partials + ((long)item * 4 * _width);
            for (int t = pass.Blocks[item].FirstToken; t < pass.Blocks[item].EndToken; t++)
            {
                float* dRow = d + ((long)t * _width);
                LayerNorm.Drop(dRow, HiddenMask(pass, t, false, 0, mask), _width, dRow);
                Sum(pass, t, words, positions, type, row);
                LayerNorm.Backward(row, _width, statistics + (2L * t), gamma, dRow, ofBlock, ofBlock + _width);
            }
        });
        AddPartials(partials, pass.Blocks.Length, 0, "embeddings.LayerNorm");

        // Each thread has columns of its own and adds the tokens in their order.
        float* dWords = Gradients(EncoderTensors.WordEmbeddings), dPositions = Gradients(EncoderTensors.PositionEmbeddings), dType = Gradients(EncoderTensors.TokenTypeEmbeddings);
        _parameters.Touch(_prefix + EncoderTensors.WordEmbeddings, pass.Batch.IdValues);
        const int Columns = 64;
        WorkerThreads.Run((_width + Columns - 1) / Columns, (item, _) =>
        {
            int from = item * Columns, to = Math.Min(from + Columns, _width);
            for (int t = 0; t < pass.Tokens; t++)
            {
                float* row = d + ((long)t * _width), word = dWords + ((long)pass.Batch.IdValues[t] * _width), position = dPositions + ((long)pass.Batch.PositionValues[t] * _width);
                for (int i = from; i < to; i++)
                {
                    word[i] += row[i];
                    position[i] += row[i];
                    dType[i] += row[i];
                }
            }
        });
    }

    /// <summary>Room for the norms' gradients of each block, zero: those of the block's first norm and of its second, H values each.</summary>
    private float* ClearedPartials(int blocks)
    {
        float* partials = _normPartials.Floats((long)blocks * 4 * _width);
        new Span<float>(partials, blocks * 4 * _width).Clear();
        return partials;
    }

    private float* Values(string name) => _parameters.Values(_prefix + name);

    private float* Gradients(string name) => _parameters.Gradients(_prefix + name);

    private void AddPartials(float* partials, int blocks, int start, string name)
    {
        float* gamma = Gradients(name + ".weight"), beta = Gradients(name + ".bias");
        for (int block = 0; block < blocks; block++)
        {
            float* of = partials + ((((long)block * 4) + start) * _width);
            for (int i = 0; i < _width; i++)
            {
                gamma[i] += of[i];
                beta[i] += of[_width + i];
            }
        }
    }

    private void AddPartials(float* partials, int blocks, int layer)
    {
        AddPartials(partials, blocks, 0, EncoderTensors.LayerPrefix(layer) + "attention.output.LayerNorm");
        AddPartials(partials, blocks, 2, EncoderTensors.LayerPrefix(layer) + "output.LayerNorm");
    }

    // ---- pieces ----

    /// <summary>The dropout factors of a token's (or, of first tokens, a row's) hidden values at a site; null where nothing is dropped.</summary>
    private float* HiddenMask(Pass pass, int position, bool first, int site, float* memory)
    {
        if (pass.Masks is null || _config.HiddenDropout == 0)
        {
            return null;
        }

        (int row, long start) = first ? (position, 0) : (pass.RowOf[position], (long)(position - pass.Batch.FirstTokens[pass.RowOf[position]]) * _width);
        pass.Masks.Fill(memory, _config.HiddenDropout, site, pass.Batch.Order[row], start, _width);
        return memory;
    }

    /// <summary>Y = X Wᵀ + b.</summary>
    private void Linear(LinearWeights linear, nint left, int stride, int rows, float* y, int yStride)
    {
        Product(linear, left, stride, rows, y, yStride);
        for (int i = 0; i < rows; i++)
        {
            Span<float> row = new(y + ((long)i * yStride), linear.Outputs);
            System.Numerics.Tensors.TensorPrimitives.Add(row, new ReadOnlySpan<float>(linear.Bias, linear.Outputs), row);
        }
    }

    /// <summary>Y = X Wᵀ.</summary>
    private void Product(LinearWeights linear, nint left, int stride, int rows, float* y, int yStride) =>
        MatrixProduct.Multiply(_precision, rows, (float*)left, stride, 1, linear.Forward, MatrixProduct.DepthWords(linear.Inputs, _precision), y, yStride, accumulate: false);

    /// <summary>Rows as a product's left-hand side: as they are in float32, rounded into the worker's memory in bfloat16.</summary>
    private (nint Words, int Stride) Left(float* x, int rows, int columns, int worker, int stride = 0)
    {
        stride = stride == 0 ? columns : stride;
        if (_precision == Precision.Fp32)
        {
            return ((nint)x, stride);
        }

        int words = MatrixProduct.DepthWords(columns, _precision);
        float* target = _workers[worker].Words((long)rows * words);
        MatrixProduct.ToBf16(x, stride, rows, columns, target, words);
        return ((nint)target, words);
    }

    private static void Copy(float* from, float* to, int count) => new ReadOnlySpan<float>(from, count).CopyTo(new Span<float>(to, count));

    private void Reserve(Pass pass, bool forGradient)
    {
        if (_workers.Length < WorkerThreads.Count)
        {
            _workers = [.. _workers, .. Enumerable.Range(_workers.Length, WorkerThreads.Count - _workers.Length).Select(_ => new WorkerMemory())];
        }

        _embeddedStatistics.Floats(2L * pass.Tokens);
        _dContext.Floats(forGradient ? (long)pass.Tokens * _width : 0);
        for (int layer = 0; layer < (forGradient ? _config.Layers : Math.Min(1, _config.Layers)); layer++)
        {
            bool first = pass.LastAtFirst && layer == _config.Layers - 1;
            _memory[layer].Reserve(pass.Tokens, first ? pass.Rows : pass.Tokens, _width, _inner, pass.LastAtFirst ? pass.Rows : 0);
        }
    }

    private void PackForward() => Pack([.. _weights.SelectMany(w => w.All)], (linear, worker) => linear.PackForward(_parameters.Version, _workers[worker].Words));

    private void PackBackward() => Pack([.. _weights], (layer, _) => layer.PackBackward(_parameters.Version));

    private static void Pack<T>(T[] items, Action<T, int> pack) => WorkerThreads.Run(items.Length, (item, worker) => pack(items[item], worker));

    /// <summary>Positions whose hidden values are transformed together: tokens, or rows where only first tokens are read.</summary>
    internal readonly record struct Positions(int First, int Count, bool AreRows);

    /// <summary>Whole rows that one thread takes through a layer.</summary>
    internal readonly record struct Block(int FirstRow, int Rows, int FirstToken, int Tokens, int Longest)
    {
        public int EndRow => FirstRow + Rows;

        public int EndToken => FirstToken + Tokens;

        public Positions Positions => new(FirstToken, Tokens, AreRows: false);
    }

    /// <summary>One batch on its way through the encoder.</summary>
    private sealed class Pass
    {
        public Pass(PackedBatch batch, DropoutMasks? masks, bool lastAtFirst)
        {
            Batch = batch;
            Masks = masks;
            LastAtFirst = lastAtFirst;
            Lengths = [.. batch.TokenParts.Select(p => p.Length)];
            RowOf = new int[batch.Tokens];
            for (int row = 0, token = 0; row < Lengths.Length; row++)
            {
                RowOf.AsSpan(token, Lengths[row]).Fill(row);
                token += Lengths[row];
            }

            // As many as make about BlockTokens each, an even number where there are several: by the batch alone, so that sums over blocks are the same on any number of threads.
            int count = batch.Tokens <= BlockTokens ? 1 : 2 * ((batch.Tokens + (2 * BlockTokens) - 1) / (2 * BlockTokens));
            List<Block> blocks = [];
            for (int row = 0, token = 0; row < Lengths.Length;)
            {
                int firstRow = row, firstToken = token;
                long end = (long)batch.Tokens * (blocks.Count + 1) / count;
                do
                {
                    token += Lengths[row++];
                }
                while (row < Lengths.Length && token + (Lengths[row] / 2) <= end);

                blocks.Add(new Block(firstRow, row - firstRow, firstToken, token - firstToken, Lengths[row - 1])); // rows are in order of length
            }

            Blocks = [.. blocks];
            int rowBlocks = (Rows + BlockRows - 1) / BlockRows;
            RowBlocks = [.. Enumerable.Range(0, rowBlocks).Select(b => (First: Rows * b / rowBlocks, End: Rows * (b + 1) / rowBlocks)).Select(b => new Positions(b.First, b.End - b.First, AreRows: true))];
        }

        public PackedBatch Batch { get; }

        public DropoutMasks? Masks { get; }

        public bool LastAtFirst { get; }

        public int Tokens => Batch.Tokens;

        public int Rows => Batch.Rows;

        /// <summary>Tokens of each row, in packed order.</summary>
        public int[] Lengths { get; }

        /// <summary>The packed row of each token.</summary>
        public int[] RowOf { get; }

        public Block[] Blocks { get; }

        public Positions[] RowBlocks { get; }

        public SelfAttention.Noise AttentionNoise(int layer, int row) => new(Masks, (3 * layer) + 1, Batch.Order[row]);
    }

    /// <summary>What a layer keeps for its gradient.</summary>
    private sealed class LayerMemory : IDisposable
    {
        public NativeBuffer Qkv { get; } = new();

        public NativeBuffer FirstQuery { get; } = new();

        public NativeBuffer Context { get; } = new();

        public NativeBuffer Sum1 { get; } = new();

        public NativeBuffer Sum2 { get; } = new();

        public NativeBuffer Inner { get; } = new();

        public NativeBuffer Statistics1 { get; } = new();

        public NativeBuffer Statistics2 { get; } = new();

        public void Reserve(int tokens, int positions, int width, int inner, int firstQueries)
        {
            Qkv.Floats(3L * tokens * width);
            FirstQuery.Floats((long)firstQueries * width);
            Context.Floats((long)positions * width);
            Sum1.Floats((long)positions * width);
            Sum2.Floats((long)positions * width);
            Inner.Floats((long)positions * inner);
            Statistics1.Floats(2L * positions);
            Statistics2.Floats(2L * positions);
        }

        public void Dispose()
        {
            foreach (NativeBuffer buffer in (ReadOnlySpan<NativeBuffer>)[Qkv, FirstQuery, Context, Sum1, Sum2, Inner, Statistics1, Statistics2])
            {
                buffer.Dispose();
            }
        }
    }

    /// <summary>What a thread needs for a block.</summary>
    private sealed class WorkerMemory : IDisposable
    {
        private readonly NativeBuffer _mask = new(), _narrow = new(), _wide = new(), _words = new(), _attention = new();

        public float* Mask(long count) => _mask.Floats(count);

        public float* Narrow(long count) => _narrow.Floats(count);

        public float* Wide(long count) => _wide.Floats(count);

        public float* Words(long count) => _words.Floats(count);

        public float* Attention(long count) => _attention.Floats(count);

        public void Dispose()
        {
            foreach (NativeBuffer buffer in (ReadOnlySpan<NativeBuffer>)[_mask, _narrow, _wide, _words, _attention])
            {
                buffer.Dispose();
            }
        }
    }
}
