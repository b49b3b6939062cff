using System.Buffers;
using System.IO.Pipelines;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using System.Text.RegularExpressions;
using System.Text.Unicode;
using Microsoft.AspNetCore.Http;
using Microsoft.Net.Http.Headers;

namespace SimCse.Server.Api;

/// <summary>The JSON body of a request: read within a time and a size, checked, and then trusted.</summary>
internal sealed partial class RequestBody(EmbeddingServerOptions options)
{
    /// <summary>The body as a <typeparamref name="T"/>.</summary>
    /// <exception cref="RequestException">It is not one, it is too large, or it does not come in time; the message says where and what was expected.</exception>
    public async Task<T> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type)
        where T : class
    {
        // A page of another site can send a body of any other type without the browser asking us first.
        if (!MediaTypeHeaderValue.TryParse(context.Request.ContentType, out MediaTypeHeaderValue? content) || !content.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase)
            || (content.Charset.HasValue && !content.Charset.Equals("utf-8", StringComparison.OrdinalIgnoreCase) && !content.Charset.Equals("\"utf-8\"", StringComparison.OrdinalIgnoreCase)))
        {
            throw RequestException.Invalid($"the content type is {(context.Request.ContentType is { Length: > 0 } given ? $"'{given}'" : "missing")}; expected application/json", status: StatusCodes.Status415UnsupportedMediaType);
        }

        if (context.Request.Headers.ContentEncoding.Count > 0)
        {
            throw RequestException.Invalid("the body is encoded (Content-Encoding); expected plain JSON", status: StatusCodes.Status415UnsupportedMediaType);
        }

        PipeReader reader = context.Request.BodyReader;
        using CancellationTokenSource time = new(options.RequestTimeout);
        using CancellationTokenRegistration late = time.Token.UnsafeRegister(static state => ((PipeReader)state!).CancelPendingRead(), reader);
        while (true)
        {
            ReadResult read = await ReadAsync(reader, context.RequestAborted);
            SequencePosition examined = read.Buffer.End, consumed = read.Buffer.Start;
            try
            {
                if (read.IsCanceled)
                {
                    context.Response.Headers.Connection = "close";
                    throw RequestException.Invalid($"the body was not there within {options.RequestTimeout.TotalSeconds:0.#} seconds", status: StatusCodes.Status408RequestTimeout);
                }

                if (read.Buffer.Length > options.PayloadLimit || context.Request.ContentLength > options.PayloadLimit)
                {
                    throw RequestException.TooLarge($"the body has more than {options.PayloadLimit} bytes, which is as many as one may have");
                }

                if (read.IsCompleted)
                {
                    consumed = examined;
                    return Parse(read.Buffer, type);
                }
            }
            finally
            {
                reader.AdvanceTo(consumed, examined);
            }
        }
    }

    private static async ValueTask<ReadResult> ReadAsync(PipeReader reader, CancellationToken aborted)
    {
        try
        {
            return await reader.ReadAsync(aborted);
        }
        catch (IOException e) when (e is not BadHttpRequestException && !aborted.IsCancellationRequested)
        {
            throw RequestException.Invalid($"the body cannot be read: {e.Message}"); // chunks that are none
        }
    }

    /// <summary>The items of a list, none of which is null.</summary>
    /// <exception cref="RequestException">One is.</exception>
    public static IReadOnlyList<T> Items<T>(IReadOnlyList<T> list, string field)
        where T : class
    {
        int at = list.TakeWhile(item => item is not null).Count();
        return at == list.Count ? list : throw RequestException.Invalid($"{field}[{at}] is null", field);
    }

    private static T Parse<T>(ReadOnlySequence<byte> bytes, JsonTypeInfo<T> type)
    {
        if (bytes.IsSingleSegment)
        {
            return Parse(bytes.FirstSpan, type);
        }

        byte[] whole = ArrayPool<byte>.Shared.Rent((int)bytes.Length);
        try
        {
            bytes.CopyTo(whole);
            return Parse(whole.AsSpan(0, (int)bytes.Length), type);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(whole);
        }
    }

    private static T Parse<T>(ReadOnlySpan<byte> utf8, JsonTypeInfo<T> type)
    {
        if (utf8.IsEmpty)
        {
            throw RequestException.Invalid("the request has no body; expected a JSON object");
        }

        if (!Utf8.IsValid(utf8))
        {
            throw RequestException.Invalid("the body is not valid UTF-8, which JSON must be");
        }

        try
        {
            return JsonSerializer.Deserialize(utf8, type) ?? throw RequestException.Invalid("the body is null; expected a JSON object");
        }
        catch (JsonException e)
        {
            string? field = e.Path is { Length: > 2 } path ? path[2..] : null;
            throw RequestException.Invalid($"{(field is null ? "the body" : field)}: {Explain(e)}", field);
        }
    }

    /// <summary>What is wrong, in words of JSON instead of C#.</summary>
    private static string Explain(JsonException e)
    {
        string place = e.LineNumber is { } line ? $" (line {line + 1}, byte {e.BytePositionInLine + 1})" : "";
        if (e.InnerException is InvalidOperationException inner && WrongToken().Match(inner.Message) is { Success: true } token)
        {
            return $"expected {(token.Groups["kind"].Value is "boolean" ? "true or false" : "a " + token.Groups["kind"].Value)}{place}";
        }

        if (WrongKind().Match(e.Message) is { Success: true } wrong)
        {
            return $"expected {Name(wrong.Groups["type"].Value)}{place}";
        }

        if (Missing().Match(e.Message) is { Success: true } missing)
        {
            return $"{missing.Groups["names"].Value.Replace('\'', '"')} is missing";
        }

        if (Twice().Match(e.Message) is { Success: true } twice)
        {
            return $"\"{twice.Groups["name"].Value}\" is there twice{place}";
        }

        string message = Position().Replace(e.Message, "");
        return message.TrimEnd('.') + place;
    }

    private static string Name(string type) => type switch
    {
        _ when type.Contains("Boolean", StringComparison.Ordinal) => "true or false",
        _ when type.Contains("Int32", StringComparison.Ordinal) => "a whole number",
        _ when type.Contains("[]", StringComparison.Ordinal) || type.Contains("List", StringComparison.Ordinal) => "an array",
        _ when type.EndsWith("System.String", StringComparison.Ordinal) => "a string",
        _ => "an object",
    };

    [GeneratedRegex("could not be converted to (?<type>.+?)\\. (Path|LineNumber)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex WrongKind();

    [GeneratedRegex("token type '\\w+' as a (?<kind>\\w+)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex WrongToken();

    [GeneratedRegex("Duplicate property '(?<name>.*)' encountered", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Twice();

    [GeneratedRegex("missing required properties including: (?<names>.+?)\\.$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Missing();

    [GeneratedRegex(" ?(Path: .*)?\\|? ?LineNumber: .*$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Position();
}
