using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Globalization;
using System.Reflection;

namespace SimCse.Cli;

/// <summary><c>--help</c> and <c>--version</c>: options in groups, with defaults, and an example.</summary>
internal sealed class CommandHelp : SynchronousCommandLineAction
{
    private const int Width = 110;
    private const int OptionColumn = 32;

    private CommandHelp()
    {
    }

    /// <summary>The version of this build.</summary>
    public static string Version { get; } =
        typeof(CommandHelp).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+')[0];

    /// <summary>Gives a command line this help in the place of System.CommandLine's.</summary>
    public static void Replace(RootCommand root)
    {
        foreach (Option option in root.Options)
        {
            if (option is HelpOption)
            {
                option.Action = new CommandHelp();
            }
            else if (option is VersionOption)
            {
                option.Action = new VersionAction();
            }
        }
    }

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        TextWriter output = parseResult.InvocationConfiguration.Output;
        if (parseResult.CommandResult.Command is DocumentedCommand command)
        {
            Write(output, command);
        }
        else
        {
            WriteRoot(output, parseResult.RootCommandResult.Command);
        }

        return 0;
    }

    private static void WriteRoot(TextWriter output, Command root)
    {
        output.WriteLine($"simcse {Version}: {root.Description}");
        output.WriteLine();
        output.WriteLine("usage: simcse COMMAND [options]");
        output.WriteLine();
        output.WriteLine("commands:");
        foreach (Command command in root.Subcommands)
        {
            WriteColumns(output, command.Name, command.Description ?? "", column: 14);
        }

        output.WriteLine();
        output.WriteLine("simcse COMMAND --help explains each; simcse --version prints the version.");
        output.WriteLine("Results go to standard output, progress to standard error; --json prints one JSON document.");
        output.WriteLine("Exit status: 0 done, 1 the input or the environment is at fault, 2 wrong usage, 130 interrupted.");
    }

    private static void Write(TextWriter output, DocumentedCommand command)
    {
        string arguments = string.Concat(command.Arguments.Select(a => $" {a.Name}"));
        string required = string.Concat(command.Options.Where(o => o.Required).Select(o => $" {o.Name} {o.HelpName}"));
        output.WriteLine($"simcse {command.Name}: {command.Description}");
        output.WriteLine();
        output.WriteLine($"usage: simcse {command.Name}{arguments}{required} [options]");
        output.WriteLine();
        output.WriteLine(command.Details.ReplaceLineEndings("\n").TrimEnd());
        if (command.Arguments.Count > 0)
        {
            output.WriteLine();
            output.WriteLine("arguments:");
            foreach (Argument argument in command.Arguments)
            {
                WriteColumns(output, argument.Name, argument.Description ?? "", OptionColumn);
            }
        }

        foreach ((string title, IReadOnlyList<Option> options) in command.Groups)
        {
            output.WriteLine();
            output.WriteLine($"{title}:");
            foreach (Option option in options)
            {
                WriteColumns(output, Label(option), option.Description + Default(option), OptionColumn);
            }
        }

        output.WriteLine();
        output.WriteLine(command.Examples.Count > 1 ? "examples:" : "example:");
        foreach (string example in command.Examples)
        {
            output.WriteLine($"  {example}");
        }
    }

    private static string Label(Option option) =>
        string.Join(", ", [option.Name, .. option.Aliases]) + (option.ValueType == typeof(bool) ? "" : $" {option.HelpName}");

    private static string Default(Option option) =>
        option.Required ? " (required)"
        : option.ValueType != typeof(bool) && option.HasDefaultValue && option.GetDefaultValue() is { } value ? $" (default {Show(value)})"
        : "";

    private static string Show(object value) => value switch
    {
        Pooling pooling => pooling.ToName(),
        double number => number.ToString("0.#######", CultureInfo.InvariantCulture),
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString()!,
    };

    private static void WriteColumns(TextWriter output, string first, string second, int column)
    {
        output.Write($"  {first}");
        int at = first.Length + 2;
        if (at > column - 2)
        {
            output.WriteLine();
            at = 0;
        }

        output.Write(new string(' ', column - at));
        at = column;
        foreach (string word in second.Split(' '))
        {
            if (at + word.Length + 1 > Width)
            {
                output.WriteLine();
                output.Write(new string(' ', column));
                at = column;
            }

            if (at > column)
            {
                output.Write(' ');
                at++;
            }

            output.Write(word);
            at += word.Length;
        }

        output.WriteLine();
    }

    private sealed class VersionAction : SynchronousCommandLineAction
    {
        public override int Invoke(ParseResult parseResult)
        {
            parseResult.InvocationConfiguration.Output.WriteLine($"simcse {Version}");
            return 0;
        }
    }
}
