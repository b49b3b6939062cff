// A web API over the default model: dotnet run, then GET /similarity?a=reads a file&b=opens a document
using System.Diagnostics;
using Microsoft.Extensions.AI;
using SimCse;

// The model is opened while the server is built and starts, so that neither waits for the other.
Task<SentenceEncoder> opening = Task.Run(() =>
{
    SentenceEncoder encoder = new();
    encoder.Encode("ready");
    Console.WriteLine($"first vector {(DateTime.Now - Process.GetCurrentProcess().StartTime).TotalMilliseconds:0} ms after the start of the process");
    return encoder;
});

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Services.AddSimCse(() => opening.GetAwaiter().GetResult(), DefaultModel.Name);
WebApplication app = builder.Build();

app.MapGet("/embed", async (string text, IEmbeddingGenerator<string, Embedding<float>> generator, CancellationToken cancellation) =>
    (await generator.GenerateVectorAsync(text, cancellationToken: cancellation)).ToArray());
app.MapGet("/similarity", (string a, string b, SentenceEncoder encoder) => encoder.Similarity(a, b));
app.Run();
