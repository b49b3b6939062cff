using System.Globalization;

namespace SimCse.Bench;

/// <summary>Which of the processes of a run.</summary>
internal enum SideName
{
    /// <summary>This product.</summary>
    Ours,

    /// <summary>What it is compared with.</summary>
    Peer,

    /// <summary>Nothing but one large matrix product: what this machine can give at that moment.</summary>
    Peak,
}

/// <summary>
/// One paired benchmark. To add one: derive from this, and put it in <see cref="Benchmarks.All"/>.
/// <see cref="Prepare"/> runs once, in the process the user started; <see cref="Open"/> in the process of each side, which knows
/// nothing but the folder and the options.
/// </summary>
internal abstract class Benchmark
{
    /// <summary>What <c>eng/bench</c> calls it.</summary>
    public abstract string Name { get; }

    /// <summary>One line for <c>eng/bench --list</c>.</summary>
    public abstract string Summary { get; }

    /// <summary>The unit of <see cref="ValueOf"/>, without spaces.</summary>
    public abstract string Unit { get; }

    /// <summary>Whether the matrix-product peak of the machine is measured in every round, and floating-point operations are counted.</summary>
    public abstract bool CountsFlops { get; }

    /// <summary>Whether both sides run on one thread whatever <see cref="BenchmarkOptions.Threads"/> says.</summary>
    public virtual bool OneThread => false;

    /// <summary>Writes what both sides read into <paramref name="folder"/>.</summary>
    /// <returns>Lines about the input, for the report.</returns>
    public abstract IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options);

    /// <summary>The command that runs a side which is not .NET, speaking <see cref="SideHost"/>'s protocol; null where this program does.</summary>
    public virtual IReadOnlyList<string>? CommandOf(SideName side, string folder, BenchmarkOptions options) => null;

    /// <summary>Opens a side, in its own process.</summary>
    public abstract Side Open(SideName side, string folder, BenchmarkOptions options);

    /// <summary>Compares what <see cref="Side.WriteCheck"/> of the two wrote.</summary>
    /// <returns>A line for the report.</returns>
    /// <exception cref="InvalidDataException">The two do not compute the same.</exception>
    public abstract string Compare(string oursCheck, string peerCheck);

    /// <summary>The figure that is compared, from one round: items a second.</summary>
    public virtual double ValueOf(IReadOnlyList<Measurement> parts) => parts.Sum(p => p.Items) / parts.Sum(p => p.Seconds);

    /// <summary>Above 1 where ours is better.</summary>
    public virtual double RatioOf(double ours, double peer) => ours / peer;
}

/// <summary>All benchmarks, in the order of <c>eng/bench --list</c>.</summary>
internal static class Benchmarks
{
    public static IReadOnlyList<Benchmark> All { get; } =
    [
        new Training.TrainingBenchmark(Training.ModelShape.Small),
        new Training.TrainingBenchmark(Training.ModelShape.Base),
        new Tokenizing.TokenizeBenchmark(),
        new Search.ExactSearchBenchmark(),
        new Search.HnswBenchmark(),
        new Distribution.AllReduceBenchmark(),
    ];

    public static Benchmark Named(string name) => All.FirstOrDefault(b => string.Equals(b.Name, name, StringComparison.Ordinal))
        ?? throw new UsageException($"'{name}' is not a benchmark; there are {string.Join(", ", All.Select(b => b.Name))}");
}

/// <summary>What the user asked for; written to the run's folder for the processes of the sides.</summary>
/// <param name="Rounds">Rounds that count.</param>
/// <param name="Threads">Threads a side may use.</param>
/// <param name="Steps">Training steps of one side in one round; null is the benchmark's own choice.</param>
/// <param name="Batch">Sentences in a training batch; each is two rows.</param>
/// <param name="MaxLength">Tokens a sentence is cut to.</param>
/// <param name="Model">A model directory in the place of the benchmark's own.</param>
/// <param name="Sentences"><c>wiki</c>: real ones where the data is there; <c>generated</c>: lognormal lengths with a mean of 19 tokens.</param>
/// <param name="Texts">Texts tokenized in one round.</param>
/// <param name="Vectors">Vectors searched; null is the benchmark's own choice.</param>
internal sealed record BenchmarkOptions(
    int Rounds = 5,
    int Threads = 1,
    int? Steps = null,
    int Batch = 64,
    int MaxLength = 32,
    string? Model = null,
    string Sentences = "wiki",
    int Texts = 10_000,
    int? Vectors = null)
{
    public static BenchmarkOptions Parse(ReadOnlySpan<string> arguments)
    {
        BenchmarkOptions options = new(Threads: Environment.ProcessorCount);
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string name = arguments[i];
            string Value(ReadOnlySpan<string> all) => i + 1 < all.Length ? all[i + 1] : throw new UsageException($"{name} needs a value");
            int Number(ReadOnlySpan<string> all) => int.TryParse(Value(all), NumberStyles.None, CultureInfo.InvariantCulture, out int n) && n > 0
                ? n
                : throw new UsageException($"{name} needs a whole number above 0, not '{Value(all)}'");
            options = name switch
            {
                "--rounds" => options with { Rounds = Number(arguments) },
                "--threads" => options with { Threads = Number(arguments) },
                "--steps" => options with { Steps = Number(arguments) },
                "--batch" => options with { Batch = Number(arguments) },
                "--max-length" => options with { MaxLength = Number(arguments) },
                "--model" => options with { Model = Path.GetFullPath(Value(arguments)) },
                "--sentences" => options with { Sentences = Value(arguments) is "wiki" or "generated" ? Value(arguments) : throw new UsageException($"--sentences needs wiki or generated, not '{Value(arguments)}'") },
                "--texts" => options with { Texts = Number(arguments) },
                "--vectors" => options with { Vectors = Number(arguments) },
                _ => throw new UsageException($"'{name}' is not an option; there are --rounds --threads --steps --batch --max-length --model --sentences --texts --vectors"),
            };
        }

        return options;
    }
}

/// <summary>The command line is wrong: exit status 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
