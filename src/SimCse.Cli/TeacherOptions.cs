using System.CommandLine;
using System.Globalization;
using SimCse.Training.Distillation;

namespace SimCse.Cli;

/// <summary>The options of a training that learns a teacher's vectors.</summary>
internal sealed class TeacherOptions
{
    private readonly Option<string?> _teacher;
    private readonly Option<string?> _vectors = CliOption.Text("--teacher-vectors", "F", "where the teacher's vectors of the data are kept, to be used again by other runs; in --output, for this run alone, where it is not given");
    private readonly Option<double?> _similarityWeight;

    /// <param name="objective">What follows from a teacher, for help.</param>
    /// <param name="similarityWeight">The default weight of the similarities.</param>
    public TeacherOptions(string objective, double similarityWeight)
    {
        _teacher = CliOption.Text("--teacher", "M", $"a model whose vectors are to be learnt: {objective}");
        _similarityWeight = CliOption.Number("--similarity-weight", "W", "the weight of the teacher's similarities within the batch beside its vectors", similarityWeight);
    }

    /// <summary>The options, in the order of help.</summary>
    public Option[] All => [_teacher, _vectors, _similarityWeight];

    /// <summary>The weight of the similarities.</summary>
    public double SimilarityWeight(ParseResult parsed) => parsed.GetValue(_similarityWeight)!.Value;

    /// <summary>The teacher's directory; null where none is given.</summary>
    /// <exception cref="DirectoryNotFoundException">There is no such model.</exception>
    public string? Directory(ParseResult parsed) => parsed.GetValue(_teacher) is { } teacher ? ModelLocation.Find(teacher) : null;

    /// <summary>The teacher's vectors of these texts, computed where they are not there yet.</summary>
    public TeacherVectors Vectors(ParseResult parsed, string directory, string output, Func<IEnumerable<string>> texts, int? threads, CancellationToken cancellationToken) =>
        TeacherVectors.Compute(parsed.GetValue(_vectors) ?? TeacherVectors.FileOf(output), directory, texts, threads, new RateLines("texts through the teacher"), cancellationToken);

    /// <summary>The vectors in a student's space; says how much of them is left there.</summary>
    public static TeacherTargets Targets(TeacherVectors vectors, int width)
    {
        TeacherTargets targets = TeacherTargets.Create(vectors, width);
        Log.Info(string.Create(CultureInfo.InvariantCulture, $"the teacher's {vectors.Dimensions} components in {width}: {100 * targets.Kept:0.0}% of their squared length"));
        return targets;
    }
}
