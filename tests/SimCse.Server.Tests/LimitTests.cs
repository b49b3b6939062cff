using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace SimCse.Server.Tests;

/// <summary>Too much, too slow, gone: refused at once, and the rest is served.</summary>
public class LimitTests
{
    private static readonly string s_large = $$"""{"inputs": [{{string.Join(", ", Enumerable.Repeat($"\"{string.Concat(Enumerable.Repeat("the men sing ", 100))}\"", 32))}}], "truncate": true}""";

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Twice_as_many_requests_as_there_are_places_are_served_by_half_and_refused_at_once_by_half()
    {
        const int Places = 6;
        await using RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel, options => options with { MaxConcurrentRequests = Places, RequestTimeout = TimeSpan.FromMinutes(5) });
        await server.PostedAsync("/embed", """{"inputs": "warm"}""");
        long start = Stopwatch.GetTimestamp();
        (HttpStatusCode Status, TimeSpan Time)[] answers = await Task.WhenAll(Enumerable.Range(0, 2 * Places).Select(async _ =>
        {
            using HttpResponseMessage response = await server.Client.PostAsync("/embed", RunningServer.Json(s_large), Cancellation);
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                Assert.Equal(TimeSpan.FromSeconds(1), response.Headers.RetryAfter!.Delta);
                Assert.Contains("\"error_type\":\"Overloaded\"", await response.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
            }

            return (response.StatusCode, Stopwatch.GetElapsedTime(start));
        }));
        Assert.Equal(Places, answers.Count(a => a.Status == HttpStatusCode.OK));
        Assert.Equal(Places, answers.Count(a => a.Status == HttpStatusCode.TooManyRequests));
        Assert.True(answers.Where(a => a.Status == HttpStatusCode.TooManyRequests).Max(a => a.Time) < answers.Where(a => a.Status == HttpStatusCode.OK).Min(a => a.Time));
        await server.PostedAsync("/embed", """{"inputs": "afterwards"}""");
    }

    [Fact]
    public async Task A_client_that_goes_away_frees_its_place()
    {
        await using RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel, options => options with { MaxConcurrentRequests = 1 });
        using (TcpClient gone = new())
        {
            await SendAsync(server, gone, $"POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(s_large)}\r\n\r\n{s_large}");
            await UntilAsync(async () => (await MetricAsync(server, "simcse_requests_in_flight")) == 1);
        }

        await UntilAsync(async () => (await MetricAsync(server, "simcse_requests_in_flight")) == 0);
        await server.PostedAsync("/embed", """{"inputs": "a"}""");
    }

    [Fact]
    public async Task A_body_that_does_not_come_holds_no_place_and_is_given_up()
    {
        await using RunningServer server = await RunningServer.StartAsync(options => options with { MaxConcurrentRequests = 1, RequestTimeout = TimeSpan.FromSeconds(1) });
        TcpClient[] slow = [.. Enumerable.Range(0, 8).Select(_ => new TcpClient())];
        foreach (TcpClient client in slow)
        {
            await SendAsync(server, client, "POST /embed HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"inputs\":");
        }

        await server.PostedAsync("/embed", """{"inputs": "a"}""");
        foreach (TcpClient client in slow)
        {
            byte[] answer = new byte[4096];
            int read = await client.GetStream().ReadAsync(answer, Cancellation);
            Assert.StartsWith("HTTP/1.1 408 ", Encoding.ASCII.GetString(answer, 0, read), StringComparison.Ordinal);
            client.Dispose();
        }
    }

    [Fact]
    public async Task Large_bodies_up_to_the_limit_are_read_whole()
    {
        await using RunningServer server = await RunningServer.StartAsync();
        string text = new('a', 1_990_000);
        await server.PostedAsync("/embed", $$"""{"inputs": "{{text}}", "truncate": true}""");
        await server.RefusedAsync(413, "/embed", $$"""{"inputs": "{{text}}{{text}}", "truncate": true}""", "2000000 bytes");
    }

    [Fact]
    public async Task A_request_that_is_not_answered_in_time_is_told_so()
    {
        await using RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel, options => options with { RequestTimeout = TimeSpan.FromMilliseconds(60) });
        (HttpStatusCode status, _) = await server.PostAsync("/embed", s_large);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
    }

    [Fact]
    public async Task Small_requests_run_in_one_batch_and_large_ones_in_several()
    {
        await using RunningServer server = await RunningServer.StartAsync(RunningServer.DefaultModel);
        await Task.WhenAll(Enumerable.Range(0, 200).Select(i => server.PostedAsync("/embed", $$"""{"inputs": "text number {{i}}"}""")));
        double texts = await MetricAsync(server, "simcse_batch_texts_sum"), batches = await MetricAsync(server, "simcse_batch_texts_count");
        Assert.Equal(200, texts);
        Assert.InRange(batches, 1, 150);
    }

    internal static async Task<double> MetricAsync(RunningServer server, string name)
    {
        string line = (await server.Client.GetStringAsync("/metrics", Cancellation)).Split('\n').First(l => l.StartsWith(name + " ", StringComparison.Ordinal));
        return double.Parse(line[(name.Length + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static async Task SendAsync(RunningServer server, TcpClient client, string request)
    {
        await client.ConnectAsync("127.0.0.1", server.Address.Port, Cancellation);
        await client.GetStream().WriteAsync(Encoding.UTF8.GetBytes(request), Cancellation);
    }

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (int i = 0; i < 1000 && !await holds(); i++)
        {
            await Task.Delay(5, Cancellation);
        }

        Assert.True(await holds());
    }
}
