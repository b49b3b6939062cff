namespace SimCse.Training.Data;

/// <summary>
/// A pseudo-random permutation of 0 … count−1 that is computed place by place: no memory, and any place at any time. A pure function of (random, epoch, place).
/// </summary>
/// <remarks>
/// A Feistel network over pairs (L, R) with L below a = ⌈√count⌉ and R below b = ⌈count / a⌉, so that a·b passes the count by less than a: each round adds to one half a random
/// function of the other, modulo its size, which can be undone; places that fall beyond the count walk on along their cycle until they are back below it.
/// J. Black, P. Rogaway: Ciphers with Arbitrary Finite Domains. CT-RSA 2002, sections 4 and 5.
/// </remarks>
/// <param name="count">The number of places, at least 1.</param>
/// <param name="random">The key.</param>
/// <param name="epoch">Which of the key's permutations.</param>
internal sealed class KeyedPermutation(int count, CounterRandom random, int epoch)
{
    /// <summary>Four give pseudo-randomness where the halves are large (Luby, Rackoff 1988); a handful of rows has small ones, and needs more rounds to reach all its orders alike.</summary>
    private const int Rounds = 16;

    private readonly uint _left = SquareRoot(count);
    private readonly uint _right = ((uint)count + SquareRoot(count) - 1) / SquareRoot(count);

    /// <summary>What stands at place <paramref name="place"/>.</summary>
    public int this[int place]
    {
        get
        {
            uint at = (uint)place;
            do
            {
                at = Permute(at);
            }
            while (at >= (uint)count);
            return (int)at;
        }
    }

    /// <summary>A permutation of 0 … a·b−1.</summary>
    private uint Permute(uint at)
    {
        uint left = at / _right, right = at % _right;
        for (uint round = 0; round < Rounds; round += 2)
        {
            left = (left + Draw(round, right, _left)) % _left;
            right = (right + Draw(round + 1, left, _right)) % _right;
        }

        return (left * _right) + right;
    }

    /// <summary>A random function of a half, below <paramref name="size"/>; halves are below 2^16.</summary>
    private uint Draw(uint round, uint half, uint size) => (uint)(((ulong)random.Word((round << 16) | half, (uint)epoch) * size) >> 32);

    private static uint SquareRoot(int value) => (uint)Math.Ceiling(Math.Sqrt(value));
}
