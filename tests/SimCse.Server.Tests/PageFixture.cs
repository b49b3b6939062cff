using System.Globalization;
using Microsoft.Playwright;
using SimCse.Search;

namespace SimCse.Server.Tests;

/// <summary>Chromium, and a server with an index and a training run for it to look at. The tests are skipped, by name, where there is no Chromium.</summary>
public sealed class PageFixture : IAsyncLifetime
{
    private IPlaywright? _playwright;
    private SentenceEncoder? _encoder;
    private SentenceIndex? _index;

    public static string[] Texts { get; } =
    [
        "Reads all the lines of a file.", "Opens a text file, reads all of it, and closes the file.", "Appends lines to a file.", "Deletes the file at a path.", "Returns the names of the files of a directory.",
        "Waits for all of the tasks to complete.", "Cancels the operation after a time.", "Starts a thread.", "Blocks the current thread until it receives a signal.", "Runs an action on a thread of the pool.",
        "Sorts the elements of an array.", "Reverses the order of the elements of a list.", "Removes all elements from a collection.", "Finds the index of an element.", "Copies the elements of a list to an array.",
        "Parses a number from text.", "Converts a value to its text in a culture.", "Rounds a number to the nearest whole number.", "Returns the larger of two numbers.", "Computes the square root of a number.",
        "Sends a request to a web server.", "Downloads the content of an address as text.", "Encodes a text for use in an address.", "Listens for connections of clients.", "Resolves a host name to addresses.",
        "Splits a text into parts.", "Replaces a part of a text.", "Compares two texts without regard to case.", "Joins texts with a separator.", "Removes white space from both ends of a text.",
    ];

    public string Run { get; } = RepositoryPaths.NewTemporaryDirectory();

    public IBrowser? Browser { get; private set; }

    public EmbeddingServer? Server { get; private set; }

    public static string? Chromium { get; } = InstalledProgram.Find("chromium");

    public async ValueTask InitializeAsync()
    {
        if (Chromium is null)
        {
            return;
        }

        _encoder = SentenceEncoder.Load(RunningServer.DefaultModel, new SentenceEncoderOptions { Pooling = Pooling.Avg });
        _index = SentenceIndex.Create(RepositoryPaths.NewTemporaryDirectory(), new SentenceIndexOptions(_encoder.Dimensions));
        IndexEntry[] entries = [.. Texts.Select((text, i) => new IndexEntry($"api:{i}", text) { Metadata = new Dictionary<string, MetadataValue>(StringComparer.Ordinal) { ["part"] = i / 5 } })];
        _index.Add(entries, _encoder.Encode(Texts));
        await File.WriteAllLinesAsync(Path.Combine(Run, "metrics.jsonl"), Enumerable.Range(0, 401).Select(Line));
        Server = await EmbeddingServer.StartAsync(_encoder, new EmbeddingServerOptions { ModelName = "simcse-base", Port = 0, RunDirectory = Run }, _index);
        _playwright = await Playwright.CreateAsync();
        Browser = await _playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions { ExecutablePath = Chromium, Args = ["--no-sandbox"] });
    }

    /// <summary>A line as training writes it: the loss falls, and every 50 steps the model is judged.</summary>
    public static string Line(int step)
    {
        string judged = step % 50 == 0 ? string.Create(CultureInfo.InvariantCulture, $",\"dev\":{60 + (15 * (1 - Math.Exp(-step / 120.0))):0.000},\"alignment\":{0.1 + (0.0002 * step):0.0000},\"uniformity\":{-1 - (1.6 * (1 - Math.Exp(-step / 150.0))):0.0000}") : "";
        string loss = step == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $",\"loss\":{(2 * Math.Exp(-step / 80.0)) + 0.1 + (0.03 * Math.Sin(step)):0.0000}");
        return $"{{\"step\":{step}{loss}{judged}}}";
    }

    public async ValueTask DisposeAsync()
    {
        if (Browser is not null)
        {
            await Browser.DisposeAsync();
            await Server!.DisposeAsync();
        }

        _playwright?.Dispose();
        _index?.Dispose();
        _encoder?.Dispose();
    }
}
