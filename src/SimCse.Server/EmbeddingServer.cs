using System.Diagnostics.CodeAnalysis;
using System.Net.Sockets;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Console;
using SimCse.Search;
using SimCse.Server.Api;
using SimCse.Server.Batching;
using SimCse.Server.Page;
using SimCse.Server.Security;
using SimCse.Server.Telemetry;
using SimCse.Tokenization;

namespace SimCse.Server;

/// <summary>
/// A model behind HTTP: OpenAI's and text-embeddings-inference's APIs, search over an index, a web page. Requests are batched over one queue, and refused at once where there are too many.
/// </summary>
/// <remarks>Warnings and errors go to standard error. The encoder and the index stay the caller's, to be disposed after the server.</remarks>
public sealed class EmbeddingServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly EmbeddingServerOptions _options;

    private EmbeddingServer(WebApplication application, EmbeddingServerOptions options)
    {
        _application = application;
        _options = options;
        Address = new Uri(application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single());
    }

    /// <summary>Where it listens.</summary>
    public Uri Address { get; }

    /// <summary>Starts a server; it answers when this returns.</summary>
    /// <param name="encoder">The model, which gives raw vectors (<see cref="SentenceEncoderOptions.Normalize"/> false).</param>
    /// <param name="options">Where and how.</param>
    /// <param name="index">An index of this model's vectors to search, and to add to where it is open for writing; null for none.</param>
    /// <param name="cancellationToken">Ends the start.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or other machines could use the server without a key.</exception>
    /// <exception cref="IOException">The address is not this machine's, or in use.</exception>
    public static async Task<EmbeddingServer> StartAsync(SentenceEncoder encoder, EmbeddingServerOptions options, SentenceIndex? index = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        WarmUp(encoder);
        WebApplication application = Build(encoder, options, index);
        try
        {
            await application.StartAsync(cancellationToken);
            return new EmbeddingServer(application, options);
        }
        catch (SocketException e)
        {
            await application.DisposeAsync();
            throw new IOException($"{options.Host} port {options.Port}: this address cannot be listened on: {e.Message}", e);
        }
        catch
        {
            await application.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Stops it: <c>/health/ready</c> says no at once, then after <see cref="EmbeddingServerOptions.DrainDelay"/> no more connections are taken, and what is under way is answered within
    /// <see cref="EmbeddingServerOptions.ShutdownTimeout"/>.
    /// </summary>
    public async Task StopAsync(CancellationToken cancellationToken = default)
    {
        _application.Services.GetRequiredService<Readiness>().Stop();
        await Task.Delay(_options.DrainDelay, cancellationToken);
        await _application.StopAsync(cancellationToken);
    }

    /// <summary>Stops it where it still runs.</summary>
    public async ValueTask DisposeAsync() => await _application.DisposeAsync();

    /// <summary>Runs the model once with all threads, and once on each, as batches will: the first runs allocate, and no request is to wait for that.</summary>
    private static void WarmUp(SentenceEncoder encoder)
    {
        TokenizedText[] text = [encoder.Tokenize("The first run allocates.")];
        encoder.EncodeTokens(text);
        Parallel.For(0, encoder.Threads, new ParallelOptions { MaxDegreeOfParallelism = encoder.Threads }, _ => encoder.EncodeTokens(text, threads: 1));
    }

    private static WebApplication Build(SentenceEncoder encoder, EmbeddingServerOptions options, SentenceIndex? index)
    {
        // Empty: no settings are taken from files in the working directory or from the environment.
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions { ApplicationName = typeof(EmbeddingServer).Assembly.GetName().Name });
        builder.Logging.SetMinimumLevel(LogLevel.Warning).AddFilter("Microsoft.Extensions.Hosting", LogLevel.None); // a start that fails is the caller's exception
        builder.Logging.AddSimpleConsole(console => console.SingleLine = true);
        builder.Services.Configure<ConsoleLoggerOptions>(console => console.LogToStandardErrorThreshold = LogLevel.Trace);
        builder.Services.Configure<HostOptions>(host => host.ShutdownTimeout = options.ShutdownTimeout);
        builder.Services.AddSingleton<IHostLifetime, CallersLifetime>();
        builder.Services.AddRoutingCore();
        builder.Services.AddSingleton(options);
        builder.Services.AddSingleton(encoder); // an object that was not made by the container is not disposed by it
        builder.Services.AddSingleton<ServerMetrics>();
        builder.Services.AddSingleton<BatchQueue>();
        builder.Services.AddSingleton<RequestLimit>();
        builder.Services.AddSingleton<TextVectors>();
        builder.Services.AddSingleton<RequestBody>();
        builder.Services.AddSingleton<ApiKeys>();
        builder.Services.AddSingleton<HostNames>();
        builder.Services.AddSingleton<Readiness>();
        builder.Services.AddSingleton(services => new ServedIndex(index, services.GetRequiredService<TextVectors>(), options, services.GetRequiredService<ServerMetrics>()));
        builder.Services.AddSingleton<IndexViews>();
        builder.Services.AddSingleton<ServedRun>();
        ServerJson json = ServerJson.For(options.MaxClientBatchSize);
        OpenApiDescription.AddTo(builder.Services, json);
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Listen(options.ListenAddress, options.Port);
            kestrel.Limits.MaxRequestBodySize = null; // RequestBody limits it; what is left of a refused one is drained, so that the client reads the refusal
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(10);
            kestrel.Limits.KeepAliveTimeout = TimeSpan.FromMinutes(2);
        });
        builder.Services.Configure<SocketTransportOptions>(sockets => sockets.WaitForDataBeforeAllocatingBuffer = false); // one system call less a request, for 4 KB an idle connection
        WebApplication application = builder.Build();
        RequestLimit limit = application.Services.GetRequiredService<RequestLimit>();
        application.Services.GetRequiredService<ServerMetrics>().ObserveRequests(() => limit.Taken);
        _ = application.Services.GetRequiredService<ServedIndex>(); // and the queue behind it: the first request does not wait for its threads
        application.Use(next => new RequestPipeline(next, application.Services, json).InvokeAsync);
        application.UseRouting();
        application.Use(next => new KeyedRequests(next, application.Services).InvokeAsync);
        OpenAiEndpoints.Map(application, json);
        TextEmbeddingsEndpoints.Map(application, json);
        IndexEndpoints.Map(application, json);
        RunEndpoints.Map(application, json);
        HealthEndpoints.Map(application, json);
        OpenApiDescription.Map(application);
        PageFiles.Map(application);
        return application;
    }

    /// <summary>Signals are the caller's: it stops the server.</summary>
    [SuppressMessage("Performance", "CA1812:Avoid uninstantiated internal classes", Justification = "the container makes it")]
    private sealed class CallersLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
