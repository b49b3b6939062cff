using System.CommandLine;
using System.Runtime.InteropServices;
using System.Text;
using SimCse.Training.Distribution;

namespace SimCse.Cli;

/// <summary>Runs a command line: parses it, with what <c>--config</c> adds, cancels on Ctrl-C and SIGTERM, and turns every outcome into an exit status.</summary>
internal static class CommandRunner
{
    public static async Task<int> RunAsync(string[] arguments)
    {
        using CancellationTokenSource interrupt = new();
        using PosixSignalRegistration interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        if (ProcessRank.Current is not null)
        {
            // mpirun gives its ranks a terminal for standard output; .NET's console would set it up by a sequence ahead of what was asked for.
            Environment.SetEnvironmentVariable("TERM", "dumb");
        }

        try
        {
            RootCommand root = SimCseCommand.Create();
            ParseResult parsed = ConfigFile.Apply(root, arguments);
            if (parsed.Errors.Count > 0 && parsed.Action is not CommandHelp)
            {
                throw new UsageException(Explain(parsed));
            }

            RequireOneProcess(parsed);

            // Not disposed: what is still in its buffer when a command fails is not printed.
            StreamWriter output = new(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), bufferSize: 1 << 16) { NewLine = "\n" };
            InvocationConfiguration configuration = new()
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = ProcessRank.Current is { Rank: > 0 } ? TextWriter.Null : output,
            };
            int status = await parsed.InvokeAsync(configuration, interrupt.Token);
            await output.FlushAsync(CancellationToken.None);
            return status;
        }
        catch (Exception e)
        {
            return ExitStatus.Report(e, interrupt.Token);
        }

        void Stop(PosixSignalContext context)
        {
            // The first signal asks the command to stop and save; the second ends the process as it would have without us.
            context.Cancel = !interrupt.IsCancellationRequested;
            interrupt.Cancel();
        }
    }

    /// <summary>Several ranks of a command that knows nothing of them would do the same work, and write the same files.</summary>
    private static void RequireOneProcess(ParseResult parsed)
    {
        if (ProcessRank.Current is { Size: > 1 } && parsed is { Action: not CommandHelp, CommandResult.Command: DocumentedCommand { RunsOnRanks: false } command })
        {
            string others = string.Join(", ", parsed.RootCommandResult.Command.Subcommands.OfType<DocumentedCommand>().Where(c => c.RunsOnRanks).Select(c => c.Name));
            throw new UsageException($"simcse {command.Name} runs as one process; mpirun can start several of: {others}");
        }
    }

    private static string Explain(ParseResult parsed)
    {
        if (parsed.CommandResult.Command is not DocumentedCommand command)
        {
            string commands = string.Join(", ", parsed.RootCommandResult.Command.Subcommands.Select(c => c.Name));
            return parsed.UnmatchedTokens is [var unknown, ..]
                ? $"'{unknown}' is not a command; expected one of {commands} (see simcse --help)"
                : $"no command given; expected one of {commands} (see simcse --help)";
        }

        return $"{parsed.Errors[0].Message.TrimEnd('.')} (see simcse {command.Name} --help)";
    }
}
