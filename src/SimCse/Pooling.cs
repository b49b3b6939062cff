namespace SimCse;

/// <summary>How the token vectors of the encoder become one sentence vector (protocol of the SimCSE paper, section 6.3, and its reference code).</summary>
public enum Pooling
{
    /// <summary>The last layer at [CLS], through the MLP head (linear and tanh) where the model keeps one. Supervised SimCSE.</summary>
    Cls,

    /// <summary>The last layer at [CLS], no head. Unsupervised SimCSE, whose head is used in training only.</summary>
    ClsBeforePooler,

    /// <summary>The mean of the last layer over the sentence's tokens, special tokens included.</summary>
    Avg,

    /// <summary>The mean over tokens of the average of the last two layers.</summary>
    AvgTop2,

    /// <summary>The mean over tokens of the average of the first layer's output, hidden_states[1], and the last layer's.</summary>
    AvgFirstLast,

    /// <summary>The mean over tokens of the average of the embeddings' output, hidden_states[0], and the last layer's: 'first-last' in the paper's tables.</summary>
    StaticFirstLast,
}

/// <summary>The names that files and the command line use for <see cref="Pooling"/>.</summary>
public static class PoolingNames
{
    private static readonly (Pooling Pooling, string Name)[] s_names =
    [
        (Pooling.Cls, "cls"),
        (Pooling.ClsBeforePooler, "cls_before_pooler"),
        (Pooling.Avg, "avg"),
        (Pooling.AvgTop2, "avg_top2"),
        (Pooling.AvgFirstLast, "avg_first_last"),
        (Pooling.StaticFirstLast, "static_first_last"),
    ];

    /// <summary>All names, in the order of the enumeration.</summary>
    public static IReadOnlyList<string> All { get; } = [.. s_names.Select(n => n.Name)];

    /// <summary>The name that the reference repository gives this pooling, such as <c>avg_first_last</c>.</summary>
    public static string ToName(this Pooling pooling) => Array.Find(s_names, n => n.Pooling == pooling).Name
        ?? throw new ArgumentOutOfRangeException(nameof(pooling), pooling, "not a pooling");

    /// <summary>The pooling of that name.</summary>
    /// <exception cref="FormatException">No pooling has that name; the message lists those there are.</exception>
    public static Pooling Parse(string name)
    {
        foreach ((Pooling pooling, string known) in s_names)
        {
            if (string.Equals(known, name, StringComparison.Ordinal))
            {
                return pooling;
            }
        }

        throw new FormatException($"'{name}' is not a pooling; expected one of {string.Join(", ", All)}");
    }

    /// <summary>Throws where a pooling reads a layer that an encoder does not have.</summary>
    /// <param name="pooling">The pooling.</param>
    /// <param name="layers">The encoder's layers; 0 is a table of token vectors.</param>
    /// <exception cref="InvalidDataException">It reads hidden states of a first layer, and there is none.</exception>
    public static void RequireLayers(this Pooling pooling, int layers)
    {
        if (layers == 0 && pooling is (Pooling.AvgTop2 or Pooling.AvgFirstLast))
        {
            throw new InvalidDataException($"the pooling '{pooling.ToName()}' reads the output of a layer, and this encoder has none; expected {Pooling.Avg.ToName()}");
        }
    }
}
