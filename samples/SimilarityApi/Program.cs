// A web API over the default model: dotnet run, then GET /similarity?a=reads a file&b=opens a document
using System.Diagnostics;
using Microsoft.Extensions.AI;
using SimCse;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Services.AddSimCse();
WebApplication app = builder.Build();

// The model is opened while the server starts, so that neither waits for the other.
Task opening = Task.Run(() =>
{
    app.Services.GetRequiredService<SentenceEncoder>().Encode("ready");
    Console.WriteLine($"first vector {(DateTime.Now - Process.GetCurrentProcess().StartTime).TotalMilliseconds:0} ms after the start of the process");
});

app.MapGet("/embed", async (string text, IEmbeddingGenerator<string, Embedding<float>> generator, CancellationToken cancellation) =>
    (await generator.GenerateVectorAsync(text, cancellationToken: cancellation)).ToArray());
app.MapGet("/similarity", (string a, string b, SentenceEncoder encoder) => encoder.Similarity(a, b));
await Task.WhenAll(app.RunAsync(), opening);
