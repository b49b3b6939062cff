using System.Diagnostics;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using SimCse.Server.Api;
using SimCse.Server.Security;
using SimCse.Server.Telemetry;

namespace SimCse.Server;

/// <summary>Around every request: headers that browsers heed, the host's name, errors in the form that the client of the route expects, and the count.</summary>
internal sealed class RequestPipeline(RequestDelegate next, IServiceProvider services, ServerJson json)
{
    // Everything of the page comes from here, and nothing is written in line.
    private const string ContentSecurityPolicy =
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private readonly HostNames _hostNames = services.GetRequiredService<HostNames>();
    private readonly ServerMetrics _metrics = services.GetRequiredService<ServerMetrics>();
    private readonly ILogger _log = services.GetRequiredService<ILogger<EmbeddingServer>>();

    public async Task InvokeAsync(HttpContext context)
    {
        long start = Stopwatch.GetTimestamp();
        bool gone = false;
        IHeaderDictionary headers = context.Response.Headers;
        headers.ContentSecurityPolicy = ContentSecurityPolicy;
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers.CacheControl = "no-store";
        try
        {
            _hostNames.Require(context);
            await next(context);
            if (!context.Response.HasStarted && context.Response.StatusCode is StatusCodes.Status404NotFound or StatusCodes.Status405MethodNotAllowed)
            {
                await WriteAsync(context, context.Response.StatusCode == StatusCodes.Status405MethodNotAllowed
                    ? RequestException.Invalid($"{context.Request.Path} does not take {context.Request.Method}; expected {context.Response.Headers.Allow}", status: StatusCodes.Status405MethodNotAllowed)
                    : RequestException.NotFound($"there is nothing at {context.Request.Path}; /openapi/v1.json says what there is"));
            }
        }
        catch (RequestException e)
        {
            await WriteAsync(context, e);
        }
        catch (BadHttpRequestException e)
        {
            await WriteAsync(context, RequestException.Invalid(e.Message, status: e.StatusCode));
        }
        catch (Exception e) when (context.RequestAborted.IsCancellationRequested && e is (OperationCanceledException or IOException))
        {
            gone = true; // nobody reads an answer; it is counted
        }
        catch (OperationCanceledException)
        {
            await WriteAsync(context, new RequestException(StatusCodes.Status503ServiceUnavailable, "Overloaded", "the request was not answered in the time that it may take; try again later"));
        }
        catch (Exception e)
        {
            _log.LogError(e, "{Method} {Path} failed", context.Request.Method, context.Request.Path);
            await WriteAsync(context, new RequestException(StatusCodes.Status500InternalServerError, "Backend", "the server failed; its log says why"));
        }

        _metrics.RequestDone((context.GetEndpoint() as RouteEndpoint)?.RoutePattern.RawText ?? "none", gone ? StatusCodes.Status499ClientClosedRequest : context.Response.StatusCode, Stopwatch.GetElapsedTime(start));
    }

    private async Task WriteAsync(HttpContext context, RequestException error)
    {
        if (context.Response.HasStarted)
        {
            context.Abort(); // a half-written answer must not look like a whole one
            return;
        }

        context.Response.StatusCode = error.Status;
        if (error.Status is StatusCodes.Status429TooManyRequests or StatusCodes.Status503ServiceUnavailable)
        {
            context.Response.Headers.RetryAfter = "1";
        }

        if (context.Request.Path.StartsWithSegments("/v1", StringComparison.Ordinal))
        {
            string type = error.Status switch
            {
                StatusCodes.Status401Unauthorized => "authentication_error",
                StatusCodes.Status429TooManyRequests => "rate_limit_error",
                >= 500 => "server_error",
                _ => "invalid_request_error",
            };
            await context.Response.WriteAsJsonAsync(new OpenAiError(new OpenAiErrorDetail(error.Message, type, error.Field, error.Code)), json.OpenAiError, contentType: null, CancellationToken.None);
        }
        else
        {
            await context.Response.WriteAsJsonAsync(new ErrorResponse(error.Message, error.Kind), json.ErrorResponse, contentType: null, CancellationToken.None);
        }
    }
}

/// <summary>Lets in the requests that bring a key, and those for what is open to all.</summary>
internal sealed class KeyedRequests(RequestDelegate next, IServiceProvider services)
{
    private readonly ApiKeys _keys = services.GetRequiredService<ApiKeys>();

    public Task InvokeAsync(HttpContext context)
    {
        if (context.GetEndpoint()?.Metadata.GetMetadata<OpenToAll>() is null)
        {
            _keys.Require(context);
        }

        return next(context);
    }
}
