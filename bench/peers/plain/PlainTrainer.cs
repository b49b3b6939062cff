using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Bench.Plain;

/// <summary>
/// The training loop's body as Hugging Face's Trainer runs it for the SimCSE repository: forward, backward, gradient norm clipped to 1,
/// AdamW (0.9, 0.999, 1e-8, no weight decay), learning rate falling linearly to zero, gradients cleared.
/// </summary>
public sealed class PlainTrainer : IDisposable
{
    private const double MaxGradientNorm = 1.0;
    private readonly BertForContrastiveLearning _model;
    private readonly optim.Optimizer _optimizer;
    private readonly optim.lr_scheduler.LRScheduler _scheduler;

    /// <summary>A trainer at step 0. The model stays the caller's.</summary>
    /// <param name="model">Trained in place.</param>
    /// <param name="learningRate">At step 0.</param>
    /// <param name="totalSteps">The step at which the learning rate reaches zero.</param>
    public PlainTrainer(BertForContrastiveLearning model, double learningRate, int totalSteps)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _optimizer = optim.AdamW(model.parameters(), lr: learningRate, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0);
        _scheduler = optim.lr_scheduler.LambdaLR(_optimizer, step => Math.Max(0.0, (totalSteps - step) / (double)totalSteps));
    }

    /// <summary>One step.</summary>
    /// <param name="inputIds">(N, n, L).</param>
    /// <param name="attentionMask">(N, n, L).</param>
    /// <param name="tokenTypeIds">(N, n, L).</param>
    /// <returns>The loss, and the norm of all gradients before it was clipped.</returns>
    public (float Loss, double GradientNorm) Step(Tensor inputIds, Tensor attentionMask, Tensor tokenTypeIds)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor loss, _) = _model.call(inputIds, attentionMask, tokenTypeIds);
        loss.backward();
        double norm = nn.utils.clip_grad_norm_(_model.parameters(), MaxGradientNorm);
        _optimizer.step();
        _scheduler.step();
        _model.zero_grad();
        return (loss.item<float>(), norm);
    }

    /// <inheritdoc />
    public void Dispose() => _optimizer.Dispose();
}
