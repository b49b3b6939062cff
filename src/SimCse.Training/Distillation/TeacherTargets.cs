using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Distillation;

/// <summary>
/// What a student of H components is to say of the texts of a corpus: the teacher's vectors t of D components in the student's space. Where D is above H, that is P t, with the rows of P (H, D) the H
/// principal directions of the teacher's vectors: of all projections the one that keeps their products t · t' best (Eckart, Young 1936; not centred, because the origin is where cosines are taken from). Else it is t with
/// zeros behind it, which keeps every product.
/// </summary>
public sealed class TeacherTargets
{
    private const int LargestSample = 50_000;

    private readonly TeacherVectors _vectors;
    private readonly float[]? _projection; // (D, H), row-major: P transposed

    private TeacherTargets(TeacherVectors vectors, int width, float[]? projection, double kept)
    {
        _vectors = vectors;
        Width = width;
        _projection = projection;
        Kept = kept;
    }

    /// <summary>H, the student's components.</summary>
    public int Width { get; }

    /// <summary>How much of the squared length of the teacher's vectors the targets keep, 0 to 1.</summary>
    public double Kept { get; }

    /// <summary>What the vectors follow from.</summary>
    public TeacherVectorsKey Key => _vectors.Key;

    /// <summary>Finds the principal directions of at most 50,000 of the vectors, evenly spread over the corpus.</summary>
    /// <param name="vectors">The teacher's; they must live as long as the targets.</param>
    /// <param name="width">H.</param>
    public static TeacherTargets Create(TeacherVectors vectors, int width)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        if (vectors.Dimensions <= width)
        {
            return new TeacherTargets(vectors, width, projection: null, kept: 1);
        }

        using DisposeScope scope = NewDisposeScope();
        using IDisposable noGradient = no_grad();
        int sample = (int)Math.Min(LargestSample, vectors.Count);
        Tensor x = empty(sample, vectors.Dimensions); // (S, D)
        Span<float> values = x.Floats();
        for (int i = 0; i < sample; i++)
        {
            vectors.Read(i * vectors.Count / sample, values.Slice(i * vectors.Dimensions, vectors.Dimensions));
        }

        (Tensor moments, Tensor directions) = linalg.eigh(x.t().mm(x)); // (D), ascending; (D, D), a column each
        Tensor principal = directions.narrow(1, vectors.Dimensions - width, width).flip(1).contiguous(); // (D, H)
        double kept = moments.narrow(0, vectors.Dimensions - width, width).sum().item<float>() / moments.sum().item<float>();
        return new TeacherTargets(vectors, width, principal.Floats().ToArray(), kept);
    }

    /// <summary>The targets of these texts, (n, H).</summary>
    public EmbeddingMatrix Of(IReadOnlyList<long> texts) => Of(_vectors, texts);

    /// <summary>The same teacher's vectors of other texts in the student's space, (n, H).</summary>
    public EmbeddingMatrix Project(TeacherVectors vectors)
    {
        ArgumentNullException.ThrowIfNull(vectors);
        return Of(vectors, [.. Enumerable.Range(0, checked((int)vectors.Count)).Select(i => (long)i)]);
    }

    private EmbeddingMatrix Of(TeacherVectors vectors, IReadOnlyList<long> texts)
    {
        int d = vectors.Dimensions;
        float[] targets = new float[texts.Count * Width];
        float[] vector = new float[d];
        for (int i = 0; i < texts.Count; i++)
        {
            vectors.Read(texts[i], vector);
            Span<float> target = targets.AsSpan(i * Width, Width);
            if (_projection is null)
            {
                vector.CopyTo(target);
            }
            else
            {
                for (int c = 0; c < d; c++)
                {
                    System.Numerics.Tensors.TensorPrimitives.MultiplyAdd(_projection.AsSpan(c * Width, Width), vector[c], target, target);
                }
            }
        }

        return new EmbeddingMatrix(targets, texts.Count, Width);
    }
}
