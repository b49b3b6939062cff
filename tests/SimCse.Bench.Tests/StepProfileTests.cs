namespace SimCse.Bench.Tests;

public sealed class StepProfileTests
{
    [Theory]
    [InlineData("linear products: dX", "void [SimCse.Training] SimCse.Training.Kernels.Fp32Tile::Multiply(int32,float32*)[Optimized]", "void [SimCse.Training] SimCse.Training.Kernels.MatrixProduct::Multiply(int32)[Tier1]", "instance void [SimCse.Training] SimCse.Training.Modeling.NativeEncoder::TransformBackward(class SimCse.Training.Modeling.WeightGradient)[Tier1]")]
    [InlineData("linear products: forward", "[unknown]", "void [SimCse.Training] SimCse.Training.Kernels.MatrixProduct::Multiply(int32)", "instance void [SimCse.Training] SimCse.Training.Modeling.NativeEncoder::Transform(class Pass)")]
    [InlineData("linear products: dW, with its packing", "void [SimCse.Training] SimCse.Training.Kernels.MatrixProduct::PackRows(int32)", "instance void [SimCse.Training] SimCse.Training.Modeling.WeightGradients::Pack(class X)", "instance void [SimCse.Training] SimCse.Training.Modeling.NativeEncoder::TransformBackward(class X)")]
    [InlineData("attention, forward and backward", "void [SimCse.Training] SimCse.Training.Kernels.MatrixProduct::Multiply(int32)", "instance void [SimCse.Training] SimCse.Training.Kernels.SelfAttention::Forward(valuetype Rows)", "instance void [SimCse.Training] SimCse.Training.Modeling.NativeEncoder::Attend(class Pass)")]
    [InlineData("waiting for other threads", "instance void [SimCse.Training] SimCse.Training.Kernels.WorkerThreads+Crew::Run(int32)", "instance class [SimCse.Training] SimCse.Training.Modeling.NativeEncoder::Forward(class PackedBatch)")]
    [InlineData("optimiser", "void [SimCse.Training] SimCse.Training.AdamW::Update(valuetype Span)", "instance void [SimCse.Training] SimCse.Training.Kernels.WorkerThreads+Crew::Take(int32)")]
    [InlineData("other (runtime, system)", "entry_SYSCALL_64", "start_thread")]
    public void A_sample_belongs_to_the_part_nearest_the_top_of_its_stack(string part, params string[] frames)
    {
        using StringReader stacks = new(string.Concat(frames.Select(f => $"\t    7f00deadbeef {f}\n")) + "\n");

        KeyValuePair<string, int> found = Assert.Single(StepProfile.Count(stacks));

        Assert.Equal((part, 1), (found.Key, found.Value));
    }
}
