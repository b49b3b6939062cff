using System.CommandLine;
using System.Net;
using SimCse.Search;
using SimCse.Server;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse serve</c>.</summary>
internal static class ServeCommand
{
    private const string KeyVariable = "SIMCSE_API_KEY";

    private static readonly EmbeddingServerOptions s_defaults = new() { ModelName = "model" };
    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<string?> s_name = CliOption.Text("--served-model-name", "NAME", "what answers call the model, and requests to /v1/embeddings may; the name of its directory where it is not given");
    private static readonly Option<string?> s_index = CliOption.Text("--index", "DIR", "an index to search, add to and delete from, as simcse index made it; its model is the default one then");
    private static readonly Option<bool> s_readOnly = CliOption.Flag("--read-only", "search the index only: another process may write to it");
    private static readonly Option<string?> s_run = CliOption.Text("--run", "DIR", "the output directory of a training run, whose metrics the page shows as they come");
    private static readonly Option<string> s_host = new("--host") { HelpName = "ADDRESS", Description = "the address to listen on; other machines reach 0.0.0.0, and have to bring a key", DefaultValueFactory = _ => s_defaults.Host };
    private static readonly Option<int?> s_port = CliOption.Whole("--port", "N", "the port to listen on; 0 for a free one, which is printed", s_defaults.Port, least: 0);
    private static readonly Option<string?> s_keys = CliOption.Text("--api-key-file", "F", $"API keys, one a line, of which each request must bring one (Authorization: Bearer KEY); {KeyVariable} in the environment is one more");
    private static readonly Option<bool> s_anonymous = CliOption.Flag("--allow-anonymous", "need no key, even where other machines reach the server");
    private static readonly Option<string[]> s_hosts = new("--allowed-host")
    {
        HelpName = "NAME …",
        Description = "names that requests may call the server by; on loopback localhost and 127.0.0.1 where it is not given, else any",
        AllowMultipleArgumentsPerToken = true,
        Arity = ArgumentArity.OneOrMore,
    };

    private static readonly Option<int?> s_requests = CliOption.Whole("--max-concurrent-requests", "N", "requests that may wait for vectors; more are refused at once (429)", s_defaults.MaxConcurrentRequests, least: 1);
    private static readonly Option<int?> s_batchTokens = CliOption.Whole("--max-batch-tokens", "N", "the most tokens that a thread takes from the queue at once", s_defaults.MaxBatchTokens, least: 1);
    private static readonly Option<int?> s_clientBatch = CliOption.Whole("--max-client-batch-size", "N", "the most texts of a request (413)", s_defaults.MaxClientBatchSize, least: 1);
    private static readonly Option<int?> s_payload = CliOption.Whole("--payload-limit", "BYTES", "the most bytes of a request (413)", s_defaults.PayloadLimit, least: 1);
    private static readonly Option<bool> s_truncate = CliOption.Flag("--auto-truncate", "cut texts that are longer than the model takes, instead of refusing them (413), where a request says nothing of it");
    private static readonly Option<double?> s_window = CliOption.Number("--batch-window", "MS", "milliseconds that less than a full batch waits for more texts while other threads are busy", s_defaults.BatchWindow.TotalMilliseconds);
    private static readonly Option<double?> s_timeout = CliOption.Number("--request-timeout", "S", "seconds that a request may take to arrive (408), and to be answered (503)", s_defaults.RequestTimeout.TotalSeconds);
    private static readonly Option<double?> s_drain = CliOption.Number("--drain-delay", "S", "seconds for which a stopping server answers on while /health/ready says no", s_defaults.DrainDelay.TotalSeconds);
    private static readonly Option<double?> s_shutdown = CliOption.Number("--shutdown-timeout", "S", "seconds that a stopping server waits for the requests under way", s_defaults.ShutdownTimeout.TotalSeconds);
    private static readonly Option<bool> s_json = CliOption.Json("print {\"address\", \"model\"} when it answers");

    public static Command Create()
    {
        DocumentedCommand command = new("serve", "an HTTP server for vectors and search, with a page")
        {
            Details = """
                OpenAI's POST /v1/embeddings; text-embeddings-inference's /embed, /similarity, /tokenize, /info, /health; /search and /index with --index;
                /metrics for Prometheus, /openapi/v1.json, and a page at /. Runs until Ctrl-C or SIGTERM: then /health/ready says no, and what is under
                way is answered (exit status 0).

                Other machines reach it only where --host says so, and then with a key.
                """,
            Examples =
            [
                "simcse serve --model my-model --index my-index",
                "curl localhost:8080/v1/embeddings -H 'Content-Type: application/json' -d '{\"input\": \"how do I read a file\"}'",
                $"{KeyVariable}=$(openssl rand -hex 32) simcse serve --model my-model --host 0.0.0.0",
            ],
        };
        command
            .With("what to serve", [s_index, s_readOnly, s_run, s_name])
            .With("where", s_host, s_port, s_hosts, s_keys, s_anonymous)
            .With("limits", s_requests, s_clientBatch, s_payload, s_batchTokens, s_window, s_truncate, s_timeout, s_drain, s_shutdown)
            .With("model", s_encoder.OptionsOfServer)
            .With("output", s_json, ConfigFile.Option)
            .SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(s_readOnly) && parsed.GetValue(s_index) is null)
        {
            throw new UsageException("--read-only is for --index, which is not given (see simcse serve --help)");
        }

        string? directory = parsed.GetValue(s_index);
        using SentenceIndex? index = directory is null ? null : SentenceIndex.Open(directory, parsed.GetValue(s_readOnly));
        EmbeddingServerOptions options = Options(parsed, s_encoder.ModelGiven(parsed) ?? (index is null ? null : IndexModel.ModelOf(index)));
        UsageException.Require(options.Validate);
        if (options.RunDirectory is { } run && !Directory.Exists(run))
        {
            throw new DirectoryNotFoundException($"{run}: no such directory; expected the output directory of a training run");
        }

        using SentenceEncoder encoder = index is null ? s_encoder.Load(parsed) : IndexModel.Load(parsed, s_encoder, index, directory!);
        await using EmbeddingServer server = await EmbeddingServer.StartAsync(encoder, options, index, cancellationToken);
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json =>
            {
                json.WriteString("address", server.Address.ToString());
                json.WriteString("model", options.ModelName);
            });
            await parsed.InvocationConfiguration.Output.FlushAsync(CancellationToken.None);
        }

        Log.Info($"{options.ModelName} ({encoder.Dimensions} components{(index is null ? "" : $", {directory} with {index.Count:N0} entries")}) at {server.Address}; Ctrl-C stops");
        if (!IPAddress.IsLoopback(IPAddress.Parse(server.Address.DnsSafeHost)) && options.ApiKeys.Count == 0)
        {
            Log.Warning("other machines reach this server, and need no key (--allow-anonymous)");
        }

        await Task.Delay(Timeout.Infinite, cancellationToken).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        Log.Info("stopping: what is under way is answered");
        await server.StopAsync(CancellationToken.None);
        return ExitStatus.Done;
    }

    private static EmbeddingServerOptions Options(ParseResult parsed, string? model)
    {
        return new EmbeddingServerOptions
        {
            ModelName = parsed.GetValue(s_name) ?? Path.GetFileName(Path.TrimEndingDirectorySeparator(LoadedModel.Name(model))),
            Host = parsed.GetRequiredValue(s_host),
            Port = parsed.GetValue(s_port)!.Value,
            ApiKeys = Keys(parsed.GetValue(s_keys)),
            AllowAnonymous = parsed.GetValue(s_anonymous),
            AllowedHosts = parsed.GetValue(s_hosts) ?? [],
            MaxConcurrentRequests = parsed.GetValue(s_requests)!.Value,
            MaxBatchTokens = parsed.GetValue(s_batchTokens)!.Value,
            MaxClientBatchSize = parsed.GetValue(s_clientBatch)!.Value,
            PayloadLimit = parsed.GetValue(s_payload)!.Value,
            AutoTruncate = parsed.GetValue(s_truncate),
            BatchWindow = Span(s_window, TimeSpan.FromMilliseconds),
            RequestTimeout = Span(s_timeout, TimeSpan.FromSeconds),
            DrainDelay = Span(s_drain, TimeSpan.FromSeconds),
            ShutdownTimeout = Span(s_shutdown, TimeSpan.FromSeconds),
            RunDirectory = parsed.GetValue(s_run),
        };

        TimeSpan Span(Option<double?> option, Func<double, TimeSpan> unit)
        {
            double value = parsed.GetValue(option)!.Value;
            return value is >= 0 and <= 3_600_000 ? unit(value) : throw new UsageException($"{option.Name} is {value}; expected 0 to 3,600 seconds");
        }
    }

    private static string[] Keys(string? file)
    {
        IEnumerable<string> keys = file is null ? [] : File.ReadAllLines(file).Select(line => line.Trim()).Where(line => line.Length > 0);
        return [.. keys, .. Environment.GetEnvironmentVariable(KeyVariable) is { Length: > 0 } key ? [key] : Array.Empty<string>()];
    }
}
