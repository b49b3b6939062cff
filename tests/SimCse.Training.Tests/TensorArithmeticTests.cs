using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Tests;

public class TensorArithmeticTests
{
    [Fact]
    public void Numbers_survive_the_garbage_collections_of_other_threads()
    {
        using CancellationTokenSource done = new();
        Thread collector = new(() =>
        {
            while (!done.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers();
            }
        });
        collector.Start();
        try
        {
            for (int i = 0; i < 20_000; i++)
            {
                using DisposeScope scope = NewDisposeScope();
                Tensor two = tensor(2f);
                Assert.Equal(((2f * 3) + 2 - 1) / 2, two.Times(3).Plus(two).Plus(-1).Over(2).AtLeast(0.5).item<float>());
            }
        }
        finally
        {
            done.Cancel();
            collector.Join();
        }
    }
}
