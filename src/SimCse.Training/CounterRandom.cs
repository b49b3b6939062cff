using SimCse.Training.Modeling;

namespace SimCse.Training;

/// <summary>Random draws that are a pure function of (seed, purpose, counter), on <see cref="Philox"/>: the same on every machine and runtime, at any time.</summary>
/// <param name="seed">The run's seed.</param>
/// <param name="purpose">Keeps the streams of different uses apart.</param>
public sealed class CounterRandom(long seed, uint purpose)
{
    private const uint Domain = 0x53494D43; // apart from the dropout streams, whose last counter word is a step

    /// <summary>A 32-bit word.</summary>
    public uint Word(uint a, uint b = 0) => Philox.Words(a, b, purpose, Domain, (uint)seed, (uint)((ulong)seed >> 32) ^ 0x80000000).X0;

    /// <summary>A number in [0, 1).</summary>
    public double Uniform(uint a, uint b = 0) => Word(a, b) / 4294967296.0;

    /// <summary>Draws from N(0, deviation²), by Box and Muller.</summary>
    public float[] Normal(int count, double deviation)
    {
        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            double u = (Word((uint)i, 0) + 1.0) / 4294967297.0, v = Word((uint)i, 1) / 4294967296.0;
            values[i] = (float)(deviation * Math.Sqrt(-2 * Math.Log(u)) * Math.Cos(2 * Math.PI * v));
        }

        return values;
    }

    /// <summary>A permutation of 0 … count−1, by Fisher and Yates; <paramref name="epoch"/> picks which.</summary>
    public int[] Permutation(int count, int epoch)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        for (int i = count - 1; i > 0; i--)
        {
            int j = (int)(((ulong)Word((uint)i, (uint)epoch) * (ulong)(i + 1)) >> 32);
            (order[i], order[j]) = (order[j], order[i]);
        }

        return order;
    }
}
