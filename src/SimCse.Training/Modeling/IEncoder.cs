using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>
/// The encoder of BERT and RoBERTa (Devlin et al. 2019; Liu et al. 2019) over packed rows, with Hugging Face's arithmetic: exact (erf) GELU, post-layer-norm, dropout on the embeddings,
/// the attention probabilities and both sub-layer outputs.
/// </summary>
public interface IEncoder : IDisposable
{
    /// <summary>Runs a batch through all layers.</summary>
    /// <param name="batch">R rows, T tokens.</param>
    /// <param name="masks">The noise of this pass; null in evaluation.</param>
    /// <param name="layers">Whose hidden states are read: 0 is the output of the embeddings, l that of layer l. The last layer is always among them.</param>
    /// <param name="lastLayerAtFirstToken">Where nothing of the last layer is read but [CLS]: its queries, projections and feed-forward are then computed there alone, (R, H).</param>
    /// <param name="forGradient">Whether <see cref="EncoderPass.Backward"/> will be called; it must be, or given up, before the next pass.</param>
    EncoderPass Forward(PackedBatch batch, DropoutMasks? masks, IReadOnlyCollection<int> layers, bool lastLayerAtFirstToken, bool forGradient);
}

/// <summary>
/// What an encoder gave of a batch: hidden states in the batch's packed order, (T, H) each, the last (R, H) where only [CLS] was asked for. They are leaves: autograd gathers on
/// them the gradient of what is computed from them, and <see cref="Backward"/> takes it on through the encoder.
/// </summary>
public sealed class EncoderPass
{
    private readonly IReadOnlyDictionary<int, Tensor> _hidden;
    private readonly Action<IReadOnlyDictionary<int, Tensor>, Action<int>?>? _backward;

    internal EncoderPass(IReadOnlyDictionary<int, Tensor> hidden, bool lastIsFirstTokenOnly, Action<IReadOnlyDictionary<int, Tensor>, Action<int>?>? backward)
    {
        _hidden = hidden;
        LastIsFirstTokenOnly = lastIsFirstTokenOnly;
        _backward = backward;
    }

    /// <summary>Whether the last layer's hidden states are those of the first tokens alone.</summary>
    public bool LastIsFirstTokenOnly { get; }

    /// <summary>The hidden states of a layer that was asked for.</summary>
    public Tensor Hidden(int layer) => _hidden[layer];

    /// <summary>Adds to the gradients of the encoder's parameters what follows from the gradients that the hidden states have.</summary>
    /// <param name="layerDone">Told each layer, 1 … layers, whose parameters have their gradient, last layer first, while those below are still to come; not every encoder does so.</param>
    /// <exception cref="InvalidOperationException">The pass was not made for a gradient.</exception>
    public void Backward(Action<int>? layerDone = null)
    {
        if (_backward is null)
        {
            throw new InvalidOperationException("the pass was made without a gradient in mind");
        }

        Dictionary<int, Tensor> gradients = _hidden.Where(h => h.Value.grad is not null).ToDictionary(h => h.Key, h => h.Value.grad!);
        _backward(gradients, layerDone);
    }
}
