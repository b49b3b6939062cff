using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using SimCse.Search;

namespace SimCse.Cli.Tests;

public class ServeTests
{
    private const int Writers = 4, Rounds = 6;

    private static readonly TinyModel s_model = TinyModel.Bert;
    private static readonly string[] s_options = ["--model", s_model.Directory, "--pooling", "avg"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Serves_the_index_and_its_model_until_it_is_asked_to_stop()
    {
        string index = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "index");
        (await SimCseProcess.ReadingAsync("A man plays.\nThe dog sees the river.\n", ["index", "build", "--index", index, .. s_options])).Succeeded();
        (Process process, HttpClient client) = await StartAsync(null, "--index", index);
        using (process)
        using (client)
        {
            JsonNode info = JsonNode.Parse(await client.GetStringAsync("/info", Cancellation))!;
            Assert.Equal("tiny-bert", info["model_id"]!.GetValue<string>());
            using HttpResponseMessage found = await PostAsync(client, "/search", """{"query": "a man is playing", "top": 1}""");
            Assert.Contains("A man plays.", await found.Content.ReadAsStringAsync(Cancellation), StringComparison.Ordinal);
            using HttpResponseMessage added = await PostAsync(client, "/index/entries", """{"entries": [{"id": "x", "text": "A text of the server's."}]}""");
            Assert.Equal(HttpStatusCode.OK, added.StatusCode);
            SimCseProcess.Terminate(process);
            await process.WaitForExitAsync(Cancellation);
            Assert.Equal(0, process.ExitCode);
        }

        Assert.Equal(3, (await SimCseProcess.RunAsync("index", "info", "--index", index, "--json")).Json()["entries"]!.GetValue<int>());
    }

    [Fact]
    public async Task A_key_of_the_environment_is_needed()
    {
        (Process process, HttpClient client) = await StartAsync(("SIMCSE_API_KEY", "a-key-of-the-tests-0001"), s_options);
        using (process)
        using (client)
        {
            Assert.Equal(HttpStatusCode.Unauthorized, (await client.GetAsync("/info", Cancellation)).StatusCode);
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", "a-key-of-the-tests-0001");
            Assert.Equal(HttpStatusCode.OK, (await client.GetAsync("/info", Cancellation)).StatusCode);
            process.Kill();
        }
    }

    [Fact]
    public async Task What_a_killed_server_has_acknowledged_is_in_the_index()
    {
        string index = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "index");
        (await SimCseProcess.ReadingAsync("The first text.\n", ["index", "build", "--index", index, .. s_options])).Succeeded();
        ConcurrentDictionary<string, string> acknowledged = new(StringComparer.Ordinal);
        ConcurrentDictionary<string, bool> deleted = new(StringComparer.Ordinal);
        Random random = new(8);
        int unanswered = 0;
        for (int round = 0; round < Rounds; round++)
        {
            (Process process, HttpClient client) = await StartAsync(null, "--index", index);
            using (process)
            using (client)
            {
                Task[] writers = [.. Enumerable.Range(0, Writers).Select(writer => WriteAsync(round, writer, client))];
                await Task.Delay(random.Next(150, 700), Cancellation);
                process.Kill();
                await Task.WhenAll(writers);
                await process.WaitForExitAsync(Cancellation);
            }

            using SentenceIndex left = SentenceIndex.Open(index);
            Assert.All(acknowledged, entry => Assert.Equal(entry.Value, left.Find(entry.Key)?.Text));
            Assert.All(deleted, entry => Assert.Null(left.Find(entry.Key)));
        }

        Assert.True(acknowledged.Count > 20 && !deleted.IsEmpty, $"{acknowledged.Count} entries acknowledged, {deleted.Count} deleted");
        Assert.True(unanswered >= Rounds, "no kill came while a request was under way");

        async Task WriteAsync(int round, int writer, HttpClient client)
        {
            for (int i = 0; ; i++)
            {
                string id = string.Create(CultureInfo.InvariantCulture, $"{round}-{writer}-{i}"), text = $"Text {id} of the test.", gone = id + "-gone";
                try
                {
                    using HttpResponseMessage added = await PostAsync(client, "/index/entries", $$"""{"entries": [{"id": "{{id}}", "text": "{{text}}"}, {"id": "{{gone}}", "text": "To be deleted."}]}""");
                    Assert.Equal(HttpStatusCode.OK, added.StatusCode);
                    acknowledged[id] = text;
                    using HttpResponseMessage removed = await client.DeleteAsync($"/index/entries/{gone}", Cancellation);
                    Assert.Equal(HttpStatusCode.OK, removed.StatusCode);
                    deleted[gone] = true;
                }
                catch (HttpRequestException)
                {
                    Interlocked.Increment(ref unanswered);
                    return; // it was killed
                }
            }
        }
    }

    [Fact]
    public async Task Wrong_use_is_said_in_one_line()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        (await SimCseProcess.RunAsync(["serve", "--host", "0.0.0.0", "--port", "0", .. s_options])).Failed(2, "0.0.0.0", "API keys");
        (await SimCseProcess.RunAsync(["serve", "--host", "somewhere", .. s_options])).Failed(2, "'somewhere'", "an IP address");
        (await SimCseProcess.RunAsync(["serve", "--port", "70000", .. s_options])).Failed(2, "70000", "0 to 65,535");
        (await SimCseProcess.RunAsync(["serve", "--request-timeout", "-1", .. s_options])).Failed(2, "-1");
        (await SimCseProcess.RunAsync(["serve", "--read-only", .. s_options])).Failed(2, "--read-only", "--index");
        (await SimCseProcess.RunAsync(["serve", "--run", Path.Combine(directory, "nothing"), .. s_options])).Failed(1, "nothing", "no such directory");
        (await SimCseProcess.RunAsync(["serve", "--index", directory, .. s_options])).Failed(1, directory, "no index");
        (await SimCseProcess.RunAsync(["serve", "--host", "192.0.2.1", "--allow-anonymous", .. s_options])).Failed(1, "192.0.2.1", "cannot be listened on");
        using System.Net.Sockets.TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        (await SimCseProcess.RunAsync(["serve", "--port", ((IPEndPoint)taken.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture), .. s_options])).Failed(1, "address already in use");
    }

    /// <summary>A server on a free port, which answers.</summary>
    private static async Task<(Process Process, HttpClient Client)> StartAsync((string Name, string Value)? environment, params string[] arguments)
    {
        Process process = SimCseProcess.Start(environment, ["serve", "--port", "0", "--json", .. arguments]);
        string line = await process.StandardOutput.ReadLineAsync(Cancellation) ?? await process.StandardError.ReadToEndAsync(Cancellation);
        Assert.StartsWith("{\"address\":", line, StringComparison.Ordinal);
        return (process, new HttpClient { BaseAddress = new Uri(JsonNode.Parse(line)!["address"]!.GetValue<string>()) });
    }

    private static Task<HttpResponseMessage> PostAsync(HttpClient client, string path, string json) =>
        client.PostAsync(path, new StringContent(json, Encoding.UTF8, new MediaTypeHeaderValue("application/json")), Cancellation);
}
