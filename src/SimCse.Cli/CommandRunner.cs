using System.CommandLine;
using System.CommandLine.Parsing;
using System.Runtime.InteropServices;
using System.Text;

namespace SimCse.Cli;

/// <summary>Runs a command line: parses it, with what <c>--config</c> adds, cancels on Ctrl-C and SIGTERM, and turns every outcome into an exit status.</summary>
internal static class CommandRunner
{
    public static async Task<int> RunAsync(string[] arguments)
    {
        using CancellationTokenSource interrupt = new();
        using PosixSignalRegistration interrupted = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
        using PosixSignalRegistration terminated = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
        try
        {
            RootCommand root = SimCseCommand.Create();
            ParseResult parsed = ConfigFile.Apply(root, arguments);
            if (parsed.Errors.Count > 0 && parsed.Action is not CommandHelp)
            {
                throw new UsageException(Explain(parsed));
            }

            // Not disposed: what is still in its buffer when a command fails is not printed.
            StreamWriter output = new(Console.OpenStandardOutput(), new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), bufferSize: 1 << 16) { NewLine = "\n" };
            InvocationConfiguration configuration = new()
            {
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null,
                Output = output,
            };
            int status = await parsed.InvokeAsync(configuration, interrupt.Token);
            await output.FlushAsync(CancellationToken.None);
            return status;
        }
        catch (Exception e)
        {
            return ExitStatus.Report(e);
        }

        void Stop(PosixSignalContext context)
        {
            // The first signal asks the command to stop and save; the second ends the process as it would have without us.
            context.Cancel = !interrupt.IsCancellationRequested;
            interrupt.Cancel();
        }
    }

    private static string Explain(ParseResult parsed)
    {
        string command = parsed.CommandResult.Command is DocumentedCommand documented ? $"simcse {documented.Name}" : "simcse";
        return $"{parsed.Errors[0].Message.TrimEnd('.')} (see {command} --help)";
    }
}
