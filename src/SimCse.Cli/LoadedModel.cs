using SimCse.Checkpoints;

namespace SimCse.Cli;

/// <summary>The encoder of the model that <c>--model</c> names.</summary>
internal static class LoadedModel
{
    /// <summary>What reports call the model.</summary>
    public static string Name(string? model) => model ?? DefaultModel.Name;

    /// <summary>A model to be judged: another pooling than the stored one is measured, with a warning.</summary>
    /// <param name="model">What <c>--model</c> says.</param>
    /// <param name="pooling">What <c>--pooling</c> says.</param>
    /// <param name="threads">What <c>--threads</c> says.</param>
    public static SentenceEncoder ForJudging(string? model, Pooling? pooling, int? threads)
    {
        string directory = ModelLocation.Find(model);
        if (OtherThanStored(directory, pooling) is { } stored)
        {
            Log.Warning($"{directory} is stored with the pooling {stored.ToName()}; this judges it with {pooling!.Value.ToName()}");
        }

        return SentenceEncoder.Load(directory, new SentenceEncoderOptions { Pooling = pooling, AllowOtherPooling = true, Threads = threads });
    }

    /// <summary>A model to be used: another pooling than the stored one is refused unless it is asked for twice.</summary>
    /// <param name="model">What <c>--model</c> says.</param>
    /// <param name="options">Pooling, length, normalisation and threads.</param>
    /// <exception cref="InvalidDataException">The pooling is not the stored one, and <see cref="SentenceEncoderOptions.AllowOtherPooling"/> is not set.</exception>
    /// <exception cref="UsageException">The length is more than the model has positions.</exception>
    public static SentenceEncoder ForUse(string? model, SentenceEncoderOptions options)
    {
        string directory = ModelLocation.Find(model);
        if (options.OnnxFile is not null || !Checkpoint.HasWeights(directory))
        {
            return Load(directory, options);
        }

        using (Checkpoint checkpoint = Checkpoint.Open(directory))
        {
            if (options.MaxLength > checkpoint.Config.MaxTokens)
            {
                throw new UsageException($"--max-length is {options.MaxLength}; expected at most {checkpoint.Config.MaxTokens}, the positions that {directory} has");
            }
        }

        if (!options.AllowOtherPooling && OtherThanStored(directory, options.Pooling) is { } stored)
        {
            throw new InvalidDataException(
                $"{directory}: this model is stored with the pooling {stored.ToName()}, not {options.Pooling!.Value.ToName()}, which would give other vectors than it was trained for; --allow-other-pooling does it all the same");
        }

        return Load(directory, options);
    }

    /// <summary>Says how many texts lost their end.</summary>
    /// <param name="encoder">What cut them.</param>
    /// <param name="texts">How many there were.</param>
    /// <param name="truncated">How many were cut where not only this encoder did so; else what it has counted.</param>
    public static void WarnOfTruncation(SentenceEncoder encoder, long texts, long? truncated = null)
    {
        long cut = truncated ?? encoder.TruncatedTexts;
        if (cut > 0)
        {
            Log.Warning($"{cut:N0} of {texts:N0} texts are longer than {encoder.MaxLength} tokens and were cut there");
        }
    }

    private static SentenceEncoder Load(string directory, SentenceEncoderOptions options)
    {
        try
        {
            return SentenceEncoder.Load(directory, options);
        }
        catch (ArgumentOutOfRangeException e)
        {
            // What an option's value may be depends on the model.
            throw new UsageException($"{directory}: {e.Message.Split(" (Parameter", 2)[0]}; it is {e.ActualValue}");
        }
    }

    /// <summary>The stored pooling, where one is stored and the given one means another vector.</summary>
    private static Pooling? OtherThanStored(string directory, Pooling? pooling)
    {
        if (pooling is not { } asked)
        {
            return null;
        }

        if (!Checkpoint.HasWeights(directory))
        {
            return null; // an ONNX file gives the poolings that it can, and says so
        }

        using Checkpoint checkpoint = Checkpoint.Open(directory);
        bool same = checkpoint.Modules is not { } modules || modules.Pooling == asked
            || (modules.Head is null && asked is (Pooling.Cls or Pooling.ClsBeforePooler) && modules.Pooling is (Pooling.Cls or Pooling.ClsBeforePooler));
        return same ? null : checkpoint.Modules!.Pooling;
    }
}
