using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>Token vectors to sentence vectors: the poolings of the SimCSE reference (<c>simcse/models.py</c>, class Pooler) and the paper's static first-last.</summary>
public static class Pooler
{
    /// <summary>Whether a pooling reads only the first token of the last layer.</summary>
    public static bool ReadsFirstTokenOnly(this Pooling pooling) => pooling is Pooling.Cls or Pooling.ClsBeforePooler;

    /// <summary>The vectors of a batch, before any head, (R, H), in the batch's own order.</summary>
    public static Tensor Pool(Encoder.Output output, PackedBatch batch, Pooling pooling)
    {
        ArgumentNullException.ThrowIfNull(output);
        ArgumentNullException.ThrowIfNull(batch);
        IReadOnlyList<Tensor> hidden = output.Hidden;
        Tensor packed = pooling switch
        {
            Pooling.Cls or Pooling.ClsBeforePooler => output.LastIsFirstTokenOnly ? hidden[^1] : hidden[^1].index_select(0, batch.First),
            Pooling.Avg => Mean(hidden[^1], batch),
            Pooling.AvgTop2 => Mean(hidden[^1].Plus(hidden[^2]).Over(2), batch),
            Pooling.AvgFirstLast => Mean(hidden[1].Plus(hidden[^1]).Over(2), batch),
            Pooling.StaticFirstLast => Mean(hidden[0].Plus(hidden[^1]).Over(2), batch),
            _ => throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "not a pooling"),
        };
        return packed.index_select(0, batch.Unsort); // (R, H)
    }

    private static Tensor Mean(Tensor x, PackedBatch batch)
    {
        Tensor[] groups = x.split([.. batch.Groups.Select(g => (long)g.Rows * g.Length)]);
        return cat([.. groups.Select((g, i) => g.view(batch.Groups[i].Rows, batch.Groups[i].Length, -1).mean([1]))]); // (R, H)
    }
}
