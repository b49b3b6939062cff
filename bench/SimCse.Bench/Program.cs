using System.Globalization;
using System.Text.Json;
using SimCse.Bench;

CultureInfo.DefaultThreadCurrentCulture = CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
using CancellationTokenSource interrupt = new();
try
{
    switch (args)
    {
        case ["--list"]:
            foreach (Benchmark benchmark in Benchmarks.All)
            {
                Console.WriteLine($"{benchmark.Name,-20} {benchmark.Summary}");
            }

            return 0;
        case ["--side", string side, string name, string folder]:
            SideName which = Enum.Parse<SideName>(side);
            BenchmarkOptions given = JsonSerializer.Deserialize<BenchmarkOptions>(File.ReadAllText(Path.Combine(folder, PairedRun.OptionsFile)))!;
            SideHost.Run(() => which == SideName.Peak && Benchmarks.Named(name).Products is { } products
                ? new MatrixProductPeak(given.Threads, [products.Ours, products.Peer])
                : Benchmarks.Named(name).Open(which, folder, given));
            return 0;
        case [string name, ..] when !name.StartsWith('-'):
            // The terminal interrupts the sides too; this process ends them and removes the run's folder.
            Console.CancelKeyPress += (_, e) =>
            {
                e.Cancel = true;
                interrupt.Cancel();
            };
            BenchmarkOptions asked = BenchmarkOptions.Parse(args.AsSpan(1));
            return asked.Profile
                ? StepProfile.Run(Benchmarks.Named(name), asked, Console.Out, interrupt.Token)
                : PairedRun.Run(Benchmarks.Named(name), asked, Console.Out, interrupt.Token);
        default:
            throw new UsageException("usage: eng/bench NAME [--rounds N] [--threads T] [--steps K] [--batch N] [--max-length L] [--model DIR] [--sentences wiki|generated] [--texts N] [--vectors N] [--seconds N] [--profile], or eng/bench --list");
    }
}
catch (UsageException e)
{
    Console.Error.WriteLine(e.Message);
    return 2;
}
catch (Exception e) when (interrupt.IsCancellationRequested && e is (OperationCanceledException or IOException or InvalidDataException))
{
    return 130;
}
catch (Exception e) when (e is IOException or InvalidDataException or UnauthorizedAccessException or PlatformNotSupportedException)
{
    Console.Error.WriteLine(e.Message);
    return 1;
}
