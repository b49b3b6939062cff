using static TorchSharp.torch;

namespace SimCse.Training.Modeling;

/// <summary>Token vectors to sentence vectors: the poolings of the SimCSE reference (<c>simcse/models.py</c>, class Pooler) and the paper's static first-last.</summary>
public static class Pooler
{
    /// <summary>Whether a pooling reads only the first token of the last layer.</summary>
    public static bool ReadsFirstTokenOnly(this Pooling pooling) => pooling is Pooling.Cls or Pooling.ClsBeforePooler;

    /// <summary>The hidden states that a pooling reads: 0 is the output of the embeddings, <paramref name="layers"/> that of the last layer, which is always among them.</summary>
    public static IReadOnlyCollection<int> HiddenStates(this Pooling pooling, int layers) => pooling switch
    {
        Pooling.AvgTop2 => [layers - 1, layers],
        Pooling.AvgFirstLast => [1, layers],
        Pooling.StaticFirstLast => [0, layers],
        _ => [layers],
    };

    /// <summary>The vectors of a batch, before any head, (R, H), in the batch's own order.</summary>
    /// <param name="pass">With the hidden states that <see cref="HiddenStates"/> names.</param>
    /// <param name="batch">The batch that was encoded.</param>
    /// <param name="pooling">The pooling.</param>
    /// <param name="layers">The encoder's layers.</param>
    public static Tensor Pool(EncoderPass pass, PackedBatch batch, Pooling pooling, int layers)
    {
        ArgumentNullException.ThrowIfNull(pass);
        ArgumentNullException.ThrowIfNull(batch);
        Tensor last = pass.Hidden(layers); // (T, H), or (R, H)
        Tensor packed = pooling switch
        {
            Pooling.Cls or Pooling.ClsBeforePooler => pass.LastIsFirstTokenOnly ? last : last.index_select(0, batch.First),
            Pooling.Avg => Mean(last, batch),
            Pooling.AvgTop2 => Mean(last.Plus(pass.Hidden(layers - 1)).Over(2), batch),
            Pooling.AvgFirstLast => Mean(last.Plus(pass.Hidden(1)).Over(2), batch),
            Pooling.StaticFirstLast => Mean(last.Plus(pass.Hidden(0)).Over(2), batch),
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
