using System.Runtime.InteropServices;

namespace SimCse.Search;

/// <summary>Two rows of a matrix that are alike.</summary>
/// <param name="First">The lower row.</param>
/// <param name="Second">The higher row.</param>
/// <param name="Score">Their cosine.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct SimilarPair(int First, int Second, float Score);
