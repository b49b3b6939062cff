using System.CommandLine;

namespace SimCse.Cli;

/// <summary>A command that explains itself: what it does in a line, the details, its options in groups, and an example.</summary>
/// <param name="name">What follows <c>simcse</c>.</param>
/// <param name="summary">One line, for the list of commands and the head of its help.</param>
internal sealed class DocumentedCommand(string name, string summary) : Command(name, summary)
{
    private readonly List<(string Title, IReadOnlyList<Option> Options)> _groups = [];

    /// <summary>What a user should know before the options; lines are printed as they are.</summary>
    public required string Details { get; init; }

    /// <summary>Commands to try.</summary>
    public required IReadOnlyList<string> Examples { get; init; }

    /// <summary>Whether mpirun may start it on several ranks, which then share the work.</summary>
    public bool RunsOnRanks { get; init; }

    /// <summary>The options as help shows them.</summary>
    public IReadOnlyList<(string Title, IReadOnlyList<Option> Options)> Groups => _groups;

    /// <summary>Adds options under a title.</summary>
    public DocumentedCommand With(string title, params Option[] options)
    {
        _groups.Add((title, options));
        foreach (Option option in options)
        {
            Options.Add(option);
        }

        return this;
    }
}
