using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using SimCse.Search;

namespace SimCse.Cli;

/// <summary>What an index keeps about the model that its vectors come from, so that no other is used with it by mistake.</summary>
internal static class IndexModel
{
    private const string Model = "model", PoolingName = "pooling", Probe = "probe";

    // The vector of this text tells models apart: its first components are kept with the index.
    private const string ProbeText = "A man is playing a guitar on the stage.";
    private const int ProbeLength = 32;
    private const float LeastCosine = 0.999f;

    /// <summary>What an index of this encoder's vectors is to keep.</summary>
    public static IReadOnlyDictionary<string, string> About(SentenceEncoder encoder, string? model)
    {
        Dictionary<string, string> about = new(StringComparer.Ordinal)
        {
            [PoolingName] = encoder.Pooling.ToName(),
            [Probe] = Convert.ToBase64String(MemoryMarshal.AsBytes(ProbeOf(encoder).AsSpan())),
        };
        if (model is not null)
        {
            about[Model] = model;
        }

        return about;
    }

    /// <summary>The model that an index was built with; null for the default one.</summary>
    public static string? ModelOf(SentenceIndex index) => index.Options.About.GetValueOrDefault(Model);

    /// <summary>The encoder for an index: the one that the command line names, or the one that the index was built with.</summary>
    /// <exception cref="InvalidDataException">It gives other vectors than those in the index.</exception>
    public static SentenceEncoder Load(ParseResult parsed, EncoderSettings settings, SentenceIndex index, string directory)
    {
        IReadOnlyDictionary<string, string> about = index.Options.About;
        Pooling? pooling = about.TryGetValue(PoolingName, out string? name) ? PoolingNames.Parse(name) : null;
        SentenceEncoder encoder = settings.LoadOr(parsed, ModelOf(index), pooling);
        try
        {
            if (encoder.Dimensions != index.Dimensions)
            {
                throw new InvalidDataException($"{directory}: its vectors have {index.Dimensions} components, those of the model {encoder.Dimensions}; expected the model that it was built with ({ModelOf(index) ?? "the default one"})");
            }

            if (about.TryGetValue(Probe, out string? probe))
            {
                float[] kept = MemoryMarshal.Cast<byte, float>(Convert.FromBase64String(probe)).ToArray();
                float cosine = System.Numerics.Tensors.TensorPrimitives.CosineSimilarity(kept, ProbeOf(encoder).AsSpan(0, kept.Length));
                if (!(cosine >= LeastCosine))
                {
                    throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                        $"{directory}: built with another model or pooling ({ModelOf(index) ?? "the default model"}, {name}): the vector of a probe text has the cosine {cosine:0.000} with the one kept; expected at least {LeastCosine}"));
                }
            }

            return encoder;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    private static float[] ProbeOf(SentenceEncoder encoder)
    {
        float[] vector = encoder.Encode(ProbeText);
        return vector[..Math.Min(ProbeLength, vector.Length)];
    }
}
