using SimCse.Tokenization;
using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training;

/// <summary>A model under training as an <see cref="ISentenceEncoder"/>: evaluation mode, no dropout, the head only where the finished model keeps it.</summary>
/// <param name="model">The model, as it is at the time of each call.</param>
/// <param name="tokenizer">Its tokenizer.</param>
/// <param name="maxLength">Where texts are truncated, in tokens with the special ones.</param>
public sealed class TrainedEncoder(SimCseModel model, Tokenizer tokenizer, int maxLength) : ISentenceEncoder
{
    private const int BatchTokens = 2048;

    /// <inheritdoc/>
    public int Dimensions => model.Config.HiddenSize;

    /// <inheritdoc/>
    public EmbeddingMatrix Encode(IReadOnlyList<string> sentences, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(sentences);
        int[][] ids = [.. sentences.Select(s => tokenizer.Encode(s, maxLength).Ids)];
        return Encode(ids, cancellationToken);
    }

    /// <summary>The same from token ids, special tokens included.</summary>
    public EmbeddingMatrix Encode(IReadOnlyList<int[]> ids, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        float[] values = new float[checked(ids.Count * Dimensions)];
        int[] order = [.. Enumerable.Range(0, ids.Count).OrderBy(i => ids[i].Length)];
        for (int at = 0; at < order.Length;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int end = at, tokens = 0;
            while (end < order.Length && (end == at || tokens + ids[order[end]].Length <= BatchTokens))
            {
                tokens += ids[order[end++]].Length;
            }

            using DisposeScope scope = NewDisposeScope();
            using PackedBatch batch = model.Pack([.. order[at..end].Select(i => ids[i])]);
            Tensor vectors = model.Represent(batch, masks: null, training: false).cpu().contiguous(); // (R, H)
            ReadOnlySpan<float> rows = vectors.Floats();
            for (int r = 0; at + r < end; r++)
            {
                rows.Slice(r * Dimensions, Dimensions).CopyTo(values.AsSpan(order[at + r] * Dimensions));
            }

            at = end;
        }

        return new EmbeddingMatrix(values, ids.Count, Dimensions);
    }
}
