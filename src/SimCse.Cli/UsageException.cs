namespace SimCse.Cli;

/// <summary>The command line asks for something that makes no sense: exit status 2.</summary>
/// <param name="message">Which option, its value and what was expected.</param>
internal sealed class UsageException(string message) : Exception(message)
{
    /// <summary>Runs a check of options, and says that what it throws is the command line's fault.</summary>
    public static void Require(Action check)
    {
        try
        {
            check();
        }
        catch (Exception e) when (e is ArgumentException or FormatException)
        {
            throw new UsageException(e.Message);
        }
    }
}
