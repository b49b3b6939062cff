using SimCse.Evaluation;
using SimCse.Search;

namespace SimCse.Server.Api;

/// <summary>Pictures of the index, each computed once for a state of the index, one at a time.</summary>
internal sealed class IndexViews(ServedIndex served) : IDisposable
{
    private const int MostPoints = 5000, UsualPoints = 2000, MostMeasured = 2000;

    private readonly SemaphoreSlim _oneAtATime = new(1);
    private (State State, MapResponse Map)? _map;
    private (State State, SpectrumResponse Spectrum)? _spectrum;

    /// <param name="most">Points; null for 2,000.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<MapResponse> MapAsync(int? most, CancellationToken cancellationToken)
    {
        int points = most ?? UsualPoints;
        if (points is < 1 or > MostPoints)
        {
            throw RequestException.Invalid($"'most' is {most}; expected 1 to {MostPoints} points", "most");
        }

        SentenceIndex index = served.Index;
        return await OneAtATimeAsync(
            () =>
            {
                State state = State.Of(index, points);
                if (_map is not { } kept || kept.State != state)
                {
                    _map = kept = (state, Map(index, points));
                }

                return kept.Map;
            },
            cancellationToken);
    }

    public async Task<SpectrumResponse> SpectrumAsync(CancellationToken cancellationToken)
    {
        SentenceIndex index = served.Index;
        return await OneAtATimeAsync(
            () =>
            {
                State state = State.Of(index, MostMeasured);
                if (_spectrum is not { } kept || kept.State != state)
                {
                    _spectrum = kept = (state, Measure(index));
                }

                return kept.Spectrum;
            },
            cancellationToken);
    }

    public void Dispose() => _oneAtATime.Dispose();

    private static MapResponse Map(SentenceIndex index, int points)
    {
        if (index.Sample(points) is not var (entries, vectors))
        {
            return new MapResponse([], [0, 0], 0);
        }

        PrincipalComponents components = PrincipalComponents.Of(vectors, 2);
        double[][] places = components.Project(vectors);
        return new MapResponse([.. entries.Select((entry, i) => new MapPoint(entry.Id, entry.Text, Math.Round(places[i][0], 5), Math.Round(places[i][1], 5)))], components.Explained, index.Count);
    }

    private static SpectrumResponse Measure(SentenceIndex index)
    {
        if (index.Sample(MostMeasured) is not var (entries, vectors) || entries.Count < 2)
        {
            throw RequestException.NotFound("the index has fewer than two entries, of which nothing can be measured");
        }

        double[] spectrum = Geometry.SingularSpectrum(vectors);
        return new SpectrumResponse([.. spectrum.Select(value => Math.Round(value, 6))], Geometry.EffectiveRank(spectrum), Geometry.MeanCosine(vectors), Geometry.Uniformity(vectors), entries.Count);
    }

    private async Task<T> OneAtATimeAsync<T>(Func<T> compute, CancellationToken cancellationToken)
    {
        await _oneAtATime.WaitAsync(cancellationToken);
        try
        {
            return await Task.Run(compute, CancellationToken.None);
        }
        finally
        {
            _oneAtATime.Release();
        }
    }

    /// <summary>Changes with every commit to the index.</summary>
    private sealed record State(long Bytes, int Points)
    {
        public static State Of(SentenceIndex index, int points) => new(index.FileLength, points);
    }
}
