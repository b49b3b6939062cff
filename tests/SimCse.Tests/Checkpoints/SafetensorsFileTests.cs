using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class SafetensorsFileTests
{
    [Fact]
    public void A_rewritten_file_equals_the_reference_librarys_byte_for_byte()
    {
        string original = RepositoryPaths.Fixture("tiny-bert", "model.safetensors");
        string copy = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "model.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(original);

        SafetensorsFile.Write(copy, file.Tensors.Select(t => TensorToWrite.FromFloats(t.Name, t.Shape, file.ReadFloats(t.Name))));

        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(copy));
    }
}
