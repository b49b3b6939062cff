using System.Diagnostics;
using System.Numerics.Tensors;
using SimCse.Server.Batching;
using SimCse.Server.Telemetry;
using SimCse.Tokenization;

namespace SimCse.Server.Api;

/// <summary>From the texts of a request to their vectors, over the queue.</summary>
internal sealed class TextVectors(SentenceEncoder encoder, BatchQueue queue, EmbeddingServerOptions options, ServerMetrics metrics)
{
    /// <summary>The tokens of each text.</summary>
    /// <param name="inputs">The texts.</param>
    /// <param name="truncate">Whether one that is too long is cut; null for what the server does.</param>
    /// <param name="field">What the request calls them.</param>
    /// <exception cref="RequestException">There is no text, a text is too long, or a token id is none.</exception>
    public TokenizedText[] Tokenize(TextInputs inputs, bool? truncate, string field)
    {
        if (inputs.Texts.Count == 0)
        {
            throw RequestException.Invalid($"'{field}' is empty; expected at least one text", field);
        }

        long start = Stopwatch.GetTimestamp();
        TokenizedText[] texts = new TokenizedText[inputs.Texts.Count];
        for (int i = 0; i < texts.Length; i++)
        {
            texts[i] = Tokenize(inputs.Texts[i], field);
            if (texts[i].Truncated && !(truncate ?? options.AutoTruncate))
            {
                throw RequestException.TooLarge(
                    $"text {i} of '{field}' has more than {encoder.MaxLength} tokens, special tokens included, which is what the model takes; shorten it, or ask for it to be cut (\"truncate\": true, or the server's --auto-truncate)", field);
            }
        }

        metrics.Tokenized(texts.Length, texts.Sum(text => text.Ids.LongLength), Stopwatch.GetElapsedTime(start));
        return texts;
    }

    /// <summary>The raw vectors of tokenised texts.</summary>
    public Task<EmbeddingMatrix> EncodeAsync(IReadOnlyList<TokenizedText> texts, CancellationToken cancellationToken) => queue.EncodeAsync(texts, cancellationToken);

    /// <summary>The raw vectors of texts, each cut to what the model takes.</summary>
    public Task<EmbeddingMatrix> EncodeAsync(IEnumerable<string> texts, string field, CancellationToken cancellationToken) => EncodeAsync(Tokenize(TextInputs.Of(texts), truncate: true, field), cancellationToken);

    /// <summary>How many components an answer's vectors have.</summary>
    /// <exception cref="RequestException">The model does not give as many as are asked for.</exception>
    public int Dimensions(int? asked) => asked is null ? encoder.Dimensions
        : asked >= 1 && asked <= encoder.Dimensions ? asked.Value
        : throw RequestException.Invalid($"'dimensions' is {asked}; expected 1 to {encoder.Dimensions}, the components that the model gives", "dimensions");

    /// <summary>The first components of a vector, of length one where that is wanted.</summary>
    public static float[] Components(ReadOnlySpan<float> vector, int dimensions, bool normalize)
    {
        float[] first = vector[..dimensions].ToArray();
        if (normalize && TensorPrimitives.Norm<float>(first) is > 0 and float length)
        {
            TensorPrimitives.Divide(first, length, first);
        }

        return first;
    }

    /// <summary>The cosine of two vectors; 0 where one has no length.</summary>
    public static float Cosine(ReadOnlySpan<float> a, ReadOnlySpan<float> b)
    {
        float cosine = TensorPrimitives.CosineSimilarity(a, b);
        return float.IsNaN(cosine) ? 0 : Math.Clamp(cosine, -1, 1);
    }

    private TokenizedText Tokenize(TextInput input, string field)
    {
        if (input.Ids is not { } ids)
        {
            return encoder.Tokenize(input.Text!);
        }

        try
        {
            return encoder.Tokenizer.Frame(ids, encoder.MaxLength);
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw RequestException.Invalid($"'{field}' has the token id {e.ActualValue}; expected 0 to {encoder.Tokenizer.VocabularySize - 1}, the ids of this model's vocabulary (those of another tokenizer mean other words here)", field);
        }
    }
}
