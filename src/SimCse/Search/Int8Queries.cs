using System.Runtime.InteropServices;

namespace SimCse.Search;

/// <summary>Queries as int8 codes, shifted for the products.</summary>
internal sealed class Int8Queries
{
    public Int8Queries(EmbeddingMatrix queries, ReadOnlySpan<float> inverseLengths)
    {
        Width = Int8Products.Width(queries.Dimensions);
        Stride = Int8Products.Stride(queries.Dimensions);
        Shifted = new byte[queries.Count * Width];
        Scales = new float[queries.Count];
        byte[] record = new byte[Stride];
        for (int q = 0; q < queries.Count; q++)
        {
            Int8Products.WriteRecord(queries[q], inverseLengths[q], record);
            Int8Products.Shifted(record.AsSpan(0, Width), Shifted.AsSpan(q * Width, Width));
            Scales[q] = MemoryMarshal.Read<float>(record.AsSpan(Width));
        }
    }

    public int Count => Scales.Length;

    /// <summary>Bytes of the codes of a query.</summary>
    public int Width { get; }

    /// <summary>Bytes of a record that it is compared with.</summary>
    public int Stride { get; }

    /// <summary>Q × Width.</summary>
    public byte[] Shifted { get; }

    /// <summary>Of the queries at length one, so that products times scales are cosines.</summary>
    public float[] Scales { get; }
}
