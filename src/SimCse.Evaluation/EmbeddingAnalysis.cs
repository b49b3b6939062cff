using System.Text;
using System.Text.Json;

namespace SimCse.Evaluation;

/// <summary>The geometry of a model's vectors on the sentences of one STS set (STS-B dev in the paper).</summary>
/// <param name="Alignment">See <see cref="Geometry.Alignment"/>.</param>
/// <param name="Uniformity">See <see cref="Geometry.Uniformity"/>.</param>
/// <param name="EffectiveRank">See <see cref="Geometry.EffectiveRank"/>.</param>
/// <param name="MeanCosine">See <see cref="Geometry.MeanCosine"/>.</param>
/// <param name="SingularValues">Of the raw vectors, the largest scaled to 1: see <see cref="Geometry.SingularSpectrum"/>.</param>
/// <param name="PositivePairs">The number of pairs behind the alignment.</param>
/// <param name="Sentences">The number of distinct sentences behind the others.</param>
public sealed record EmbeddingAnalysis(
    double Alignment, double Uniformity, double EffectiveRank, double MeanCosine, IReadOnlyList<double> SingularValues, int PositivePairs, int Sentences)
{
    /// <summary>Pairs scored above this are positive pairs, as in the paper.</summary>
    public const double PositiveBound = 4;

    /// <summary>Encodes the sentences of a set, each once, and measures.</summary>
    /// <param name="task">STS-B dev, or another set with pairs scored above 4.</param>
    /// <param name="encoder">The model.</param>
    /// <param name="cancellationToken">Passed to the encoder.</param>
    /// <exception cref="InvalidDataException">No pair is scored above 4, or a vector is not finite.</exception>
    public static EmbeddingAnalysis Of(StsTask task, ISentenceEncoder encoder, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(task);
        ArgumentNullException.ThrowIfNull(encoder);
        return Of(task, encoder.Encode(task.Sentences, cancellationToken));
    }

    /// <summary>Measures vectors that were made before.</summary>
    /// <param name="task">The set.</param>
    /// <param name="vectors">Row i belongs to <see cref="StsTask.Sentences"/>[i].</param>
    /// <exception cref="InvalidDataException">No pair is scored above 4, or a vector is not finite.</exception>
    public static EmbeddingAnalysis Of(StsTask task, EmbeddingMatrix vectors)
    {
        ArgumentNullException.ThrowIfNull(task);
        task.RequireRows(vectors);
        IReadOnlyList<(int First, int Second)> positives = task.PairsAbove(PositiveBound);
        if (positives.Count == 0)
        {
            throw new InvalidDataException($"{task.Name}: no pair is scored above {PositiveBound}, so there is nothing to measure alignment on");
        }

        double[] spectrum = Geometry.SingularSpectrum(vectors);
        return new EmbeddingAnalysis(
            Geometry.Alignment(vectors, positives),
            Geometry.Uniformity(vectors),
            Geometry.EffectiveRank(spectrum),
            Geometry.MeanCosine(vectors),
            spectrum,
            positives.Count,
            vectors.Count);
    }

    /// <summary>One JSON document: <c>{"alignment", "uniformity", "effective_rank", "mean_cosine", "singular_values": […], "positive_pairs", "sentences"}</c>.</summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream))
        {
            json.WriteStartObject();
            json.WriteNumber("alignment", Math.Round(Alignment, 6));
            json.WriteNumber("uniformity", Math.Round(Uniformity, 6));
            json.WriteNumber("effective_rank", Math.Round(EffectiveRank, 4));
            json.WriteNumber("mean_cosine", Math.Round(MeanCosine, 6));
            json.WriteStartArray("singular_values");
            foreach (double value in SingularValues)
            {
                json.WriteNumberValue((float)value);
            }

            json.WriteEndArray();
            json.WriteNumber("positive_pairs", PositivePairs);
            json.WriteNumber("sentences", Sentences);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
