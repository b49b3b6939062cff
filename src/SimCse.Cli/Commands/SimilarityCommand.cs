using System.CommandLine;
using System.Globalization;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse similarity</c>.</summary>
internal static class SimilarityCommand
{
    private static readonly Argument<string> s_first = new("A") { Description = "a text" };
    private static readonly Argument<string> s_second = new("B") { Description = "another text" };
    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<bool> s_json = CliOption.Json("print {\"similarity\": …}");

    public static Command Create()
    {
        DocumentedCommand command = new("similarity", "the cosine of two texts")
        {
            Details = "Prints the cosine of the two texts' vectors, from -1 to 1.",
            Examples = ["simcse similarity --model my-model 'A man plays the guitar.' 'Someone is making music.'"],
        };
        command.Arguments.Add(s_first);
        command.Arguments.Add(s_second);
        command
            .With("model", s_encoder.Options)
            .With("output", s_json)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed), cancellationToken));
        return command;
    }

    private static int Run(ParseResult parsed)
    {
        using SentenceEncoder encoder = s_encoder.Load(parsed);
        float cosine = encoder.Similarity(parsed.GetRequiredValue(s_first), parsed.GetRequiredValue(s_second));
        LoadedModel.WarnOfTruncation(encoder, 2);
        if (parsed.GetValue(s_json))
        {
            JsonOutput.Write(parsed, json => json.WriteNumber("similarity", cosine));
        }
        else
        {
            parsed.InvocationConfiguration.Output.WriteLine(cosine.ToString("0.000000", CultureInfo.InvariantCulture));
        }

        return ExitStatus.Done;
    }
}
