// A web API over the default model in 8 bits: dotnet run, then GET /similarity?a=reads a file&b=opens a document
using System.Diagnostics;
using Microsoft.Extensions.AI;
using SimCse;

WebApplicationBuilder builder = WebApplication.CreateSlimBuilder(args);
builder.Services.AddSimCse(Path.Combine(AppContext.BaseDirectory, "model"), new SentenceEncoderOptions { Precision = OnnxPrecision.Int8, Normalize = true });
WebApplication app = builder.Build();

app.MapGet("/embed", async (string text, IEmbeddingGenerator<string, Embedding<float>> generator, CancellationToken cancellation) =>
    (await generator.GenerateVectorAsync(text, cancellationToken: cancellation)).ToArray());
app.MapGet("/similarity", (string a, string b, SentenceEncoder encoder) => encoder.Similarity(a, b));

// So that the first request need not wait for the model.
app.Lifetime.ApplicationStarted.Register(() =>
{
    app.Services.GetRequiredService<SentenceEncoder>().Encode("ready");
    Console.WriteLine($"first vector {(DateTime.Now - Process.GetCurrentProcess().StartTime).TotalMilliseconds:0} ms after the start of the process");
});
app.Run();
