using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

public class OptimizerTests
{
    /// <summary>The outside reference is libtorch's own AdamW behind clip_grad_norm_.</summary>
    [Theory]
    [InlineData(0.0, true)]
    [InlineData(0.1, true)]
    [InlineData(0.0, false)]
    [InlineData(0.1, false)]
    public void AdamW_and_clipping_equal_those_of_libtorch(double weightDecay, bool inMemory)
    {
        using ParameterSet own = new();
        float[] start = new CounterRandom(3, 50).Normal(1000, 1);
        own.Add("a", start.AsSpan(0, 900), 30, 30);
        own.Add("b", start.AsSpan(900), 100);
        using AdamW optimizer = new(own, weightDecay);
        using Tensor a = own["a"].detach().clone().requires_grad_(true), b = own["b"].detach().clone().requires_grad_(true);
        Tensor[] theirs = [a, b];
        TorchSharp.Modules.Parameter[] parameters = [new(a), new(b)];
        using optim.Optimizer reference = optim.AdamW(parameters, lr: 0.01, weight_decay: weightDecay);
        for (int step = 0; step < 20; step++)
        {
            own.ClearGradients();
            reference.zero_grad();
            using (DisposeScope scope = NewDisposeScope())
            {
                Loss(own["a"], own["b"], step).backward();
                Loss(parameters[0], parameters[1], step).backward();
            }

            double expected = nn.utils.clip_grad_norm_(parameters, 1.0);
            reference.step();
            Assert.Equal(expected, optimizer.Step(0.01, inMemory), 1e-4 * expected);
        }

        foreach ((string name, Tensor theirValue) in own.Names.Zip(parameters.Select(p => p.detach())))
        {
            float[] ours = own.Read(name), expected = theirValue.Floats().ToArray();
            Assert.All(ours.Zip(expected), pair => Assert.Equal(pair.Second, pair.First, 2e-6f));
        }

        static Tensor Loss(Tensor a, Tensor b, int step) => ((a * a).sum() * (1 + step)) + ((b - 1).pow(4).sum() / 10) + (a[0, 0] * b[0]);
    }

    [Fact]
    public void A_parameter_without_gradient_moves_on_its_moments()
    {
        using ParameterSet own = new();
        own.Add("a", [1f, 2f], 2);
        using AdamW optimizer = new(own);
        own["a"].sum().backward();
        optimizer.Step(0.1);
        float afterOne = own.Read("a")[0];
        own.ClearGradients();
        Assert.Equal(0, optimizer.Step(0.1));
        Assert.True(own.Read("a")[0] < afterOne, "the first moment still moves it");
    }

    [Fact]
    public void The_rate_falls_linearly_to_zero_after_the_warm_up()
    {
        LinearDecay plain = new(0.5, 10);
        Assert.Equal(0.5, plain.At(0));
        Assert.Equal(0.25, plain.At(5), 1e-12);
        Assert.Equal(0.05, plain.At(9), 1e-12);
        LinearDecay warm = new(1, 12, 2);
        Assert.Equal([0, 0.5, 1, 0.9, 0.1], new[] { 0, 1, 2, 3, 11 }.Select(s => Math.Round(warm.At(s), 12)));
    }

    [Fact]
    public void Normal_draws_have_the_moments_of_the_normal_distribution()
    {
        const int Count = 200_000;
        float[] draws = new CounterRandom(1, 2).Normal(Count, 0.02);
        double mean = draws.Average(d => (double)d), variance = draws.Average(d => (double)d * d), fourth = draws.Average(d => Math.Pow(d, 4));
        Assert.Equal(0, mean, 5 * 0.02 / Math.Sqrt(Count));
        Assert.Equal(4e-4, variance, 5 * 4e-4 * Math.Sqrt(2.0 / Count));
        Assert.Equal(3, fourth / (variance * variance), 0.1); // kurtosis
    }
}
