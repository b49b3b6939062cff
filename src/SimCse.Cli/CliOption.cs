using System.CommandLine;
using System.Globalization;

namespace SimCse.Cli;

/// <summary>Options as this command line has them: numbers in the invariant culture, and a message that says what was expected.</summary>
internal static class CliOption
{
    /// <summary>The model that a command uses.</summary>
    public static Option<string?> Model() => Text("--model", "M", "a model directory, or a name in the local Hugging Face cache; the default model where it is not given");

    /// <summary>The model that training starts from.</summary>
    public static Option<string?> Base() => Text("--model", "M", "a model directory with weights, or a name in the local Hugging Face cache; the default base where it is not given");

    /// <summary>The pooling that a command reads a model with.</summary>
    public static Option<Pooling?> Pooling(string description, Pooling? byDefault) => With<Pooling?>("--pooling", "P", $"{string.Join(", ", PoolingNames.All)}: {description}", byDefault, text =>
    {
        try
        {
            return PoolingNames.Parse(text);
        }
        catch (FormatException)
        {
            return null;
        }
    }, $"one of {string.Join(", ", PoolingNames.All)}");

    /// <summary>The models that a command compares.</summary>
    public static Option<string[]> Models() => Several("--model", "M…", "model directories, or names in the local Hugging Face cache; the default model where it is not given");

    /// <summary>The poolings that a command reads several models with.</summary>
    public static Option<string[]> Poolings()
    {
        Option<string[]> option = Several("--pooling", "P…", $"of {string.Join(", ", PoolingNames.All)}: one for all models, or one for each in their order; what is stored with the model where it is not given");
        return option.AcceptOnlyFromAmong([.. PoolingNames.All]);
    }

    /// <summary>How weights are stored and products computed.</summary>
    public static Option<OnnxPrecision?> Precision(string description) =>
        With<OnnxPrecision?>("--precision", "P", $"{string.Join(", ", OnnxPrecisionNames.All)}: {description}", null, OnnxPrecisionNames.Find, $"one of {string.Join(", ", OnnxPrecisionNames.All)}");

    public static Option<int?> Threads() => Whole("--threads", "N", "processor threads, of each rank under mpirun; all, shared by the ranks of a machine, where it is not given", null, least: 1);

    /// <summary>Files of texts, any number of them.</summary>
    public static Option<string[]> DataFiles(string description) => new("--data") { HelpName = "FILE", Description = description, AllowMultipleArgumentsPerToken = true };

    public static Option<bool> SdkDocs() => Flag("--sdk-docs", "add the texts of the API documentation that ships with the .NET SDK");

    /// <summary>Wrong usage where neither files nor the documentation are given.</summary>
    public static void RequireTexts(Command command, Option<string[]> data, Option<bool> sdkDocs) => command.Validators.Add(result =>
    {
        if (result.GetValue(data) is not { Length: > 0 } && !result.GetValue(sdkDocs))
        {
            result.AddError("there are no texts: give --data or --sdk-docs");
        }
    });

    /// <summary>Texts to read, from standard input where it is not given.</summary>
    public static Option<string> Input(string description) => new("--input", "-i") { HelpName = "F", Description = description, DefaultValueFactory = _ => "-" };

    public static Option<bool> JsonLines() => Flag("--jsonl", "every line is a text as a JSON string, so that it may hold a line break");

    public static Option<bool> Json(string description) => Flag("--json", description);

    public static Option<bool> Flag(string name, string description) => new(name) { Description = description };

    public static Option<string?> Text(string name, string helpName, string description) => new(name) { HelpName = helpName, Description = description };

    public static Option<string> Required(string name, string helpName, string description) => new(name) { HelpName = helpName, Description = description, Required = true };

    public static Option<int?> Whole(string name, string helpName, string description, int? byDefault, int least = int.MinValue) =>
        With<int?>(name, helpName, description, byDefault,
            text => int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) && value >= least ? value : null,
            least == int.MinValue ? "a whole number" : $"a whole number of at least {least}");

    public static Option<long?> Long(string name, string helpName, string description, long? byDefault) =>
        With<long?>(name, helpName, description, byDefault,
            text => long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value) ? value : null, "a whole number");

    public static Option<double?> Number(string name, string helpName, string description, double? byDefault) =>
        With<double?>(name, helpName, description, byDefault,
            text => double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out double value) && double.IsFinite(value) ? value : null, "a number");

    /// <summary>One of some words, the first where it is not given.</summary>
    public static Option<string> Choice(string name, string description, params string[] choices)
    {
        Option<string> option = new(name) { HelpName = string.Join('|', choices), Description = description, DefaultValueFactory = _ => choices[0] };
        return option.AcceptOnlyFromAmong(choices);
    }

    private static Option<string[]> Several(string name, string helpName, string description) =>
        new(name) { HelpName = helpName, Description = description, AllowMultipleArgumentsPerToken = true, DefaultValueFactory = _ => [] };

    private static Option<T?> With<T>(string name, string helpName, string description, T? byDefault, Func<string, T?> parse, string expected) => new(name)
    {
        HelpName = helpName,
        Description = description,
        DefaultValueFactory = _ => byDefault,
        CustomParser = result =>
        {
            T? value = parse(result.Tokens[0].Value);
            if (value is null)
            {
                result.AddError($"{name} is '{result.Tokens[0].Value}'; expected {expected}");
            }

            return value;
        },
    };
}
