using SimCse.Bench.Plain;
using SimCse.Checkpoints;
using TorchSharp;

namespace SimCse.Bench.Training;

/// <summary>The peer: pads the batch to its longest as the reference's collator does, then one step of <see cref="PlainTrainer"/>.</summary>
internal sealed class PlainStepper : Stepper
{
    private readonly BertForContrastiveLearning _model;
    private readonly PlainTrainer _trainer;
    private readonly int _pad;

    public PlainStepper(Checkpoint checkpoint, EncoderConfig config)
    {
        (float[] weight, float[] bias) = TrainingInput.Head(config.HiddenSize);
        _pad = config.PadTokenId;
        _model = new BertForContrastiveLearning(checkpoint, config, weight, bias);
        _trainer = new PlainTrainer(_model, TrainingInput.LearningRate, TrainingInput.TotalSteps);
    }

    public override TrainingCheck Step(int[][] batch, int step)
    {
        int longest = batch.Max(s => s.Length);
        long[] ids = new long[batch.Length * 2 * longest], mask = new long[ids.Length];
        Array.Fill(ids, _pad);
        for (int i = 0; i < batch.Length * 2; i++)
        {
            int[] sentence = batch[i / 2];
            for (int t = 0; t < sentence.Length; t++)
            {
                ids[(i * longest) + t] = sentence[t];
                mask[(i * longest) + t] = 1;
            }
        }

        long[] shape = [batch.Length, 2, longest]; // (N, 2, L)
        using torch.Tensor inputIds = torch.tensor(ids, shape), attentionMask = torch.tensor(mask, shape), tokenTypeIds = torch.zeros(shape, torch.ScalarType.Int64);
        (float loss, double norm) = _trainer.Step(inputIds, attentionMask, tokenTypeIds);
        return new TrainingCheck(loss, norm);
    }

    public override void Dispose()
    {
        _trainer.Dispose();
        _model.Dispose();
    }
}
