using SimCse.Checkpoints;
using SimCse.Training;
using SimCse.Training.Modeling;
using SimCse.Training.Objectives;

namespace SimCse.Bench.Training;

/// <summary>The product's own training step.</summary>
internal sealed class OurStepper : Stepper
{
    private const long Seed = 42;
    private readonly SimCseModel _model;
    private readonly AdamW _optimizer;
    private readonly ContrastiveStep _step;
    private readonly LinearDecay _schedule = new(TrainingInput.LearningRate, TrainingInput.TotalSteps);

    public OurStepper(Checkpoint checkpoint, EncoderConfig config, Precision precision, int? microBatchSize)
    {
        (float[] weight, float[] bias) = TrainingInput.Head(config.HiddenSize);
        _model = SimCseModel.FromCheckpoint(checkpoint, config, Pooling.Cls, mlpOnlyTrain: true, seed: Seed, precision);
        _model.Parameters.Write("mlp.dense.weight", weight);
        _model.Parameters.Write("mlp.dense.bias", bias);
        _optimizer = new AdamW(_model.Parameters);
        _step = new ContrastiveStep(_model, _optimizer, new ContrastiveLoss(), Seed) { MicroBatchSize = microBatchSize };
    }

    public override TrainingCheck Step(int[][] batch, int step)
    {
        StepResult result = _step.Run(new ContrastiveBatch([batch]), step, _schedule.At(step));
        return new TrainingCheck(result.Loss, result.GradientNorm);
    }

    public override void Dispose()
    {
        _optimizer.Dispose();
        _model.Dispose();
    }
}
