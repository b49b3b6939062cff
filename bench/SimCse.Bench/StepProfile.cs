using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace SimCse.Bench;

/// <summary>
/// Where the time of our training step goes: Linux's perf samples the call stacks of all threads of our side while it works, and each sample counts for the part of the step whose code is nearest its top.
/// </summary>
internal static partial class StepProfile
{
    private const int SamplesPerSecond = 997;

    /// <summary>The parts of a step, by the methods that do them; a stack belongs to the first of these rules that the frame nearest its top fits.</summary>
    private static readonly (string Part, Regex Methods)[] s_parts =
    [
        ("dropout masks", DropoutMasks()),
        ("attention, forward and backward", Attention()),
        ("layer norms, residuals", Norms()),
        ("GELU, forward and backward", Gelu()),
        ("linear products: dW, with its packing", WeightGradients()),
        ("packing of the weights", Packing()),
        ("optimiser", Optimiser()),
        ("embeddings, forward and backward", Embeddings()),
        ("linear products: dX", InputGradients()),
        ("linear products: forward", Forward()),
        ("waiting for other threads", Waiting()),
        ("head and loss (libtorch)", Head()),
    ];

    private const string Other = "other (runtime, system)";

    /// <summary>Samples ours and prints the table.</summary>
    /// <exception cref="InvalidDataException">perf did not run.</exception>
    public static int Run(Benchmark benchmark, BenchmarkOptions options, TextWriter report, CancellationToken cancellationToken)
    {
        benchmark.RequireMachine();
        string folder = Directory.CreateTempSubdirectory("simcse-profile-").FullName;
        try
        {
            File.WriteAllText(Path.Combine(folder, PairedRun.OptionsFile), JsonSerializer.Serialize(options));
            report.WriteLine($"{benchmark.Name}, ours alone, sampled by perf: {benchmark.Summary}");
            report.WriteLine(Machine.Describe(options.Threads));
            foreach (string line in benchmark.Prepare(folder, options))
            {
                report.WriteLine(line);
            }

            using SideProcess ours = new(benchmark, SideName.Ours, folder, options, namesCode: true);
            ours.Round(0); // until the code is compiled as it stays

            string data = Path.Combine(folder, "perf.data"), map = Path.Combine(Path.GetTempPath(), $"perf-{ours.Id}.map");
            List<SideRound> rounds = [];
            try
            {
                using Process record = Start("perf", "record", "-q", "-g", "-F", SamplesPerSecond.ToString(CultureInfo.InvariantCulture), "-o", data, "-p", ours.Id.ToString(CultureInfo.InvariantCulture));
                for (int r = 1; r <= options.Rounds; r++)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    rounds.Add(ours.Round(r));
                }

                using (Process stop = Start("kill", "-INT", record.Id.ToString(CultureInfo.InvariantCulture)))
                {
                    stop.WaitForExit();
                }

                record.WaitForExit();
                using Process script = Start("perf", "script", "-i", data, "-F", "ip,sym");
                Print(Count(script.StandardOutput), rounds, report);
            }
            finally
            {
                File.Delete(map);
            }

            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>The samples of each part. Stacks stand one after another, a frame a line from the top down, with an empty line behind each.</summary>
    internal static IReadOnlyDictionary<string, int> Count(TextReader stacks)
    {
        Dictionary<string, int> samples = new(StringComparer.Ordinal);
        List<string> frames = [];
        while (true)
        {
            string? line = stacks.ReadLine();
            if (!string.IsNullOrWhiteSpace(line))
            {
                frames.Add(line);
                continue;
            }

            if (frames.Count > 0)
            {
                string part = PartOf(frames);
                samples[part] = samples.GetValueOrDefault(part) + 1;
                frames.Clear();
            }

            if (line is null)
            {
                return samples;
            }
        }
    }

    private static string PartOf(List<string> frames) =>
        frames.Select(frame => frame.Split('(')[0]) // without the parameters' types
            .Select(method => s_parts.FirstOrDefault(p => p.Methods.IsMatch(method)).Part)
            .FirstOrDefault(part => part is not null) ?? Other;

    private static void Print(IReadOnlyDictionary<string, int> samples, List<SideRound> rounds, TextWriter report)
    {
        int all = samples.Values.Sum();
        if (all == 0)
        {
            throw new InvalidDataException("perf has taken no samples; it needs leave to watch other processes (kernel.perf_event_paranoid at most 1, or root)");
        }

        double sentences = rounds.Sum(r => r.Parts.Sum(p => p.Items)), seconds = rounds.Sum(r => r.Seconds), processor = rounds.Sum(r => r.ProcessorSeconds);
        report.WriteLine($"{all} samples of {rounds.Count} round(s); {sentences / seconds:0.0} sentences/s, {1000 * seconds / sentences:0.00} ms wall and {1000 * processor / sentences:0.00} ms of processor time a sentence");
        report.WriteLine("part | share | processor ms a sentence");
        foreach ((string part, int count) in samples.OrderByDescending(s => s.Value))
        {
            report.WriteLine($"{part} | {(double)count / all:0.0%} | {1000 * processor / sentences * count / all:0.000}");
        }
    }

    private static Process Start(string program, params string[] arguments)
    {
        try
        {
            return Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardOutput = true })!;
        }
        catch (Win32Exception e)
        {
            throw new InvalidDataException($"{program} cannot be run ({e.Message}); Debian's package linux-perf has perf", e);
        }
    }

    [GeneratedRegex("DropoutMasks|Philox|HiddenMask", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex DropoutMasks();

    [GeneratedRegex("SelfAttention", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Attention();

    [GeneratedRegex("LayerNorm|LayerInput|AddPartials|ClearedPartials", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Norms();

    [GeneratedRegex("Gelu", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Gelu();

    [GeneratedRegex("WeightGradients", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex WeightGradients();

    [GeneratedRegex("(LinearWeights|LayerWeights)::|<Pack(Forward|Backward)?>", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Packing();

    [GeneratedRegex("AdamW", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Optimiser();

    [GeneratedRegex("NativeEncoder.*(::|<)Embed|NativeEncoder::Sum", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Embeddings();

    [GeneratedRegex("NativeEncoder.*(::|<)(TransformBackward|Layer|LayerAtFirst|Backward)>?", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex InputGradients();

    [GeneratedRegex("NativeEncoder.*(::|<)(Attend|Transform|Linear|Product|Forward)", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Forward();

    [GeneratedRegex("WorkerThreads", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Waiting();

    [GeneratedRegex("torch|at::|c10::|ContrastiveLoss|ContrastiveStep|SimCseModel|Pooler|mkl|dnnl", RegexOptions.IgnoreCase | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Head();
}
