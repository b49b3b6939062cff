using Deque.AxeCore.Commons;
using Deque.AxeCore.Playwright;
using Microsoft.Playwright;
using static Microsoft.Playwright.Assertions;

namespace SimCse.Server.Tests;

/// <summary>The page in Chromium. SIMCSE_SCREENSHOTS in the environment names a folder for pictures of every view.</summary>
public sealed class PageTests(PageFixture fixture) : IClassFixture<PageFixture>
{
    private static readonly string? s_screenshots = Environment.GetEnvironmentVariable("SIMCSE_SCREENSHOTS");

    [Fact]
    public async Task Search_shows_hits_best_first_with_scores_and_marked_words()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#search");
        IPage page = visit.Page;
        await page.Locator("#query").FillAsync("reads all lines of a file");
        await page.Keyboard.PressAsync("Enter");
        ILocator hits = page.Locator("#hits li");
        await Expect(hits).ToHaveCountAsync(10);
        string first = await hits.First.Locator(".text").InnerTextAsync();
        Assert.Equal("Reads all the lines of a file.", first);
        double[] scores = [.. (await hits.Locator(".score").AllInnerTextsAsync()).Select(s => double.Parse(s, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal(scores.OrderDescending(), scores);
        await Expect(hits.First.Locator("mark").First).ToBeVisibleAsync();
        await Expect(page.Locator("#search-status")).ToContainTextAsync("10 hits");
        await visit.PictureAsync("search");

        await page.Locator("#filter").FillAsync("part=0, part<1");
        await page.GetByRole(AriaRole.Button, new() { Name = "Search" }).ClickAsync();
        await Expect(hits).ToHaveCountAsync(5);
        await page.Locator("#filter").FillAsync("nonsense");
        await page.GetByRole(AriaRole.Button, new() { Name = "Search" }).ClickAsync();
        await Expect(page.Locator("#search-status")).ToContainTextAsync("expected field=value");
        await Expect(hits).ToHaveCountAsync(0);
    }

    [Fact]
    public async Task Compare_shows_the_cosines_of_two_lists()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#compare");
        IPage page = visit.Page;
        await page.Locator("#rows").FillAsync("A file is read.\nIt rains.");
        await page.Locator("#columns").FillAsync("A file is read.\n\nThe stage was empty.\nIt rains.");
        await page.GetByRole(AriaRole.Button, new() { Name = "Compare" }).ClickAsync();
        await Expect(page.Locator("#heat tbody td")).ToHaveCountAsync(6);
        string[] cells = [.. await page.Locator("#heat tbody td").AllInnerTextsAsync()];
        Assert.Equal(("1.000", "1.000"), (cells[0], cells[5]));
        await visit.PictureAsync("compare");
    }

    [Fact]
    public async Task The_map_is_moved_zoomed_and_read_by_keyboard_and_pointer()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#map");
        IPage page = visit.Page;
        await Expect(page.Locator("#map-status")).ToContainTextAsync("30 of 30 texts");
        await page.Locator("#map").FocusAsync();
        await Expect(page.Locator("#map-text")).ToContainTextAsync("api:");
        string atCentre = await page.Locator("#map-text").InnerTextAsync();
        for (int i = 0; i < 6; i++)
        {
            await page.Keyboard.PressAsync("ArrowLeft");
        }

        await page.Keyboard.PressAsync("+");
        await Expect(page.Locator("#map-text")).Not.ToHaveTextAsync(atCentre);
        string text = (await page.Locator("#map-text").InnerTextAsync()).Split(": ", 2)[1];

        // The pointer over every place of a grid meets a point somewhere.
        await page.GetByRole(AriaRole.Button, new() { Name = "Show all" }).ClickAsync();
        LocatorBoundingBoxResult box = (await page.Locator("#map").BoundingBoxAsync())!;
        for (float y = 10; y < box.Height && await page.Locator("#map-tip").IsHiddenAsync(); y += 14)
        {
            for (float x = 10; x < box.Width && await page.Locator("#map-tip").IsHiddenAsync(); x += 14)
            {
                await page.Mouse.MoveAsync(box.X + x, box.Y + y);
            }
        }

        Assert.Contains(await page.Locator("#map-tip").InnerTextAsync(), PageFixture.Texts);
        await page.Locator("#mark").FillAsync("file");
        await visit.PictureAsync("map");
        await page.Locator("#map").FocusAsync();
        for (int i = 0; i < 6; i++)
        {
            await page.Keyboard.PressAsync("ArrowLeft");
        }

        await page.Keyboard.PressAsync("+");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("#query")).ToHaveValueAsync(text);
        await Expect(page.Locator("#hits li").First.Locator(".text")).ToHaveTextAsync(text);
    }

    [Fact]
    public async Task The_spectrum_is_that_of_the_index()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#spectrum");
        await Expect(visit.Page.Locator("#spectrum-chart svg")).ToHaveAttributeAsync("aria-label", new System.Text.RegularExpressions.Regex("Singular spectrum: 30 values", System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1)));
        await Expect(visit.Page.Locator("#spectrum-figures dt")).ToHaveTextAsync(["Effective rank", "Mean cosine", "Uniformity"]);
        await visit.PictureAsync("spectrum");
    }

    [Fact]
    public async Task The_run_is_shown_while_it_trains()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#run");
        IPage page = visit.Page;
        await Expect(page.Locator("#run-status")).ToContainTextAsync("step 400");
        await Expect(page.Locator(".charts svg")).ToHaveCountAsync(3);
        await Expect(page.Locator("#run-dev svg")).ToHaveAttributeAsync("aria-label", new System.Text.RegularExpressions.Regex("at step 400$", System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1)));
        await visit.PictureAsync("run");
        await File.AppendAllLinesAsync(Path.Combine(fixture.Run, "metrics.jsonl"), Enumerable.Range(401, 50).Select(PageFixture.Line), TestContext.Current.CancellationToken);
        await Expect(page.Locator("#run-status")).ToContainTextAsync("step 450", new() { Timeout = 15_000 });
        await Expect(page.Locator("#run-dev svg")).ToHaveAttributeAsync("aria-label", new System.Text.RegularExpressions.Regex("at step 450$", System.Text.RegularExpressions.RegexOptions.None, TimeSpan.FromSeconds(1)));

        // A run that is begun anew.
        await File.WriteAllLinesAsync(Path.Combine(fixture.Run, "metrics.jsonl"), Enumerable.Range(0, 401).Select(PageFixture.Line), TestContext.Current.CancellationToken);
        await Expect(page.Locator("#run-status")).ToContainTextAsync("step 400", new() { Timeout = 15_000 });
    }

    [Theory]
    [InlineData("light", 1280, 860)]
    [InlineData("dark", 1280, 860)]
    [InlineData("light", 390, 844)]
    [InlineData("dark", 390, 844)]
    public async Task Axe_finds_nothing_serious_and_nothing_is_wider_than_the_screen(string scheme, int width, int height)
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#search", scheme, width, height);
        IPage page = visit.Page;
        await page.Locator("#query").FillAsync("wait for threads");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("#hits li")).ToHaveCountAsync(10);
        await CheckAsync("search");
        foreach ((string view, string ready) in new[] { ("compare", "#rows"), ("map", "#map"), ("spectrum", "#spectrum-chart svg"), ("run", "#run-loss svg") })
        {
            await page.Locator($"nav a[href='#{view}']").ClickAsync();
            await Expect(page.Locator(ready)).ToBeVisibleAsync();
            if (view is "compare")
            {
                await page.GetByRole(AriaRole.Button, new() { Name = "Compare" }).ClickAsync();
                await Expect(page.Locator("#heat tbody td")).ToHaveCountAsync(12);
            }

            await CheckAsync(view);
        }

        async Task CheckAsync(string view)
        {
            await visit.PictureAsync($"{view}-{scheme}-{width}");
            AxeResult result = await page.RunAxe();
            Assert.Empty(result.Violations.Where(v => v.Impact is "serious" or "critical").Select(v => $"{view} {scheme}: {v.Id}: {v.Help}: {string.Join(" | ", v.Nodes.Select(n => n.Html))}"));
            Assert.True(await page.EvaluateAsync<bool>("document.documentElement.scrollWidth <= innerWidth"), $"{view} is wider than {width}");
        }
    }

    [Fact]
    public async Task The_keyboard_reaches_everything_and_the_first_stop_skips_the_navigation()
    {
        await using Visit visit = await Visit.StartAsync(fixture, "#compare");
        IPage page = visit.Page;
        await page.EvaluateAsync("document.activeElement.blur()");
        await page.Keyboard.PressAsync("Tab");
        Assert.Equal("Skip to the content", await page.EvaluateAsync<string>("document.activeElement.textContent"));
        List<string> stops = [];
        for (int i = 0; i < 8; i++)
        {
            await page.Keyboard.PressAsync("Tab");
            stops.Add(await page.EvaluateAsync<string>("document.activeElement.id || document.activeElement.textContent"));
        }

        Assert.Equal(["Search", "Compare", "Map", "Spectrum", "Training run", "rows", "columns", "Compare"], stops);
    }

    [Fact]
    public async Task A_server_with_keys_asks_for_one_and_for_another_where_it_is_wrong()
    {
        Assert.SkipWhen(fixture.Browser is null, "needs Chromium: eng/browser/setup");
        await using RunningServer server = await RunningServer.StartAsync(options => options with { ApiKeys = ["a-key-of-the-tests-0001"] }, index: true);
        IPage page = await fixture.Browser.NewPageAsync();
        await page.GotoAsync(server.Address.ToString());
        await Expect(page.Locator("#key-dialog")).ToBeVisibleAsync();
        await page.Locator("#key").FillAsync("a-wrong-key-of-the-tests");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("#key-hint")).ToContainTextAsync("not accepted");
        await Expect(page.Locator("#key-dialog")).ToBeVisibleAsync();
        await page.Locator("#key").FillAsync("a-key-of-the-tests-0001");
        await page.Keyboard.PressAsync("Enter");
        await Expect(page.Locator("#model")).ToContainTextAsync("tiny");
        await page.CloseAsync();
    }

    [Fact]
    public async Task Without_an_index_and_a_run_the_views_say_so()
    {
        Assert.SkipWhen(fixture.Browser is null, "needs Chromium: eng/browser/setup");
        await using RunningServer server = await RunningServer.StartAsync();
        IPage page = await fixture.Browser.NewPageAsync();
        await page.GotoAsync(server.Address.ToString());
        await Expect(page.Locator("#model")).ToContainTextAsync("no index");
        await page.Locator("nav a[href='#map']").ClickAsync();
        await Expect(page.Locator("#map-status")).ToContainTextAsync("started without --index");
        await page.Locator("nav a[href='#run']").ClickAsync();
        await Expect(page.Locator("#run-status")).ToContainTextAsync("started without --run");
        await page.CloseAsync();
    }

    /// <summary>A page at one view, which must at its end have asked no other host and reported no error.</summary>
    private sealed class Visit : IAsyncDisposable
    {
        private readonly IBrowserContext _context;
        private readonly List<string> _faults = [];

        private Visit(IBrowserContext context, IPage page, Uri address)
        {
            _context = context;
            Page = page;
            page.Console += (_, message) =>
            {
                // A filter that is none is answered with 400, which the browser reports by itself.
                if (message.Type is "error" && !message.Text.Contains("status of 400", StringComparison.Ordinal))
                {
                    _faults.Add(message.Text);
                }
            };
            page.PageError += (_, error) => _faults.Add(error);
            page.Request += (_, request) =>
            {
                if (!request.Url.StartsWith(address.ToString(), StringComparison.Ordinal))
                {
                    _faults.Add($"asked {request.Url}");
                }
            };
        }

        public IPage Page { get; }

        public static async Task<Visit> StartAsync(PageFixture fixture, string view, string scheme = "light", int width = 1280, int height = 860)
        {
            Assert.SkipWhen(fixture.Browser is null, "needs Chromium: eng/browser/setup");
            IBrowserContext context = await fixture.Browser.NewContextAsync(new BrowserNewContextOptions
            {
                ColorScheme = scheme is "dark" ? ColorScheme.Dark : ColorScheme.Light,
                ViewportSize = new ViewportSize { Width = width, Height = height },
            });
            IPage page = await context.NewPageAsync();
            page.SetDefaultTimeout(20_000);
            Visit visit = new(context, page, fixture.Server!.Address);
            await page.GotoAsync(fixture.Server.Address + view);
            await Expect(page.Locator("#model")).ToContainTextAsync("30 indexed texts");
            return visit;
        }

        public async Task PictureAsync(string name)
        {
            if (s_screenshots is not null)
            {
                await Page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(s_screenshots, name + ".png"), FullPage = true });
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _context.DisposeAsync();
            Assert.Empty(_faults);
        }
    }
}
