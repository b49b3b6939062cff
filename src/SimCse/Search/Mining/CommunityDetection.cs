namespace SimCse.Search;

/// <summary>
/// Groups of texts that are alike, as sentence-transformers' <c>community_detection</c> finds them: every row with enough rows near it is a community with these; the largest go first, and each
/// loses the rows that a larger one has; what is then too small is dropped. So communities do not overlap, and many rows are in none.
/// </summary>
public static class CommunityDetection
{
    /// <summary>The communities, the largest first; in each the central row first and the others by their cosine with it.</summary>
    /// <param name="vectors">n × H.</param>
    /// <param name="threshold">The least cosine of a member with the central row.</param>
    /// <param name="leastMembers">The least size, the central row counted.</param>
    /// <param name="progress">Told how many rows are done.</param>
    /// <param name="cancellationToken">Checked within every search.</param>
    /// <exception cref="InvalidDataException">A row has a component or a length that is not finite.</exception>
    public static IReadOnlyList<IReadOnlyList<int>> Find(EmbeddingMatrix vectors, float threshold = 0.75f, int leastMembers = 10, IProgress<int>? progress = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        ArgumentOutOfRangeException.ThrowIfLessThan(leastMembers, 1);
        List<int[]> found = [];
        foreach ((int row, IReadOnlyList<SearchHit> near) in Neighbourhoods.Find(vectors, threshold, Math.Max(leastMembers, 50), progress, cancellationToken))
        {
            if (near.Count >= leastMembers)
            {
                // A copy of the central row may come before it: of equal scores the lower row is first.
                found.Add([row, .. near.Select(hit => hit.Row).Where(member => member != row)]);
            }
        }

        bool[] taken = new bool[vectors.Count];
        List<int[]> communities = [];
        foreach (int[] community in found.OrderByDescending(members => members.Length))
        {
            int[] left = [.. community.Where(row => !taken[row])];
            if (left.Length >= leastMembers)
            {
                communities.Add(left);
                foreach (int row in left)
                {
                    taken[row] = true;
                }
            }
        }

        return [.. communities.OrderByDescending(members => members.Length)];
    }
}
