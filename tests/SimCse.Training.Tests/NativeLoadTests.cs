using TorchSharp;

namespace SimCse.Training.Tests;

public class NativeLoadTests
{
    [Fact]
    public void Libtorch_loads_and_multiplies()
    {
        using torch.Tensor a = torch.tensor(new float[] { 1, 2, 3, 4 }, 2, 2);
        using torch.Tensor product = a.mm(a);
        Assert.Equal([7f, 10f, 15f, 22f], product.data<float>().ToArray());
    }
}
