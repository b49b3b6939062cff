using System.Diagnostics;
using System.Globalization;
using SimCse.Training;
using Spectre.Console;

namespace SimCse.Cli;

/// <summary>Shows a training run on standard error: a progress bar on a terminal; where it is redirected, a line every ten seconds.</summary>
internal static class TrainingDisplay
{
    /// <summary>Runs what reports its progress, and shows it.</summary>
    /// <param name="scoreName">What the development score is called.</param>
    /// <param name="run">The run.</param>
    public static TrainingResult Show(string scoreName, Func<IProgress<TrainingProgress>, TrainingResult> run)
    {
        if (Console.IsErrorRedirected)
        {
            return run(new Lines(scoreName));
        }

        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Error) });
        return console.Progress()
            .AutoRefresh(false) // no thread beside the training's: it would take time from two cores
            .Columns(new ProgressBarColumn { Width = Math.Clamp(console.Profile.Width - 70, 8, 40) }, new TaskDescriptionColumn { Alignment = Justify.Left })
            .Start(context => run(new Bar(console, context, scoreName)));
    }

    private static string Describe(TrainingProgress at)
    {
        string step = string.Create(CultureInfo.InvariantCulture, $"step {at.Step}/{at.TotalSteps}");
        return at.Metrics is not { } metrics ? step : string.Create(CultureInfo.InvariantCulture,
            $"{step}  loss {metrics.Loss:0.0000}{Geometry(metrics.Alignment, metrics.Uniformity)}  {at.SentencesPerSecond:0} sentences/s  {Left(at.Remaining)} left");
    }

    /// <summary>Short enough to stay on one line of a terminal, beside the bar.</summary>
    private static string Short(TrainingProgress at) => string.Create(CultureInfo.InvariantCulture, $"{at.Step}/{at.TotalSteps}")
        + (at.Metrics is not { } metrics ? "" : string.Create(CultureInfo.InvariantCulture,
            $" loss {metrics.Loss:0.000}{(metrics.Alignment is { } a ? string.Create(CultureInfo.InvariantCulture, $" align {a:0.00}") : "")}{(metrics.Uniformity is { } u ? string.Create(CultureInfo.InvariantCulture, $" unif {u:0.00}") : "")} {at.SentencesPerSecond:0} sent/s {Left(at.Remaining)} left"));

    private static string Describe(DevelopmentScore score, TrainingProgress at, string scoreName) => string.Create(CultureInfo.InvariantCulture,
        $"step {at.Step}/{at.TotalSteps}  {scoreName} {score.Score:0.00}{(at.Best is { } best ? string.Create(CultureInfo.InvariantCulture, $" (best {best.Score:0.00} at step {best.Step})") : "")}{Geometry(score.Alignment, score.Uniformity)}");

    private static string Geometry(double? alignment, double? uniformity) => string.Create(CultureInfo.InvariantCulture,
        $"{(alignment is { } a ? string.Create(CultureInfo.InvariantCulture, $"  alignment {a:0.000}") : "")}{(uniformity is { } u ? string.Create(CultureInfo.InvariantCulture, $"  uniformity {u:0.000}") : "")}");

    private static string Left(TimeSpan time) => time.TotalHours >= 1
        ? string.Create(CultureInfo.InvariantCulture, $"{(int)time.TotalHours}:{time.Minutes:00}:{time.Seconds:00}")
        : string.Create(CultureInfo.InvariantCulture, $"{time.Minutes}:{time.Seconds:00}");

    private sealed class Lines(string scoreName) : IProgress<TrainingProgress>
    {
        private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(10);
        private long _last = Stopwatch.GetTimestamp();

        public void Report(TrainingProgress value)
        {
            bool last = value.Step == value.TotalSteps;
            if (value.Metrics is not null && (last || Stopwatch.GetElapsedTime(_last) >= s_interval))
            {
                _last = Stopwatch.GetTimestamp();
                Log.Info(Describe(value));
            }

            if (value.Development is { } score)
            {
                Log.Info(Describe(score, value, scoreName));
            }
        }
    }

    private sealed class Bar(IAnsiConsole console, ProgressContext context, string scoreName) : IProgress<TrainingProgress>
    {
        private static readonly TimeSpan s_interval = TimeSpan.FromMilliseconds(100);
        private readonly ProgressTask _task = context.AddTask("starting");
        private long _last;

        public void Report(TrainingProgress value)
        {
            if (value.Development is null && value.Step < value.TotalSteps && Stopwatch.GetElapsedTime(_last) < s_interval)
            {
                return;
            }

            _last = Stopwatch.GetTimestamp();
            _task.MaxValue = value.TotalSteps;
            _task.Value = value.Step;
            _task.Description = Markup.Escape(Short(value));
            if (value.Development is { } score)
            {
                console.WriteLine(Describe(score, value, scoreName));
            }

            context.Refresh();
        }
    }
}
