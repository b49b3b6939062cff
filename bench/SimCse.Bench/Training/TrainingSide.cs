using System.Diagnostics;
using System.Text.Json;
using SimCse.Checkpoints;

namespace SimCse.Bench.Training;

/// <summary>What the first step gives without dropout.</summary>
internal sealed record TrainingCheck(double Loss, double GradientNorm)
{
    public static TrainingCheck Load(string path) => JsonSerializer.Deserialize<TrainingCheck>(File.ReadAllText(path))!;

    public void Save(string path) => File.WriteAllText(path, JsonSerializer.Serialize(this));
}

/// <summary>A model that takes training steps; made anew for the check and for the timing.</summary>
internal abstract class Stepper : IDisposable
{
    /// <summary>Step number <paramref name="step"/> on a batch: everything from token ids to updated weights.</summary>
    public abstract TrainingCheck Step(int[][] batch, int step);

    /// <inheritdoc />
    public abstract void Dispose();
}

/// <summary>Takes the steps of a round and the time. The stepper is made from a checkpoint and a config, with or without dropout, when it is first needed.</summary>
internal sealed class TrainingSide(TrainingInput input, string version, Func<Checkpoint, EncoderConfig, Stepper> create) : Side
{
    /// <summary>How long round 0 goes on at least: code that is compiled as it runs needs seconds to settle.</summary>
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(5);

    private Stepper? _stepper;
    private int _steps;

    public override string Version => version;

    public override void WriteCheck(string path)
    {
        using Checkpoint checkpoint = Checkpoint.Open(input.Model);
        using Stepper stepper = create(checkpoint, checkpoint.Config with { HiddenDropout = 0, AttentionDropout = 0 });
        stepper.Step(input.CheckBatch, 0).Save(path);
    }

    public override IReadOnlyList<Measurement> RunRound(int round)
    {
        if (_stepper is null)
        {
            using Checkpoint checkpoint = Checkpoint.Open(input.Model);
            _stepper = create(checkpoint, checkpoint.Config);
        }

        int[][][] batches = [.. input.BatchesOf(round)];
        long start = Stopwatch.GetTimestamp();
        int sentences = 0;
        do
        {
            foreach (int[][] batch in batches)
            {
                _stepper.Step(batch, _steps++);
                sentences += batch.Length;
            }
        }
        while (round == 0 && Stopwatch.GetElapsedTime(start) < s_warmUp);

        return [new Measurement("", Stopwatch.GetElapsedTime(start).TotalSeconds, sentences)];
    }

    public override void Dispose() => _stepper?.Dispose();
}
