using System.CommandLine;
using SimCse.Training;
using SimCse.Training.Distribution;

namespace SimCse.Cli;

/// <summary>Runs a training with its display, and says how it ended.</summary>
internal static class TrainingRun
{
    /// <summary>Shows the run on standard error and, where asked for, its outcome as JSON.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="output">The run's output directory.</param>
    /// <param name="scoreName">What the development score is called.</param>
    /// <param name="json">Whether the outcome is printed.</param>
    /// <param name="run">The run.</param>
    /// <exception cref="InterruptedRunException">It was interrupted: whether it can be resumed.</exception>
    public static int Show(ParseResult parsed, string output, string scoreName, bool json, Func<IProgress<TrainingProgress>, TrainingResult> run)
    {
        TrainingResult result;
        try
        {
            result = TrainingDisplay.Show(scoreName, run);
        }
        catch (OperationCanceledException e)
        {
            throw new InterruptedRunException(TrainingLoop.Occupies(output) ? $"{e.Message}; the same command with --resume goes on" : "nothing was saved yet", e);
        }

        catch (RankFailureException e) when (TrainingLoop.Occupies(output))
        {
            throw new RankFailureException($"{e.Message}; the run is saved in {output}: the same command with --resume goes on", e.IsReported, e);
        }

        Log.Info($"{output}: the weights of step {result.BestStep} of {result.Steps}");
        if (json)
        {
            JsonOutput.Write(parsed, writer =>
            {
                writer.WriteNumber("best_step", result.BestStep);
                JsonOutput.WriteNumber(writer, "best_dev", result.BestScore, decimals: 4);
                writer.WriteNumber("steps", result.Steps);
                writer.WriteNumber("seconds", Math.Round(result.Seconds, 2));
                writer.WriteNumber("sentences_per_second", Math.Round(result.SentencesPerSecond, 1));
            });
        }

        return ExitStatus.Done;
    }
}
