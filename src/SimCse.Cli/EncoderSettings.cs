using System.CommandLine;
using SimCse.Training.Distribution;

namespace SimCse.Cli;

/// <summary>The options of the commands that encode texts with a model.</summary>
internal sealed class EncoderSettings
{
    private readonly Option<string?> _model = CliOption.Model();
    private readonly Option<Pooling?> _pooling = CliOption.Pooling("what is stored with the model where it is not given", null);
    private readonly Option<bool> _allowOtherPooling = CliOption.Flag("--allow-other-pooling", "take --pooling even where the model is stored with another");
    private readonly Option<int?> _maxLength = CliOption.Whole("--max-length", "N", "tokens kept of a text, special tokens included; the model's own limit where it is not given", null, least: 3);
    private readonly Option<bool> _noTruncation = CliOption.Flag("--no-truncation", "end with an error at a text that is longer, instead of cutting it");
    private readonly Option<int?> _dimensions = CliOption.Whole("--dimensions", "N", "the components kept of a vector, the first ones (for Matryoshka models); all where it is not given", null, least: 1);
    private readonly Option<OnnxPrecision?> _precision = CliOption.Precision("how products are computed; fp32, or what the directory's ONNX file is, where it is not given");
    private readonly Option<string?> _onnx = CliOption.Text("--onnx", "F", "an ONNX file to run, its path from the model's directory; the weights where it is not given, or the directory's ONNX file where there are none");
    private readonly Option<int?> _threads = CliOption.Threads();

    /// <summary>For help, and for the command.</summary>
    public Option[] Options => [.. OptionsOfServer[..4], _noTruncation, .. OptionsOfServer[4..]];

    /// <summary>Those of a server, where each request says whether a text may be cut.</summary>
    public Option[] OptionsOfServer => [_model, _pooling, _allowOtherPooling, _maxLength, _dimensions, _precision, _onnx, _threads];

    /// <summary>Loads the model that the command line asks for.</summary>
    /// <param name="parsed">The command line.</param>
    /// <param name="normalize">See <see cref="SentenceEncoderOptions.Normalize"/>.</param>
    public SentenceEncoder Load(ParseResult parsed, bool? normalize = false) => LoadedModel.ForUse(parsed.GetValue(_model), Asked(parsed, normalize));

    /// <summary>Loads the model that the command line asks for; where it asks for none, this one, with this pooling unless it asks for another.</summary>
    public SentenceEncoder LoadOr(ParseResult parsed, string? model, Pooling? pooling)
    {
        SentenceEncoderOptions asked = Asked(parsed, normalize: false);
        return parsed.GetValue(_model) is null && model is not null
            ? LoadedModel.ForUse(model, asked with { Pooling = asked.Pooling ?? pooling, AllowOtherPooling = true })
            : LoadedModel.ForUse(parsed.GetValue(_model), asked);
    }

    /// <summary>What the command line gives as the model, as a full path where it is a directory.</summary>
    public string? ModelGiven(ParseResult parsed) => parsed.GetValue(_model) is { } model && Directory.Exists(model) ? Path.GetFullPath(model) : parsed.GetValue(_model);

    /// <summary>Whether the command line gives a pooling.</summary>
    public bool HasPooling(ParseResult parsed) => parsed.GetValue(_pooling) is not null;

    private SentenceEncoderOptions Asked(ParseResult parsed, bool? normalize) => new()
    {
        Pooling = parsed.GetValue(_pooling),
        AllowOtherPooling = parsed.GetValue(_allowOtherPooling),
        Normalize = normalize,
        MaxLength = parsed.GetValue(_maxLength),
        RefuseTruncation = parsed.GetValue(_noTruncation),
        Dimensions = parsed.GetValue(_dimensions),
        Precision = parsed.GetValue(_precision),
        OnnxFile = parsed.GetValue(_onnx),
        Threads = parsed.GetValue(_threads) ?? ProcessRank.Current?.Threads,
    };
}
