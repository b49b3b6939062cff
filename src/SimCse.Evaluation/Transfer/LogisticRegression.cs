using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;

namespace SimCse.Evaluation.Transfer;

/// <summary>
/// Multinomial logistic regression p = softmax(W x + b), trained as SentEval's PyTorch classifier is without a hidden layer: mean cross-entropy over batches of
/// 64, Adam (learning rate 1e-3, β 0.9 and 0.999, ε 1e-8), the L2 term λ(W, b) added to the gradient; four passes over the rows, then the accuracy on rows held
/// back; an end at the sixth time that this is no better than the best before, or after 200 passes; the best weights count. Start, order and everything else that
/// is random are drawn as NumPy and PyTorch draw them.
/// </summary>
/// <remarks>Reference: facebookresearch/SentEval, senteval/tools/classifier.py. There <c>size_average = False</c> is set after the loss was made and has no effect.</remarks>
internal sealed class LogisticRegression
{
    private const int BatchSize = 64;
    private const int PassesBetweenScores = 4;
    private const int Tenacity = 5;
    private const int MostPasses = 200;
    private const float LearningRate = 1e-3f, Beta1 = 0.9f, Beta2 = 0.999f, Epsilon = 1e-8f;

    private readonly EmbeddingMatrix _x;
    private readonly int[] _labels;
    private readonly int _classes;
    private float[] _parameters; // W, (classes, D) row-major, then b, (classes)

    private LogisticRegression(EmbeddingMatrix x, int[] labels, int classes, MersenneTwister start)
    {
        _x = x;
        _labels = labels;
        _classes = classes;
        _parameters = new float[(classes * x.Dimensions) + classes];
        float bound = 1 / MathF.Sqrt(x.Dimensions);
        start.Uniform(_parameters, -bound, bound);
    }

    /// <summary>The accuracy on the rows held back for stopping, from 0 to 1.</summary>
    public double BestAccuracy { get; private set; } = -1;

    /// <summary>Fits to some rows, with others held back to know when to stop.</summary>
    /// <param name="x">n × D.</param>
    /// <param name="labels">The class of each row, from 0.</param>
    /// <param name="classes">Their number.</param>
    /// <param name="train">The rows to fit to.</param>
    /// <param name="heldBack">The rows to stop by.</param>
    /// <param name="l2">λ.</param>
    /// <param name="seed">Of start and order.</param>
    /// <param name="cancellationToken">Looked at between passes.</param>
    public static LogisticRegression Fit(EmbeddingMatrix x, int[] labels, int classes, int[] train, int[] heldBack, float l2, uint seed, CancellationToken cancellationToken)
    {
        LogisticRegression fitted = new(x, labels, classes, start: new MersenneTwister(seed));
        fitted.Train(train, heldBack, l2, order: new MersenneTwister(seed), cancellationToken);
        return fitted;
    }

    /// <summary>As the other, with 5% of the rows held back.</summary>
    public static LogisticRegression Fit(EmbeddingMatrix x, int[] labels, int classes, int[] rows, float l2, uint seed, CancellationToken cancellationToken)
    {
        LogisticRegression fitted = new(x, labels, classes, start: new MersenneTwister(seed));
        MersenneTwister order = new(seed);
        int[] permutation = order.Permutation(rows.Length);
        int heldBack = (int)(0.05 * rows.Length);
        fitted.Train([.. permutation[heldBack..].Select(i => rows[i])], [.. permutation[..heldBack].Select(i => rows[i])], l2, order, cancellationToken);
        return fitted;
    }

    /// <summary>The part of some rows whose class is the most probable one.</summary>
    public double Accuracy(int[] rows)
    {
        Span<float> logits = stackalloc float[_classes];
        int correct = 0;
        foreach (int row in rows)
        {
            Logits(_x[row], logits);
            correct += TensorPrimitives.IndexOfMax<float>(logits) == _labels[row] ? 1 : 0;
        }

        return (double)correct / rows.Length;
    }

    private void Train(int[] train, int[] heldBack, float l2, MersenneTwister order, CancellationToken cancellationToken)
    {
        float[] gradient = new float[_parameters.Length], mean = new float[_parameters.Length], square = new float[_parameters.Length];
        float[] best = _parameters;
        int step = 0, noBetter = 0;
        for (int passes = 0; passes <= MostPasses && noBetter <= Tenacity;)
        {
            for (int end = passes + PassesBetweenScores; passes < end; passes++)
            {
                cancellationToken.ThrowIfCancellationRequested();
                int[] permutation = order.Permutation(train.Length);
                for (int at = 0; at < permutation.Length; at += BatchSize)
                {
                    Gradient(train, permutation.AsSpan(at, Math.Min(BatchSize, permutation.Length - at)), gradient);
                    Step(gradient, mean, square, ++step, l2);
                }
            }

            double accuracy = Accuracy(heldBack);
            if (accuracy > BestAccuracy)
            {
                BestAccuracy = accuracy;
                best = [.. _parameters];
            }
            else
            {
                noBetter++;
            }
        }

        _parameters = best;
    }

    /// <summary>∂/∂(W, b) of the mean cross-entropy of a batch.</summary>
    private void Gradient(int[] train, ReadOnlySpan<int> batch, Span<float> gradient)
    {
        int width = _x.Dimensions;
        gradient.Clear();
        Span<float> p = stackalloc float[_classes];
        Span<float> bias = gradient[^_classes..];
        foreach (int place in batch)
        {
            int row = train[place];
            ReadOnlySpan<float> x = _x[row]; // (D)
            Logits(x, p);
            SoftMax(p); // (classes)
            p[_labels[row]] -= 1;
            for (int c = 0; c < p.Length; c++)
            {
                float share = p[c] / batch.Length; // ∂loss/∂logits
                Span<float> of = gradient.Slice(c * width, width);
                TensorPrimitives.MultiplyAdd(x, share, of, of);
                bias[c] += share;
            }
        }
    }

    private void Logits(ReadOnlySpan<float> x, Span<float> logits)
    {
        ReadOnlySpan<float> parameters = _parameters;
        for (int c = 0; c < logits.Length; c++)
        {
            logits[c] = TensorPrimitives.Dot(x, parameters.Slice(c * x.Length, x.Length)) + parameters[(logits.Length * x.Length) + c];
        }
    }

    private static void SoftMax(Span<float> logits)
    {
        float largest = TensorPrimitives.Max<float>(logits), sum = 0;
        foreach (ref float p in logits)
        {
            p = MathF.Exp(p - largest);
            sum += p;
        }

        foreach (ref float p in logits)
        {
            p /= sum;
        }
    }

    /// <summary>One step of Adam (Kingma and Ba 2015), in PyTorch's order of operations.</summary>
    private void Step(Span<float> gradient, Span<float> mean, Span<float> square, int step, float l2)
    {
        float size = (float)(LearningRate / (1 - Math.Pow(Beta1, step)));
        float root = (float)Math.Sqrt(1 - Math.Pow(Beta2, step));
        Span<Vector<float>> parameters = MemoryMarshal.Cast<float, Vector<float>>(_parameters.AsSpan()), g = MemoryMarshal.Cast<float, Vector<float>>(gradient),
            m = MemoryMarshal.Cast<float, Vector<float>>(mean), v = MemoryMarshal.Cast<float, Vector<float>>(square);
        for (int i = 0; i < parameters.Length; i++)
        {
            Vector<float> at = g[i] + (l2 * parameters[i]);
            m[i] += (1 - Beta1) * (at - m[i]);
            v[i] = (Beta2 * v[i]) + ((1 - Beta2) * at * at);
            parameters[i] -= size * m[i] / ((Vector.SquareRoot(v[i]) / root) + new Vector<float>(Epsilon));
        }

        for (int i = parameters.Length * Vector<float>.Count; i < _parameters.Length; i++)
        {
            float at = gradient[i] + (l2 * _parameters[i]);
            mean[i] += (1 - Beta1) * (at - mean[i]);
            square[i] = (Beta2 * square[i]) + ((1 - Beta2) * at * at);
            _parameters[i] -= size * mean[i] / ((MathF.Sqrt(square[i]) / root) + Epsilon);
        }
    }
}
