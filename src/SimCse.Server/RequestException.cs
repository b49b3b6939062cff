using Microsoft.AspNetCore.Http;

namespace SimCse.Server;

/// <summary>A request cannot be answered, and the client is told why.</summary>
/// <param name="status">The HTTP status.</param>
/// <param name="kind">What text-embeddings-inference calls it: <c>error_type</c>.</param>
/// <param name="message">One sentence: where, what was found, what was expected. It goes to the client.</param>
internal sealed class RequestException(int status, string kind, string message) : Exception(message)
{
    public int Status { get; } = status;

    public string Kind { get; } = kind;

    /// <summary>OpenAI's name of the field at fault; null where it is none.</summary>
    public string? Field { get; init; }

    /// <summary>OpenAI's <c>code</c>.</summary>
    public string? Code { get; init; }

    public static RequestException Invalid(string message, string? field = null, int status = StatusCodes.Status400BadRequest) => new(status, "Validation", message) { Field = field };

    public static RequestException TooLarge(string message, string? field = null) => Invalid(message, field, StatusCodes.Status413PayloadTooLarge);

    public static RequestException NotFound(string message) => Invalid(message, field: null, StatusCodes.Status404NotFound);

    public static RequestException Overloaded(string message) => new(StatusCodes.Status429TooManyRequests, "Overloaded", message) { Code = "rate_limit_exceeded" };
}
