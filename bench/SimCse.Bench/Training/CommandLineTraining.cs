using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace SimCse.Bench.Training;

/// <summary>One run of <c>simcse train</c> with the small model, as a user starts it, watched from outside.</summary>
/// <param name="Seconds">Wall time from the command's start to its end.</param>
/// <param name="StepSeconds">Of these, what it spent in its steps.</param>
/// <param name="PeakMemory">The most memory that its processes had, together, bytes.</param>
/// <param name="Steps">Of each step the loss, and the seconds since training began.</param>
internal sealed record CommandLineTraining(double Seconds, double StepSeconds, long PeakMemory, IReadOnlyList<(double Loss, double Seconds)> Steps)
{
    /// <summary>Trains and removes what was written.</summary>
    /// <param name="launcher">What stands before the command, such as <c>mpirun -n 2</c>; else empty.</param>
    /// <param name="data">One sentence a line.</param>
    /// <param name="steps">How many.</param>
    /// <param name="options">Batch, length, threads, model.</param>
    /// <exception cref="InvalidDataException">The command failed; with its message.</exception>
    public static CommandLineTraining Run(IReadOnlyList<string> launcher, string data, int steps, BenchmarkOptions options)
    {
        static string Number(int value) => value.ToString(CultureInfo.InvariantCulture);
        string output = Directory.CreateTempSubdirectory("simcse-bench-train-").FullName;
        try
        {
            string[] command =
            [
                .. launcher, SideProcess.DotnetHost, Path.Combine(AppContext.BaseDirectory, "SimCse.Cli.dll"), "train", "--model", options.Model ?? ModelShape.Small.Directory(), "--data", data, "--output", output,
                "--pooling", "cls", "--mlp-only-train", "--max-steps", Number(steps), "--batch-size", Number(options.Batch), "--max-length", Number(options.MaxLength), "--threads", Number(options.Threads), "--json",
            ];
            ProcessStartInfo start = new(command[0], command[1..]) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
            start.Environment["OMPI_ALLOW_RUN_AS_ROOT"] = start.Environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
            long began = Stopwatch.GetTimestamp(), peak = 0;
            using Process process = Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start");
            Task<string> outcome = process.StandardOutput.ReadToEndAsync(), messages = process.StandardError.ReadToEndAsync();
            while (!process.WaitForExit(TimeSpan.FromMilliseconds(50)))
            {
                peak = Math.Max(peak, ProcessTree.PeakMemory(process));
            }

            double seconds = Stopwatch.GetElapsedTime(began).TotalSeconds;
            if (process.ExitCode != 0)
            {
                throw new InvalidDataException($"{string.Join(' ', command.Take(launcher.Count + 3))} ended with exit status {process.ExitCode}: {messages.Result.Trim()}");
            }

            using JsonDocument result = JsonDocument.Parse(outcome.Result);
            double stepSeconds = (double)steps * options.Batch / result.RootElement.GetProperty("sentences_per_second").GetDouble();
            return new CommandLineTraining(seconds, stepSeconds, peak, [.. File.ReadLines(Path.Combine(output, "metrics.jsonl")).Select(Step)]);
        }
        finally
        {
            Directory.Delete(output, recursive: true);
        }

        static (double Loss, double Seconds) Step(string line)
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return (json.RootElement.GetProperty("loss").GetDouble(), json.RootElement.GetProperty("seconds").GetDouble());
        }
    }
}
