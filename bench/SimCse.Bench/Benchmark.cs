using System.Globalization;
using SimCse.Training.Modeling;

namespace SimCse.Bench;

/// <summary>Which of the processes of a run.</summary>
internal enum SideName
{
    /// <summary>This product.</summary>
    Ours,

    /// <summary>What it is compared with.</summary>
    Peer,

    /// <summary>Nothing but large matrix products: what this machine can give at that moment.</summary>
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

    /// <summary>The precision of each side's matrix products, where floating-point operations are counted and the machine's peak is measured in every round; null where not.</summary>
    public virtual (Precision Ours, Precision Peer)? Products => null;

    /// <summary>Whether the processes of both sides run on one thread each, whatever <see cref="BenchmarkOptions.Threads"/> says.</summary>
    public virtual bool OneThread => false;

    /// <summary>Whether every round has new processes, and none warms up: where the figure is a process's peak memory.</summary>
    public virtual bool NewProcessesEachRound => false;

    /// <summary>A further comparison that belongs to this one; its result is printed before this one's.</summary>
    public virtual Benchmark? Further => null;

    /// <summary>Throws where this machine lacks what the benchmark needs.</summary>
    /// <exception cref="PlatformNotSupportedException">What it lacks.</exception>
    public virtual void RequireMachine()
    {
    }

    /// <summary>Writes what both sides read into <paramref name="folder"/>.</summary>
    /// <returns>Lines about the input, for the report.</returns>
    public abstract IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options);

    /// <summary>The command that runs a side, speaking <see cref="SideHost"/>'s protocol: this program, or another where the side is not .NET or several processes.</summary>
    public virtual IReadOnlyList<string> CommandOf(SideName side, string folder, BenchmarkOptions options) => SideProcess.CommandOf(this, side, folder);

    /// <summary>Opens a side, in its own process.</summary>
    public abstract Side Open(SideName side, string folder, BenchmarkOptions options);

    /// <summary>Compares what <see cref="Side.WriteCheck"/> of the two wrote.</summary>
    /// <returns>A line for the report.</returns>
    /// <exception cref="InvalidDataException">The two do not compute the same.</exception>
    public abstract string Compare(string oursCheck, string peerCheck);

    /// <summary>The floating-point operations of a side's round, where <see cref="Products"/> says that they are counted.</summary>
    public virtual FlopCount FlopsOf(SideName side, int round, string folder) => throw new NotSupportedException($"{Name} counts no floating-point operations");

    /// <summary>The figure that is compared, from one round or one part of it: items a second.</summary>
    public virtual double ValueOf(SideRound round) => round.Parts.Sum(p => p.Items) / round.Parts.Sum(p => p.Seconds);

    /// <summary>Above 1 where ours is better.</summary>
    public virtual double RatioOf(double ours, double peer) => ours / peer;
}

/// <summary>All benchmarks, in the order of <c>eng/bench --list</c>.</summary>
internal static class Benchmarks
{
    public static IReadOnlyList<Benchmark> All { get; } =
    [
        new Training.StepBenchmark(Training.ModelShape.Small, Precision.Fp32),
        new Training.StepBenchmark(Training.ModelShape.Base, Precision.Fp32),
        new Training.StepBenchmark(Training.ModelShape.Small, Precision.Bf16),
        new Training.StepBenchmark(Training.ModelShape.Base, Precision.Bf16),
        new Training.DebianBenchmark(),
        new Training.MemoryBenchmark(),
        new Training.CachedMemoryBenchmark(),
        new Training.RanksBenchmark(),
        new Training.CostBenchmark(1_000_000),
        new Training.CostBenchmark(100_000),
        new Tokenizing.TokenizeBenchmark(),
        .. Inference.InferenceCase.All.Select(which => new Inference.InferenceBenchmark(which)),
        new Search.ExactSearchBenchmark(),
        new Search.HnswBenchmark(),
        new Distribution.AllReduceBenchmark(),
        new Serving.ServeBenchmark(textsARequest: 1),
        new Serving.ServeBenchmark(textsARequest: 16),
    ];

    public static Benchmark Named(string name) => All.FirstOrDefault(b => string.Equals(b.Name, name, StringComparison.Ordinal))
        ?? throw new UsageException($"'{name}' is not a benchmark; there are {string.Join(", ", All.Select(b => b.Name))}");
}

/// <summary>Floating-point operations of the matrix products of one round.</summary>
/// <param name="Padded">As if every row were padded to its batch's longest.</param>
/// <param name="Real">For the real tokens alone.</param>
/// <param name="Computed">What the side really computes.</param>
internal readonly record struct FlopCount(double Padded, double Real, double Computed)
{
    public static FlopCount operator +(FlopCount a, FlopCount b) => new(a.Padded + b.Padded, a.Real + b.Real, a.Computed + b.Computed);
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
/// <param name="Seconds">Of load in one round; null is the benchmark's own choice.</param>
/// <param name="Profile">Whether ours is sampled by perf instead of compared with the peer.</param>
internal sealed record BenchmarkOptions(
    int Rounds = 5,
    int Threads = 1,
    int? Steps = null,
    int Batch = 64,
    int MaxLength = 32,
    string? Model = null,
    string Sentences = "wiki",
    int Texts = 10_000,
    int? Vectors = null,
    int? Seconds = null,
    bool Profile = false)
{
    public static BenchmarkOptions Parse(ReadOnlySpan<string> arguments)
    {
        BenchmarkOptions options = new(Threads: Environment.ProcessorCount);
        for (int i = 0; i < arguments.Length; i += 2)
        {
            string name = arguments[i];
            if (string.Equals(name, "--profile", StringComparison.Ordinal))
            {
                options = options with { Profile = true };
                i--; // it has no value
                continue;
            }

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
                "--seconds" => options with { Seconds = Number(arguments) },
                "--vectors" => options with { Vectors = Number(arguments) },
                _ => throw new UsageException($"'{name}' is not an option; there are --rounds --threads --steps --batch --max-length --model --sentences --texts --vectors --seconds --profile"),
            };
        }

        return options;
    }
}

/// <summary>The command line is wrong: exit status 2.</summary>
internal sealed class UsageException(string message) : Exception(message);
