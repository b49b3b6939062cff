using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using SimCse.Cli.Tests;

namespace SimCse.Server.Tests;

public partial class SafetyTests
{
    private const string Key = "a-key-of-the-tests-0001", OtherKey = "a-key-of-the-tests-0002";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("0.0.0.0", false, false)]
    [InlineData("::", false, false)]
    [InlineData("192.0.2.1", false, false)]
    [InlineData("0.0.0.0", true, true)]
    [InlineData("127.0.0.1", false, true)]
    [InlineData("localhost", false, true)]
    [InlineData("::1", false, true)]
    public void Other_machines_are_served_with_keys_only_unless_told_otherwise(string host, bool keys, bool allowed)
    {
        EmbeddingServerOptions options = new() { ModelName = "m", Host = host, ApiKeys = keys ? [Key] : [] };
        Assert.Equal(allowed, Record.Exception(options.Validate) is null);
        (options with { AllowAnonymous = true }).Validate();
    }

    [Theory]
    [InlineData("short")]
    [InlineData("a key with spaces in it")]
    [InlineData("ein-schlüssel-der-keiner-ist")]
    public void A_key_that_a_header_cannot_carry_or_that_is_guessed_is_refused(string key) =>
        Assert.Throws<ArgumentException>(new EmbeddingServerOptions { ModelName = "m", ApiKeys = [key] }.Validate);

    [Fact]
    public async Task A_request_needs_one_of_the_keys_but_for_health_and_the_page()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { ApiKeys = [Key, OtherKey] }, index: true);
        foreach (string path in new[] { "/info", "/metrics", "/index", "/index/map", "/v1/models", "/nothing" })
        {
            Assert.Equal(401, await StatusAsync(server, path, null));
            Assert.Equal(401, await StatusAsync(server, path, "Bearer " + Key[..^1]));
            Assert.Equal(401, await StatusAsync(server, path, "Bearer"));
            Assert.Equal(401, await StatusAsync(server, path, "Basic " + Key));
            int expected = path is "/nothing" ? 404 : 200;
            Assert.Equal(expected, await StatusAsync(server, path, "Bearer " + Key));
            Assert.Equal(expected, await StatusAsync(server, path, "bearer " + OtherKey));
        }

        foreach (string path in new[] { "/health", "/health/ready", "/", "/page/page.css", "/openapi/v1.json" })
        {
            Assert.Equal(200, await StatusAsync(server, path, null));
        }

        await server.RefusedAsync(401, "/embed", """{"inputs": "a"}""", "Authorization: Bearer KEY");
    }

    [Fact]
    public async Task A_name_of_a_site_that_leads_to_loopback_is_not_ours()
    {
        await using RunningServer server = await RunningServer.StartAsync(), named = await RunningServer.StartAsync(options => options with { AllowedHosts = ["vectors.example"] });
        Assert.Equal(421, await StatusOfHostAsync(server, "attacker.example"));
        Assert.Equal(421, await StatusOfHostAsync(server, "attacker.example:8080"));
        Assert.Equal(200, await StatusOfHostAsync(server, "localhost:1234"));
        Assert.Equal(200, await StatusOfHostAsync(server, "127.0.0.1"));
        Assert.Equal(200, await StatusOfHostAsync(server, "[::1]:80"));
        Assert.Equal(200, await StatusOfHostAsync(named, "vectors.example"));
        Assert.Equal(421, await StatusOfHostAsync(named, "localhost"));
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("multipart/form-data; boundary=x")]
    [InlineData("application/json; charset=utf-16")]
    [InlineData(null)]
    public async Task A_body_that_a_page_of_another_site_could_send_is_not_read(string? type)
    {
        await using RunningServer server = await RunningServer.StartAsync(index: true);
        using ByteArrayContent content = new(Encoding.UTF8.GetBytes("""{"entries": [{"id": "a", "text": "a"}]}"""));
        content.Headers.ContentType = type is null ? null : MediaTypeHeaderValue.Parse(type);
        using HttpResponseMessage response = await server.Client.PostAsync("/index/entries", content, Cancellation);
        Assert.Equal(HttpStatusCode.UnsupportedMediaType, response.StatusCode);
        Assert.Equal(0, server.Index!.Count);
    }

    [Fact]
    public async Task Browsers_are_told_what_the_page_may_do()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        using HttpResponseMessage page = await server.Client.GetAsync("/", Cancellation);
        string policy = page.Headers.GetValues("Content-Security-Policy").Single();
        Assert.Contains("default-src 'none'", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("unsafe", policy, StringComparison.Ordinal);
        Assert.DoesNotContain("http", policy, StringComparison.Ordinal);
        Assert.Equal("nosniff", page.Headers.GetValues("X-Content-Type-Options").Single());
        Assert.Contains("frame-ancestors 'none'", policy, StringComparison.Ordinal);
        Assert.False(page.Headers.Contains("Server"));
        Assert.False(page.Headers.Contains("Access-Control-Allow-Origin"));
    }

    [Fact]
    public async Task The_page_names_no_other_host_and_writes_nothing_in_line()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        string html = await server.Client.GetStringAsync("/", Cancellation);
        Assert.DoesNotMatch(InLine(), html);
        string[] files = [.. Reference().Matches(html).Select(match => match.Groups["path"].Value)];
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            string text = await server.Client.GetStringAsync(file, Cancellation);
            Assert.DoesNotContain("https://", text, StringComparison.Ordinal);
            Assert.DoesNotContain("http://", text.Replace("http://www.w3.org/2000/svg", "", StringComparison.Ordinal), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Stopping_says_not_ready_first_answers_what_is_under_way_and_then_nothing()
    {
        RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel, options => options with { DrainDelay = TimeSpan.FromSeconds(1) });
        await using (server)
        {
            Assert.Equal(200, await StatusAsync(server, "/health/ready", null));
            Task<JsonNode> underWay = server.PostedAsync("/embed", $$"""{"inputs": [{{string.Join(", ", Enumerable.Repeat($"\"{string.Concat(Enumerable.Repeat("some words ", 60))}\"", 32))}}], "truncate": true}""");
            Task stopping = server.Server.StopAsync(Cancellation);
            Assert.Equal(503, await StatusAsync(server, "/health/ready", null));
            Assert.Equal(200, await StatusAsync(server, "/health", null));
            await server.PostedAsync("/embed", """{"inputs": "still served"}""");
            Assert.Equal(32, (await underWay).AsArray().Count);
            await stopping;
            await Assert.ThrowsAsync<HttpRequestException>(() => server.GotAsync("/health"));
        }
    }

    [Fact]
    public async Task Metrics_are_Prometheus_text_and_count_what_was_done()
    {
        await using RunningServer server = await RunningServer.StartAsync(index: true);
        await server.PostedAsync("/embed", """{"inputs": ["a", "b"]}""");
        await server.RefusedAsync(400, "/embed", "{}", "missing");
        string text = await server.Client.GetStringAsync("/metrics", Cancellation);
        Assert.All(text.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.Matches(MetricsLine(), line));
        Assert.Contains("""simcse_requests_total{route="/embed",status="200"} 1""" + "\n", text, StringComparison.Ordinal);
        Assert.Contains("""simcse_requests_total{route="/embed",status="400"} 1""" + "\n", text, StringComparison.Ordinal);
        Assert.Contains("simcse_texts_total 2\n", text, StringComparison.Ordinal);
        Assert.Contains("simcse_index_entries 0\n", text, StringComparison.Ordinal);
        Assert.Contains("""simcse_request_duration_seconds_count{route="/embed"} 2""" + "\n", text, StringComparison.Ordinal);
        Assert.Contains("""simcse_request_duration_seconds_bucket{route="/embed",le="+Inf"} 2""" + "\n", text, StringComparison.Ordinal);
        foreach (IGrouping<string, string> family in text.Split('\n').Where(l => l.StartsWith("# TYPE", StringComparison.Ordinal)).GroupBy(l => l.Split(' ')[2], StringComparer.Ordinal))
        {
            Assert.Single(family);
        }
    }

    [Fact]
    public async Task OpenApi_describes_every_route_and_nothing_else()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        JsonNode document = await server.GotAsync("/openapi/v1.json");
        string[] paths = [.. document["paths"]!.AsObject().SelectMany(path => path.Value!.AsObject().Select(operation => $"{operation.Key} {path.Key}")).Order(StringComparer.Ordinal)];
        Assert.Equal(
            [
                "delete /index/entries/{id}", "get /health", "get /health/ready", "get /index", "get /index/entries/{id}", "get /index/map", "get /index/spectrum", "get /info", "get /metrics", "get /run/metrics",
                "get /v1/models", "get /v1/models/{model}", "post /embed", "post /index/delete", "post /index/entries", "post /search", "post /similarity", "post /similarity/matrix", "post /tokenize", "post /v1/embeddings",
            ],
            paths);
        JsonNode request = document["components"]!["schemas"]!["OpenAiRequest"]!;
        Assert.Equal(["input"], request["required"]!.AsArray().Select(name => name!.GetValue<string>()));
        Assert.Equal(["input", "model", "encoding_format", "dimensions", "user"], request["properties"].Names());
        Assert.DoesNotContain("\"$ref\":\"#/components/schemas/Object\"", document.ToJsonString(), StringComparison.Ordinal);
        using HttpResponseMessage redirected = await server.Client.GetAsync("/openapi", Cancellation);
        Assert.Equal("/openapi/v1.json", redirected.RequestMessage!.RequestUri!.AbsolutePath);
    }

    private static async Task<int> StatusAsync(RunningServer server, string path, string? authorization)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, path);
        if (authorization is not null)
        {
            request.Headers.TryAddWithoutValidation("Authorization", authorization);
        }

        using HttpResponseMessage response = await server.Client.SendAsync(request, Cancellation);
        return (int)response.StatusCode;
    }

    private static async Task<int> StatusOfHostAsync(RunningServer server, string host)
    {
        using HttpRequestMessage request = new(HttpMethod.Get, "/info") { Headers = { Host = host } };
        using HttpResponseMessage response = await server.Client.SendAsync(request, Cancellation);
        return (int)response.StatusCode;
    }

    [GeneratedRegex("<script(?![^>]*src=)|<style|\\sstyle=|\\son[a-z]+=|javascript:", RegexOptions.IgnoreCase, matchTimeoutMilliseconds: 1000)]
    private static partial Regex InLine();

    [GeneratedRegex("(?:src|href)=\"(?<path>/page/[^\"]+)\"", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Reference();

    [GeneratedRegex("^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\\{[a-z_]+=\"[^\"]*\"(,[a-z_]+=\"[^\"]*\")*\\})? [0-9.eE+-]+)$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex MetricsLine();
}
