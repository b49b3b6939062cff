using SimCse.Checkpoints;

namespace SimCse.Cli;

/// <summary>The encoder of the model that <c>--model</c> names.</summary>
internal static class LoadedModel
{
    /// <summary>What reports call the model.</summary>
    public static string Name(string? model) => model ?? ModelLocation.DefaultModel;

    /// <summary>A model to be judged: with another pooling than the stored one it is measured, and a warning says so.</summary>
    /// <param name="model">What <c>--model</c> says.</param>
    /// <param name="pooling">What <c>--pooling</c> says.</param>
    /// <param name="threads">What <c>--threads</c> says.</param>
    public static SentenceEncoder ForJudging(string? model, Pooling? pooling, int? threads)
    {
        string directory = ModelLocation.Find(model);
        using (Checkpoint checkpoint = Checkpoint.Open(directory))
        {
            if (pooling is { } asked && checkpoint.Modules is { } modules && asked != modules.Pooling)
            {
                Log.Warning($"{directory} is stored with the pooling {modules.Pooling.ToName()}; this judges it with {asked.ToName()}");
            }
        }

        return SentenceEncoder.Load(directory, new SentenceEncoderOptions { Pooling = pooling, AllowOtherPooling = true, Threads = threads });
    }
}
