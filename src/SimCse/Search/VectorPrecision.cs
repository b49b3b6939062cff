namespace SimCse.Search;

/// <summary>What the first pass of a search reads of every vector. The hits' scores are float32 cosines whatever it is.</summary>
public enum VectorPrecision
{
    /// <summary>Four bytes a component: exact.</summary>
    Float32,

    /// <summary>One byte a component: c = round(127 x / max|x|), a scale of its own for each vector.</summary>
    Int8,

    /// <summary>One bit a component: whether it is above the mean of the matrix; vectors are compared by the number of bits that differ.</summary>
    Bit,
}
