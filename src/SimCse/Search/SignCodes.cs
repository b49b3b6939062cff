using System.Numerics;
using System.Numerics.Tensors;

namespace SimCse.Search;

/// <summary>
/// Vectors in one bit a component: whether it is above the mean of its component over the matrix. (Of sentence vectors, which all lie in one direction more or
/// less, the signs alone would say little.) Two vectors are the more alike the fewer bits differ: on average a share of θ/π differs, θ the angle between them seen from the mean.
/// </summary>
internal sealed class SignCodes
{
    private readonly int _dimensions;
    private readonly int _words;
    private readonly float[] _mean;
    private readonly ulong[] _bits;

    /// <summary>Codes of the rows of a matrix, each scaled to length one.</summary>
    public SignCodes(EmbeddingMatrix vectors, ReadOnlySpan<float> inverseLengths)
    {
        _dimensions = vectors.Dimensions;
        _words = (_dimensions + 63) / 64;
        double[] sum = new double[_dimensions];
        for (int row = 0; row < vectors.Count; row++)
        {
            ReadOnlySpan<float> vector = vectors[row];
            for (int i = 0; i < _dimensions; i++)
            {
                sum[i] += vector[i] * inverseLengths[row];
            }
        }

        _mean = [.. sum.Select(s => (float)(s / Math.Max(1, vectors.Count)))];
        _bits = Encode(vectors, inverseLengths);
    }

    /// <summary>n × ⌈H/64⌉ words.</summary>
    public ulong[] Encode(EmbeddingMatrix vectors, ReadOnlySpan<float> inverseLengths)
    {
        ulong[] bits = new ulong[(long)vectors.Count * _words];
        float[] scaled = new float[_dimensions];
        for (int row = 0; row < vectors.Count; row++)
        {
            TensorPrimitives.Multiply(vectors[row], inverseLengths[row], scaled);
            Span<ulong> words = bits.AsSpan(row * _words, _words);
            for (int i = 0; i < _dimensions; i++)
            {
                words[i >> 6] |= scaled[i] > _mean[i] ? 1UL << i : 0;
            }
        }

        return bits;
    }

    /// <summary>Offers minus the number of bits that differ, for every row from <paramref name="first"/> to before <paramref name="end"/>.</summary>
    public void Scan(ReadOnlySpan<ulong> query, int first, int end, TopHits best)
    {
        ReadOnlySpan<ulong> words = _bits.AsSpan(first * _words, (end - first) * _words);
        for (int row = first; row < end; row++)
        {
            ReadOnlySpan<ulong> code = words[..query.Length];
            int differ = 0;
            for (int i = 0; i < query.Length; i++)
            {
                differ += BitOperations.PopCount(query[i] ^ code[i]);
            }

            if (-differ > best.Floor) // rows ascend: a later one with an equal score is not better
            {
                best.Offer(row, -differ);
            }

            words = words[query.Length..];
        }
    }

    /// <summary>The code of query <paramref name="q"/> among those that <see cref="Encode"/> gave.</summary>
    public ReadOnlySpan<ulong> Of(ulong[] queries, int q) => queries.AsSpan(q * _words, _words);
}
