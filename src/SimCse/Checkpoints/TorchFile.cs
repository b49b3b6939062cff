namespace SimCse.Checkpoints;

internal sealed class TorchFile
{
    public static ITensorFile Open(string path) => throw new InvalidDataException($"{path}: PyTorch's pickle is not read yet");
}
