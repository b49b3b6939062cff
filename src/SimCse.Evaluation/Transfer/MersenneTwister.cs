namespace SimCse.Evaluation.Transfer;

/// <summary>
/// MT19937 (Matsumoto and Nishimura 1998), with what NumPy and PyTorch make of its words: SentEval shuffles by the one and starts its weights by the other, so
/// that with the same generator its classifiers see the same rows in the same order here.
/// </summary>
internal sealed class MersenneTwister
{
    private const int Size = 624;
    private const int Shift = 397;

    private readonly uint[] _state = new uint[Size];
    private int _next = Size;

    /// <param name="seed">As <c>numpy.random.seed</c>, <c>numpy.random.RandomState</c> and <c>torch.manual_seed</c> take it.</param>
    public MersenneTwister(uint seed)
    {
        _state[0] = seed;
        for (uint i = 1; i < Size; i++)
        {
            _state[i] = (1812433253u * (_state[i - 1] ^ (_state[i - 1] >> 30))) + i;
        }
    }

    /// <summary>The next word of 32 bits.</summary>
    public uint NextWord()
    {
        if (_next == Size)
        {
            Twist();
        }

        uint word = _state[_next++];
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C5680u;
        word ^= (word << 15) & 0xEFC60000u;
        return word ^ (word >> 18);
    }

    /// <summary><c>numpy.random.RandomState.shuffle</c>: from the last place down, each is exchanged with one at or before it, drawn by masking and rejection.</summary>
    public void Shuffle(Span<int> values)
    {
        for (int i = values.Length - 1; i > 0; i--)
        {
            uint mask = uint.MaxValue >> System.Numerics.BitOperations.LeadingZeroCount((uint)i);
            uint j;
            do
            {
                j = NextWord() & mask;
            }
            while (j > i);

            (values[i], values[(int)j]) = (values[(int)j], values[i]);
        }
    }

    /// <summary><c>numpy.random.RandomState.permutation(n)</c>.</summary>
    public int[] Permutation(int count)
    {
        int[] values = [.. Enumerable.Range(0, count)];
        Shuffle(values);
        return values;
    }

    /// <summary>PyTorch's <c>uniform_(from, to)</c> of float32 on the CPU: 24 bits of a word each.</summary>
    public void Uniform(Span<float> values, float from, float to)
    {
        for (int i = 0; i < values.Length; i++)
        {
            float unit = (NextWord() & 0xFFFFFF) * (1f / (1 << 24));
            values[i] = (unit * (to - from)) + from;
        }
    }

    private void Twist()
    {
        for (int i = 0; i < Size; i++)
        {
            uint pair = (_state[i] & 0x80000000u) | (_state[(i + 1) % Size] & 0x7FFFFFFFu);
            _state[i] = _state[(i + Shift) % Size] ^ (pair >> 1) ^ ((pair & 1) == 0 ? 0 : 0x9908B0DFu);
        }

        _next = 0;
    }
}
