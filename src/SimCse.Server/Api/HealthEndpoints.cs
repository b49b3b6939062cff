using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using SimCse.Server.Telemetry;

namespace SimCse.Server.Api;

/// <summary>Whether the server lives, whether it wants requests, and what it has counted.</summary>
internal static class HealthEndpoints
{
    public static void Map(IEndpointRouteBuilder routes, ServerJson json)
    {
        RouteGroupBuilder group = routes.MapGroup("").WithTags("Operation");
        group.MapGet("/health", () => TypedResults.Json(new HealthResponse("ok"), json.HealthResponse))
            .WithSummary("Whether the server lives").Produces<HealthResponse>().WithMetadata(OpenToAll.Instance);
        group.MapGet("/health/ready", (Readiness readiness) => readiness.IsReady
                ? TypedResults.Json(new HealthResponse("ready"), json.HealthResponse)
                : TypedResults.Json(new HealthResponse("stopping"), json.HealthResponse, statusCode: StatusCodes.Status503ServiceUnavailable))
            .WithSummary("Whether new requests should be sent here").Produces<HealthResponse>().Produces<HealthResponse>(503).WithMetadata(OpenToAll.Instance);
        group.MapGet("/metrics", (ServerMetrics metrics) => TypedResults.Text(metrics.Text.Write(), PrometheusText.ContentType))
            .WithSummary("What the server has counted, as Prometheus reads it").Produces<string>(200, "text/plain").WithErrors<ErrorResponse>(401);
    }
}

/// <summary>Whether all is well.</summary>
/// <param name="Status">ok; ready or stopping.</param>
internal sealed record HealthResponse(string Status);

/// <summary>Turns false when the server is asked to stop.</summary>
internal sealed class Readiness
{
    private volatile bool _stopping;

    public bool IsReady => !_stopping;

    public void Stop() => _stopping = true;
}

/// <summary>Metadata of an endpoint that needs no API key.</summary>
internal sealed class OpenToAll
{
    public static OpenToAll Instance { get; } = new();
}

internal static class EndpointErrors
{
    /// <summary>Describes the errors of an endpoint.</summary>
    public static RouteHandlerBuilder WithErrors<T>(this RouteHandlerBuilder endpoint, params int[] statuses)
    {
        foreach (int status in statuses)
        {
            endpoint.Produces<T>(status);
        }

        return endpoint;
    }
}
