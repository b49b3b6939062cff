using System.Text.Json.Serialization;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using SimCse.Search;
using SimCse.Server.Batching;

namespace SimCse.Server.Api;

/// <summary>The index: searched, added to, deleted from, and looked at.</summary>
internal static class IndexEndpoints
{
    private static readonly int[] s_errors = [400, 401, 403, 404, 408, 413, 415, 429, 503];

    public static void Map(IEndpointRouteBuilder routes, ServerJson json)
    {
        RouteGroupBuilder group = routes.MapGroup("").WithTags("Index");
        group.MapPost("/search", async (HttpContext context, RequestBody body, RequestLimit limit, ServedIndex index) =>
            {
                SearchRequest request = await body.ReadAsync(context, json.SearchRequest);
                using RequestLimit.Place place = limit.Enter(context);
                return TypedResults.Json(await index.SearchAsync(request, place.CancellationToken), json.SearchResponse);
            })
            .WithSummary("The entries most like each of some texts, best first")
            .Accepts<SearchRequest>("application/json").Produces<SearchResponse>().WithErrors<ErrorResponse>(s_errors);
        group.MapGet("/index", (ServedIndex index) => TypedResults.Json(index.Describe(), json.IndexResponse))
            .WithSummary("What the index holds").Produces<IndexResponse>().WithErrors<ErrorResponse>(401, 404);
        group.MapPost("/index/entries", async (HttpContext context, RequestBody body, RequestLimit limit, ServedIndex index) =>
            {
                AddRequest request = await body.ReadAsync(context, json.AddRequest);
                using RequestLimit.Place place = limit.Enter(context);
                return TypedResults.Json(await index.AddAsync(request, place.CancellationToken), json.AddResponse);
            })
            .WithSummary("Adds entries, all or none; one whose id is there is replaced. They are on the disk when this answers")
            .Accepts<AddRequest>("application/json").Produces<AddResponse>().WithErrors<ErrorResponse>(s_errors);
        group.MapPost("/index/delete", async (HttpContext context, RequestBody body, ServedIndex index) =>
            {
                DeleteRequest request = await body.ReadAsync(context, json.DeleteRequest);
                return TypedResults.Json(await index.DeleteAsync(request.Ids, context.RequestAborted), json.DeleteResponse);
            })
            .WithSummary("Deletes the entries of these ids. They are gone from the disk when this answers")
            .Accepts<DeleteRequest>("application/json").Produces<DeleteResponse>().WithErrors<ErrorResponse>(s_errors);
        group.MapGet("/index/entries/{**id}", (string id, ServedIndex index) => TypedResults.Json(index.Find(id), json.EntryJson))
            .WithSummary("The entry of this id").Produces<EntryJson>().WithErrors<ErrorResponse>(401, 404);
        group.MapDelete("/index/entries/{**id}", async (HttpContext context, string id, ServedIndex index) =>
                await index.DeleteAsync([id], context.RequestAborted) is { Deleted: > 0 } deleted ? TypedResults.Json(deleted, json.DeleteResponse) : throw RequestException.NotFound($"the index has no entry with the id '{id}'"))
            .WithSummary("Deletes the entry of this id").Produces<DeleteResponse>().WithErrors<ErrorResponse>(401, 403, 404);
        group.MapGet("/index/map", async (int? most, HttpContext context, IndexViews views) => TypedResults.Json(await views.MapAsync(most, context.RequestAborted), json.MapResponse))
            .WithSummary("Entries, evenly spread over the index, on the plane of the first two principal components of their vectors").Produces<MapResponse>().WithErrors<ErrorResponse>(400, 401, 404);
        group.MapGet("/index/spectrum", async (HttpContext context, IndexViews views) => TypedResults.Json(await views.SpectrumAsync(context.RequestAborted), json.SpectrumResponse))
            .WithSummary("The singular values of the vectors of entries, and measures of how they lie").Produces<SpectrumResponse>().WithErrors<ErrorResponse>(401, 404);
    }
}

/// <summary>What <c>POST /search</c> takes.</summary>
/// <param name="Query">A text, or an array of texts.</param>
/// <param name="Top">Hits a query: 10 where it is not given, at most 1,000.</param>
/// <param name="Filter">What the metadata of hits must all fulfil, such as <c>lang=en</c> or <c>year&gt;=2020</c>.</param>
/// <param name="Breadth">Candidates that a walk over the graph keeps in view; the index's choice where it is not given.</param>
/// <param name="Exact">Whether to compare with every entry.</param>
/// <param name="Highlight">Whether to find the words of each hit that make it one: only with at most 20 hits.</param>
internal sealed record SearchRequest([property: JsonRequired] TextInputs Query, int? Top = null, IReadOnlyList<string>? Filter = null, int? Breadth = null, bool? Exact = null, bool? Highlight = null);

/// <summary>The hits of each query.</summary>
internal sealed record SearchResponse(IReadOnlyList<QueryHits> Results);

/// <summary>A query and its hits, best first.</summary>
internal sealed record QueryHits(string Query, IReadOnlyList<Hit> Hits);

/// <summary>A hit.</summary>
/// <param name="Id">The entry's.</param>
/// <param name="Score">The cosine of its vector with the query's.</param>
/// <param name="Text">The entry's.</param>
/// <param name="Metadata">The entry's.</param>
/// <param name="Words">Where highlighting was asked for: the words without which the score would be lower, from the one that matters most.</param>
internal sealed record Hit(
    string Id, float Score, string Text, IReadOnlyDictionary<string, MetadataValue> Metadata, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] IReadOnlyList<WordWeight>? Words);

/// <summary>A word of a hit.</summary>
/// <param name="Start">Where it begins in the text, in UTF-16 code units, as JavaScript and C# count.</param>
/// <param name="End">Where it ends.</param>
/// <param name="Weight">How much lower the score is without it, divided by what the most important word gives: above 0, at most 1.</param>
internal sealed record WordWeight(int Start, int End, float Weight);

/// <summary>What <c>POST /index/entries</c> takes.</summary>
internal sealed record AddRequest([property: JsonRequired] IReadOnlyList<EntryJson> Entries, bool? Truncate = null);

/// <summary>An entry.</summary>
/// <param name="Id">What it is called; at most 1,024 characters.</param>
/// <param name="Text">The text.</param>
/// <param name="Metadata">Strings, numbers and booleans by name.</param>
internal sealed record EntryJson([property: JsonRequired] string Id, [property: JsonRequired] string Text, IReadOnlyDictionary<string, MetadataValue>? Metadata = null);

/// <summary>What was added.</summary>
/// <param name="Added">Entries added or replaced.</param>
/// <param name="Entries">Entries of the index now.</param>
internal sealed record AddResponse(int Added, int Entries);

/// <summary>What <c>POST /index/delete</c> takes.</summary>
internal sealed record DeleteRequest([property: JsonRequired] IReadOnlyList<string> Ids);

/// <summary>What was deleted.</summary>
/// <param name="Deleted">Entries that were there.</param>
/// <param name="Entries">Entries of the index now.</param>
internal sealed record DeleteResponse(int Deleted, int Entries);

/// <summary>What the index holds.</summary>
/// <param name="Entries">Entries.</param>
/// <param name="Deleted">Deleted or replaced ones that still take their place on the disk.</param>
/// <param name="InGraph">Entries that the graph has taken up; the others are scanned.</param>
/// <param name="Dimensions">Components of a vector.</param>
/// <param name="Bytes">Of the entries' file.</param>
/// <param name="ReadOnly">Whether it is searched only.</param>
internal sealed record IndexResponse(int Entries, int Deleted, int InGraph, int Dimensions, long Bytes, bool ReadOnly);

/// <summary>Entries on a plane.</summary>
/// <param name="Points">One for each entry.</param>
/// <param name="Explained">The share of the variance of the vectors that each axis shows.</param>
/// <param name="Entries">Entries of the index, of which these are some.</param>
internal sealed record MapResponse(IReadOnlyList<MapPoint> Points, IReadOnlyList<double> Explained, int Entries);

/// <summary>An entry on the plane.</summary>
internal sealed record MapPoint(string Id, string Text, double X, double Y);

/// <summary>How the vectors of entries lie.</summary>
/// <param name="SingularValues">Largest first, the largest 1.</param>
/// <param name="EffectiveRank">e to the entropy of the singular values.</param>
/// <param name="MeanCosine">Of pairs of different entries.</param>
/// <param name="Uniformity">log of the mean of e^(−2 ‖x − y‖²) over pairs of different entries.</param>
/// <param name="Sampled">Entries that were measured.</param>
internal sealed record SpectrumResponse(IReadOnlyList<double> SingularValues, double EffectiveRank, double MeanCosine, double Uniformity, int Sampled);
