using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;

namespace SimCse.Server.Tests;

/// <summary>A thousand requests that are wrong by construction: each is answered with 4xx, and the server goes on.</summary>
public class MalformedRequestTests
{
    private const int Requests = 1000;
    private const int Seed = 20261125;

    private static readonly (string Path, string Body, string[] Required)[] s_valid =
    [
        ("/v1/embeddings", """{"input": ["a text", "another"], "encoding_format": "float", "dimensions": 4}""", ["input"]),
        ("/embed", """{"inputs": ["a text", "another"], "normalize": true, "truncate": false}""", ["inputs"]),
        ("/similarity", """{"inputs": {"source_sentence": "a text", "sentences": ["b", "c"]}}""", ["inputs"]),
        ("/similarity/matrix", """{"rows": ["a text"], "columns": ["b", "c"]}""", ["rows", "columns"]),
        ("/tokenize", """{"inputs": "a text", "add_special_tokens": false}""", ["inputs"]),
        ("/search", """{"query": "a text", "top": 3, "filter": ["a=b"], "highlight": true}""", ["query"]),
        ("/index/entries", """{"entries": [{"id": "a", "text": "b", "metadata": {"c": 1}}]}""", ["entries"]),
        ("/index/delete", """{"ids": ["a"]}""", ["ids"]),
    ];

    private static readonly string[] s_wrong = ["null", "true", "-1", "3.5", "1e999", "{}", "[[[]]]", "[null]", "[{}]", "[true]", "{\"a\": [1]}", "[1.5]", "[\"a\", null]", "[99999999]", "[[1, \"a\"]]", "[-7]"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_thousand_malformed_requests_get_4xx_and_the_server_stays_up()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { RequestTimeout = TimeSpan.FromSeconds(2), PayloadLimit = 200_000 }, index: true);
        Random random = new(Seed);
        (string Kind, byte[] Request)[] requests = [.. Enumerable.Range(0, Requests).Select(i => Malformed(random, i))];
        Assert.True(requests.Select(r => r.Kind).Distinct(StringComparer.Ordinal).Count() >= 15);
        (string Kind, byte[] Request, string Answer)[] answers = new (string, byte[], string)[Requests];
        await Parallel.ForAsync(0, Requests, new ParallelOptions { MaxDegreeOfParallelism = 64, CancellationToken = Cancellation }, async (i, _) => answers[i] = (requests[i].Kind, requests[i].Request, await AnswerAsync(server, requests[i].Request)));
        Assert.All(answers, answer => Assert.True(
            answer.Answer.StartsWith("HTTP/1.1 4", StringComparison.Ordinal),
            $"{answer.Kind}: {Encoding.Latin1.GetString(answer.Request, 0, Math.Min(300, answer.Request.Length))}\n→ {answer.Answer}"));
        Assert.All(answers, answer => Assert.DoesNotContain("   at ", answer.Answer, StringComparison.Ordinal));

        string metrics = await server.Client.GetStringAsync("/metrics", Cancellation);
        Assert.DoesNotContain("status=\"5", metrics, StringComparison.Ordinal);
        Assert.Equal(0, await LimitTests.MetricAsync(server, "simcse_requests_in_flight"));
        Assert.Equal(0, server.Index!.Count);
        foreach ((string path, string body, _) in s_valid)
        {
            await server.PostedAsync(path, body);
        }
    }

    private static (string Kind, byte[] Request) Malformed(Random random, int i)
    {
        (string path, string body, string[] required) = s_valid[random.Next(s_valid.Length)];
        byte[] utf8 = Encoding.UTF8.GetBytes(body);
        switch (i % 20)
        {
            case 0:
                return ("cut short", Post(path, utf8[..random.Next(1, utf8.Length)]));
            case 1:
                return ("empty", Post(path, []));
            case 2:
                byte[] noise = new byte[random.Next(1, 400)];
                random.NextBytes(noise);
                noise[0] |= 0x80; // nothing that is JSON begins so
                return ("noise", Post(path, noise));
            case 3:
                string[] bad = ["\xC3(", "\xFF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xC0\xAF"];
                int at = body.IndexOf("\"a text\"", StringComparison.Ordinal) is >= 0 and int found ? found + 1 : 2;
                return ("invalid UTF-8", Post(path, [.. utf8[..at], .. Encoding.Latin1.GetBytes(bad[random.Next(bad.Length)]), .. utf8[at..]]));
            case 4:
                JsonObject json = JsonNode.Parse(body)!.AsObject();
                json[required[random.Next(required.Length)]] = JsonNode.Parse(s_wrong[random.Next(s_wrong.Length)]);
                return ("wrong kind", Post(path, Encoding.UTF8.GetBytes(json.ToJsonString())));
            case 5:
                JsonObject missing = JsonNode.Parse(body)!.AsObject();
                missing.Remove(required[random.Next(required.Length)]);
                return ("missing field", Post(path, Encoding.UTF8.GetBytes(missing.ToJsonString())));
            case 6:
                return ("many elements", Post(path, Encoding.UTF8.GetBytes($$"""{"{{required[0]}}": [{{string.Join(',', Enumerable.Repeat(random.Next(2) == 0 ? "\"a\"" : "[1]", random.Next(2000, 40_000)))}}]}""")));
            case 7:
                int depth = random.Next(20, 50_000);
                return ("deep", Post(path, Encoding.UTF8.GetBytes($$"""{"{{required[0]}}": {{new string('[', depth)}}{{new string(']', depth)}}}""")));
            case 8:
                return ("too large", Post(path, Encoding.UTF8.GetBytes($$"""{"{{required[0]}}": "{{new string('x', random.Next(200_001, 400_000))}}"}""")));
            case 9:
                return ("half a surrogate pair", Post("/embed", Encoding.UTF8.GetBytes("""{"inputs": "\uD83D"}""")));
            case 10:
                return ("duplicate field", Post(path, Encoding.UTF8.GetBytes($"{body[..^1]}, {body[1..]}")));
            case 11:
                (string range, string value) = random.Next(6) switch
                {
                    0 => ("/v1/embeddings", $$"""{"input": "a", "dimensions": {{random.Next(-5, 1)}}}"""),
                    1 => ("/v1/embeddings", $$"""{"input": "a", "dimensions": {{random.Next(1000, 1_000_000)}}}"""),
                    2 => ("/search", $$"""{"query": "a", "top": {{random.Next(1001, int.MaxValue)}}}"""),
                    3 => ("/search", """{"query": "a", "top": 99999999999999}"""),
                    4 => ("/embed", $$"""{"inputs": [[{{random.Next(1_000_000, int.MaxValue)}}]]}"""),
                    _ => ("/search", $$"""{"query": "a", "filter": ["{{random.Next()}}"]}"""),
                };
                return ("out of range", Post(range, Encoding.UTF8.GetBytes(value)));
            case 12:
                return ("another content type", Post(path, utf8, "Content-Type: " + (random.Next(3) switch { 0 => "text/plain", 1 => "application/xml", _ => "application/json; charset=latin1" })));
            case 13:
                string[] lengths = ["-1", "abc", "99999999999999999999", "1, 2", ""];
                return ("content length", Raw($"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {lengths[random.Next(lengths.Length)]}\r\n\r\n{body}"));
            case 14:
                string[] chunks = ["zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n", "5\r\nhelloworld\r\n0\r\n\r\n", "ffffffffffffffff\r\nx"];
                return ("chunks", Raw($"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunks[random.Next(chunks.Length)]}"));
            case 15:
                string[] lines = ["GET\r\n\r\n", "POST /embed\r\n\r\n", "\x16\x03\x01 what is this\r\n\r\n", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n"];
                return ("request line", Raw(lines[random.Next(lines.Length)]));
            case 16:
                return ("large headers", Raw($"GET /info HTTP/1.1\r\nHost: localhost\r\nX-Large: {new string('h', random.Next(40_000, 100_000))}\r\n\r\n"));
            case 17:
                return ("no such thing", Raw($"{(random.Next(2) == 0 ? "GET" : "PATCH")} /{random.Next()} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
            case 18:
                return ("another method", Raw($"{(random.Next(3) switch { 0 => "GET", 1 => "PUT", _ => "DELETE" })} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"));
            default:
                return ("slow body", Raw($"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {utf8.Length + 100}\r\n\r\n{body}"));
        }
    }

    private static byte[] Raw(string request) => Encoding.Latin1.GetBytes(request);

    private static byte[] Post(string path, byte[] body, string type = "Content-Type: application/json") =>
        [.. Raw(string.Create(CultureInfo.InvariantCulture, $"POST {path} HTTP/1.1\r\nHost: localhost\r\n{type}\r\nContent-Length: {body.Length}\r\n\r\n")), .. body];

    /// <summary>What comes back before the server closes, or goes on to wait: the request is whole.</summary>
    private static async Task<string> AnswerAsync(RunningServer server, byte[] request)
    {
        using TcpClient client = new();
        await client.ConnectAsync("127.0.0.1", server.Address.Port, Cancellation);
        NetworkStream stream = client.GetStream();
        try
        {
            await stream.WriteAsync(request, Cancellation);
        }
        catch (IOException)
        {
            // Refused before it was whole: the answer is there.
        }

        byte[] answer = new byte[8192];
        int read = 0;
        try
        {
            read = await stream.ReadAsync(answer, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Cancellation);
        }
        catch (Exception e) when (e is IOException or TimeoutException)
        {
            return e.Message;
        }

        return Encoding.Latin1.GetString(answer, 0, read);
    }
}
