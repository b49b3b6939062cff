using System.CommandLine;
using SimCse.Training.Distribution;
using SimCse.Training.Modeling;
using TorchSharp;

namespace SimCse.Cli;

/// <summary>On what a training runs: threads, precision, device.</summary>
internal static class TrainingPlace
{
    public static Option<string> Precision() => CliOption.Choice("--precision", "matrix products in fp32, or in bf16 where the processor has it", "fp32", "bf16");

    public static Option<string> Device() => CliOption.Choice("--device", "where the model learns; cuda needs a libtorch that has it (docs/training.md)", "cpu", "cuda");

    /// <summary>The precision that <c>--precision</c> asks for; fp32, with a line that says so, where the processor has no bf16.</summary>
    /// <param name="name">What the command line says.</param>
    /// <param name="device">Where the model learns; null for the CPU.</param>
    public static Precision PrecisionOf(string? name, torch.Device? device = null)
    {
        bool bf16 = name is "bf16";
        if (bf16 && device is null && !Precisions.HasBf16)
        {
            Log.Warning("this processor has no bfloat16 products; training in fp32");
            bf16 = false;
        }

        return bf16 ? Training.Modeling.Precision.Bf16 : Training.Modeling.Precision.Fp32;
    }

    /// <summary>The device that <c>--device</c> asks for; null for the CPU.</summary>
    /// <exception cref="InvalidDataException">There is no such device here.</exception>
    public static torch.Device? DeviceOf(string? name)
    {
        if (name is not "cuda")
        {
            return null;
        }

        if (!torch.cuda.is_available())
        {
            throw new InvalidDataException("--device cuda: this libtorch has no CUDA, or the system no GPU that it can use; docs/training.md says which packages bring it");
        }

        return ProcessRank.Current is { Size: > 1 } ? throw new UsageException("--device cuda trains in one process; several ranks train on the cpu") : torch.CUDA;
    }

    /// <summary>Tells libtorch and the hand-written encoder how many threads there are.</summary>
    /// <param name="threads">What <c>--threads</c> says; null: all, or this rank's share.</param>
    public static void SetThreads(int? threads)
    {
        if ((threads ?? ProcessRank.Current?.Threads) is { } number)
        {
            torch.set_num_threads(number);
        }
    }
}
