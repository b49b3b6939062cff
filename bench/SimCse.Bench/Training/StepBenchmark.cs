using SimCse.Training.Modeling;

namespace SimCse.Bench.Training;

/// <summary>Sentences a second of the training step, ours in either precision against <c>plain</c>: the reference's step line by line in TorchSharp, in float32.</summary>
internal sealed class StepBenchmark(ModelShape shape, Precision precision) : TrainingBenchmark(shape)
{
    public override string Name => $"train-{Shape.Name}-{(precision == Precision.Bf16 ? "bf16" : "fp32")}";

    public override string Summary => precision == Precision.Bf16
        ? $"unsupervised training step, {Shape.Config.Layers} x {Shape.Config.HiddenSize}, ours with bf16 products, against the reference's float32 step in TorchSharp"
        : $"unsupervised training step, {Shape.Config.Layers} x {Shape.Config.HiddenSize}, float32, against the reference's step in TorchSharp";

    public override (Precision Ours, Precision Peer)? Products => (precision, Precision.Fp32);

    // bfloat16 keeps 8 bits of each factor.
    protected override double Tolerance => precision == Precision.Bf16 ? 5e-2 : base.Tolerance;

    public override void RequireMachine()
    {
        if (precision == Precision.Bf16 && !Precisions.HasBf16)
        {
            throw new PlatformNotSupportedException($"{Name}: this processor has no bf16 products (neither avx512_bf16 nor amx_bf16)");
        }
    }

    protected override Side Open(SideName side, TrainingInput input) => side == SideName.Ours ? Ours(input, precision) : Plain(input);
}
