using System.CommandLine;
using SimCse.Checkpoints;
using SimCse.Evaluation.Rivals;

namespace SimCse.Cli;

/// <summary>The options of the commands that mend vectors without training.</summary>
internal sealed class PostProcessingSettings
{
    private readonly Option<int?> _whiten = CliOption.Whole("--whiten", "K", "whiten the vectors and keep the first K components (Su et al. 2021)", null, least: 1);
    private readonly Option<int?> _allButTheTop = CliOption.Whole("--all-but-the-top", "D", "take the mean and the D directions of most variance out of the vectors (Mu and Viswanath 2018)", null, least: 0);
    private readonly Option<string?> _fitOn;

    /// <param name="whereNotGiven">What the map is fitted to without <c>--fit-on</c>; null where that has to be given.</param>
    public PostProcessingSettings(string? whereNotGiven) =>
        _fitOn = CliOption.Text("--fit-on", "F", "the texts that --whiten or --all-but-the-top is fitted to, one a line (- for standard input)" + (whereNotGiven is null ? "" : $"; {whereNotGiven} where it is not given"));

    /// <summary>For help, and for the command.</summary>
    public Option[] Options => [_whiten, _allButTheTop, _fitOn];

    /// <summary>Refuses what makes no sense together.</summary>
    /// <param name="command">The command that has the options.</param>
    /// <param name="required">Whether one of them has to be given, and the texts.</param>
    public void Validate(Command command, bool required) => command.Validators.Add(result =>
    {
        bool whiten = result.GetResult(_whiten) is { Implicit: false }, top = result.GetResult(_allButTheTop) is { Implicit: false }, fitOn = result.GetResult(_fitOn) is { Implicit: false };
        if (whiten && top)
        {
            result.AddError("--whiten and --all-but-the-top exclude each other");
        }
        else if (required ? !(whiten || top) || !fitOn : fitOn && !(whiten || top))
        {
            result.AddError(required ? "expected --whiten K or --all-but-the-top D, and --fit-on F" : "--fit-on needs --whiten K or --all-but-the-top D");
        }
    });

    /// <summary>What the command line asks for; null for nothing.</summary>
    public PostProcessing? Asked(ParseResult parsed) =>
        parsed.GetValue(_whiten) is { } components ? new Whitening(components) : parsed.GetValue(_allButTheTop) is { } directions ? new AllButTheTop(directions) : null;

    /// <summary>What reports call it: with the file that it is fitted to, or with <paramref name="whereNotGiven"/>.</summary>
    public string? Label(ParseResult parsed, string whereNotGiven) =>
        Asked(parsed) is { } asked ? $"{asked.Name} fitted on {(parsed.GetValue(_fitOn) is { } path ? Path.GetFileName(path) : whereNotGiven)}" : null;

    /// <summary>The map, where the command line names texts to fit it to; null where it does not.</summary>
    /// <exception cref="InvalidDataException">It cannot be fitted to them.</exception>
    public DenseHead? Fitted(ParseResult parsed, ISentenceEncoder encoder, CancellationToken cancellationToken)
    {
        if (parsed.GetValue(_fitOn) is not { } path)
        {
            return null;
        }

        string[] texts = [.. InputTexts.Read(path, asJson: false, cancellationToken).Where(text => text.Length > 0)];
        Log.Info($"fitting {Asked(parsed)!.Name} to {texts.Length:N0} texts");
        try
        {
            return Asked(parsed)!.Fit(encoder.Encode(texts, cancellationToken));
        }
        catch (InvalidDataException e)
        {
            throw new InvalidDataException($"{path}: {e.Message}", e);
        }
    }
}
