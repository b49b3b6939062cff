using Microsoft.AspNetCore.Http;
using SimCse.Search;
using SimCse.Server.Telemetry;
using SimCse.Tokenization;

namespace SimCse.Server.Api;

/// <summary>The index that is served, if there is one.</summary>
internal sealed class ServedIndex : IDisposable
{
    private const int MostHits = 1000, MostHighlighted = 20, MostIds = 1000, LongestId = 1024;

    private readonly SentenceIndex? _index;
    private readonly TextVectors _vectors;
    private readonly EmbeddingServerOptions _options;
    private readonly SemaphoreSlim _oneWriter = new(1);

    public ServedIndex(SentenceIndex? index, TextVectors vectors, EmbeddingServerOptions options, ServerMetrics metrics)
    {
        _index = index;
        _vectors = vectors;
        _options = options;
        if (index is not null)
        {
            metrics.ObserveIndex(() => index.Count);
        }
    }

    /// <exception cref="RequestException">There is none: 404.</exception>
    public SentenceIndex Index => _index ?? throw RequestException.NotFound("this server has no index; it was started without --index");

    public IndexResponse Describe() => new(Index.Count, Index.DeletedCount, Index.GraphCount, Index.Dimensions, Index.FileLength, Index.ReadOnly);

    public async Task<SearchResponse> SearchAsync(SearchRequest request, CancellationToken cancellationToken)
    {
        SentenceIndex index = Index;
        int top = request.Top ?? 10;
        bool highlight = request.Highlight ?? false;
        Require(top >= 1 && top <= MostHits, "top", top, $"1 to {MostHits} hits");
        Require(!highlight || top <= MostHighlighted, "top", top, $"at most {MostHighlighted} hits with highlighting");
        Require(request.Breadth is null || (request.Breadth >= top && request.Breadth <= 100_000), "breadth", request.Breadth, $"{top}, the hits asked for, to 100,000");
        string[] queries = [.. request.Query.Texts.Select(text => text.Text ?? throw RequestException.Invalid("'query' holds token ids; expected texts", "query"))];
        EmbeddingMatrix encoded = await _vectors.EncodeAsync(_vectors.Tokenize(request.Query, truncate: true, "query"), cancellationToken);
        IndexSearchOptions options = new(top) { Breadth = request.Breadth, Exact = request.Exact ?? false, Filter = Filter(request.Filter) };
        IReadOnlyList<IndexHit>[] found = await index.SearchAsync(encoded, options, cancellationToken);
        QueryHits[] results = new QueryHits[queries.Length];
        for (int q = 0; q < queries.Length; q++)
        {
            IReadOnlyList<WordWeight>[]? words = highlight ? await BestWords.FindAsync(encoded.RowMemory(q), [.. found[q].Select(hit => hit.Entry.Text)], _vectors, cancellationToken) : null;
            results[q] = new QueryHits(queries[q], [.. found[q].Select((hit, i) => new Hit(hit.Entry.Id, hit.Score, hit.Entry.Text, hit.Entry.Metadata, words?[i]))]);
        }

        return new SearchResponse(results);
    }

    public async Task<AddResponse> AddAsync(AddRequest request, CancellationToken cancellationToken)
    {
        SentenceIndex index = RequireWritable();
        if (request.Entries.Count == 0 || request.Entries.Count > _options.MaxClientBatchSize)
        {
            throw request.Entries.Count == 0
                ? RequestException.Invalid("'entries' is empty; expected at least one entry", "entries")
                : RequestException.TooLarge($"the request has {request.Entries.Count} entries; expected at most {_options.MaxClientBatchSize}", "entries");
        }

        HashSet<string> ids = new(StringComparer.Ordinal);
        foreach (EntryJson entry in RequestBody.Items(request.Entries, "entries"))
        {
            if (entry.Id.Length is 0 or > LongestId || !ids.Add(entry.Id))
            {
                throw RequestException.Invalid($"entry {ids.Count} has the id '{entry.Id[..Math.Min(entry.Id.Length, 100)]}'; expected 1 to {LongestId} characters, and different ids", "entries");
            }
        }

        TokenizedText[] texts = _vectors.Tokenize(TextInputs.Of(request.Entries.Select(entry => entry.Text)), request.Truncate, "entries");
        EmbeddingMatrix encoded = await _vectors.EncodeAsync(texts, cancellationToken);
        IndexEntry[] entries = [.. request.Entries.Select(entry => entry.Metadata is null ? new IndexEntry(entry.Id, entry.Text) : new IndexEntry(entry.Id, entry.Text) { Metadata = entry.Metadata })];
        await WriteAsync(
            async () =>
            {
                await index.AddAsync(entries, encoded, CancellationToken.None);
                return entries.Length;
            },
            cancellationToken);
        return new AddResponse(entries.Length, index.Count);
    }

    public async Task<DeleteResponse> DeleteAsync(IReadOnlyList<string> ids, CancellationToken cancellationToken)
    {
        SentenceIndex index = RequireWritable();
        if (ids.Count > MostIds)
        {
            throw RequestException.TooLarge($"the request has {ids.Count} ids; expected at most {MostIds}", "ids");
        }

        int deleted = await WriteAsync(() => index.DeleteAsync([.. RequestBody.Items(ids, "ids")], CancellationToken.None).AsTask(), cancellationToken);
        return new DeleteResponse(deleted, index.Count);
    }

    public EntryJson Find(string id) => Index.Find(id) is { } entry
        ? new EntryJson(entry.Id, entry.Text, entry.Metadata)
        : throw RequestException.NotFound($"the index has no entry with the id '{id}'");

    public void Dispose() => _oneWriter.Dispose();

    private static IndexFilter.All? Filter(IReadOnlyList<string>? filters)
    {
        try
        {
            return filters is not { Count: > 0 } ? null : new IndexFilter.All([.. RequestBody.Items(filters, "filter").Select(IndexFilter.Parse)]);
        }
        catch (FormatException e)
        {
            throw RequestException.Invalid(e.Message, "filter");
        }
    }

    private static void Require(bool holds, string field, int? value, string expected)
    {
        if (!holds)
        {
            throw RequestException.Invalid($"'{field}' is {value}; expected {expected}", field);
        }
    }

    private SentenceIndex RequireWritable() => Index.ReadOnly
        ? throw RequestException.Invalid("the index is searched only (--read-only)", status: StatusCodes.Status403Forbidden)
        : Index;

    /// <summary>Writers wait here, where they hold no thread; once its turn has come a write is done to its end, whatever becomes of the client.</summary>
    private async Task<int> WriteAsync(Func<Task<int>> write, CancellationToken cancellationToken)
    {
        await _oneWriter.WaitAsync(cancellationToken);
        try
        {
            return await write();
        }
        finally
        {
            _oneWriter.Release();
        }
    }
}
