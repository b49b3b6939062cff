using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using SimCse.Evaluation;

namespace SimCse.Server.Api;

/// <summary>The training run that the page shows while it trains.</summary>
internal static class RunEndpoints
{
    public static void Map(IEndpointRouteBuilder routes, ServerJson json) =>
        routes.MapGet("/run/metrics", (int? after, ServedRun run) => TypedResults.Json(run.Read(after ?? -1), json.RunResponse))
            .WithTags("Run").WithSummary("What the training run of --run has written about itself, from the step after 'after' on").Produces<RunResponse>().WithErrors<ErrorResponse>(400, 401, 404);
}

/// <summary>The metrics of a run.</summary>
/// <param name="Name">The directory's.</param>
/// <param name="LastStep">The last step that is there, −1 where there is none. Where it is below what was there before, the run began anew.</param>
/// <param name="Lines">Those after the step asked for.</param>
internal sealed record RunResponse(string Name, int LastStep, IReadOnlyList<MetricsLine> Lines);

/// <summary>The training run that is served, if there is one.</summary>
internal sealed class ServedRun(EmbeddingServerOptions options)
{
    private readonly MetricsLog? _log = options.RunDirectory is { } directory ? new MetricsLog(directory) : null;

    /// <exception cref="RequestException">There is none, or its file is not one: 404.</exception>
    public RunResponse Read(int after)
    {
        if (_log is null)
        {
            throw RequestException.NotFound("this server shows no training run; it was started without --run");
        }

        string name = Path.GetFileName(Path.GetFullPath(options.RunDirectory!).TrimEnd(Path.DirectorySeparatorChar));
        try
        {
            lock (_log)
            {
                IReadOnlyList<MetricsLine> lines = _log.ReadOn();
                return new RunResponse(name, lines.Count == 0 ? -1 : lines[^1].Step, [.. lines.Where(line => line.Step > after)]);
            }
        }
        catch (FileNotFoundException)
        {
            return new RunResponse(name, -1, []); // it has not begun
        }
        catch (InvalidDataException e)
        {
            throw RequestException.NotFound(Path.GetFileName(e.Message)); // the client need not know where the file lies
        }
    }
}
