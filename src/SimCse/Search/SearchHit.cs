using System.Runtime.InteropServices;

namespace SimCse.Search;

/// <summary>A vector found.</summary>
/// <param name="Row">Its row in the matrix that was searched.</param>
/// <param name="Score">Its cosine with the query, -1 to 1.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct SearchHit(int Row, float Score);
