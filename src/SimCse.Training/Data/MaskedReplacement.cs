using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Modeling;
using TorchSharp;
using static TorchSharp.torch;

namespace SimCse.Training.Data;

/// <summary>Replaces words by what a masked language model predicts in their place: the 'MLM' row of the paper's table 1.</summary>
public sealed class MaskedReplacement : IDisposable
{
    private const int Rows = 64;

    private readonly SimCseModel _model;
    private readonly Tokenizer _tokenizer;
    private readonly int _maxLength;

    /// <summary>Replaces by this model.</summary>
    /// <param name="checkpoint">A model with its masked-language head.</param>
    /// <param name="tokenizer">Its tokenizer.</param>
    /// <param name="maxLength">Where texts are cut, in tokens with the special ones.</param>
    /// <param name="precision">In which numbers the linear layers multiply.</param>
    /// <exception cref="InvalidDataException">The checkpoint has no masked-language head.</exception>
    public MaskedReplacement(Checkpoint checkpoint, Tokenizer tokenizer, int maxLength, Precision precision)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        MaskedLanguageHead head = checkpoint.ReadMaskedLanguageHead()
            ?? throw new InvalidDataException($"{checkpoint.Directory}: the model has no masked-language head, so that it cannot replace words by its predictions");
        _tokenizer = tokenizer;
        _maxLength = maxLength;
        _model = SimCseModel.FromCheckpoint(checkpoint, checkpoint.Config, Pooling.Avg, mlpOnlyTrain: false, seed: 0, precision);
        _model.AddMaskedLanguageHead(head, seed: 0);
    }

    /// <summary>Each text with rate · words of its words, at least one, replaced by the likeliest token there, all of a text at once.</summary>
    /// <param name="texts">The texts.</param>
    /// <param name="rate">0 to 1.</param>
    /// <param name="seed">Chooses the words; text i draws as row i.</param>
    /// <param name="cancellationToken">Stops between batches.</param>
    public string[] Replace(IReadOnlyList<string> texts, double rate, long seed, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        string[] replaced = new string[texts.Count];
        foreach (int[] batch in Enumerable.Range(0, texts.Count).Chunk(Rows))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Masked[] masked = [.. batch.Select(row => Mask(texts[row], rate, seed, row))];
            using PackedBatch packed = _model.Pack([.. masked.Select(m => m.Ids)]);
            int[][] predicted = _model.MaskedLanguage!.Predict(packed, [.. masked.Select(m => (IReadOnlyList<int>)m.Positions)]);
            for (int i = 0; i < batch.Length; i++)
            {
                string[] words = masked[i].Words;
                for (int p = 0; p < masked[i].Places.Length; p++)
                {
                    words[masked[i].Places[p]] = _tokenizer.TokenOf(predicted[i][p]).Replace("##", "", StringComparison.Ordinal);
                }

                replaced[batch[i]] = string.Join(' ', words);
            }
        }

        return replaced;
    }

    /// <inheritdoc/>
    public void Dispose() => _model.Dispose();

    /// <summary>The text with one [MASK] for each chosen word: words are encoded one by one, which for WordPiece is the same as together.</summary>
    private Masked Mask(string text, double rate, long seed, int row)
    {
        string[] words = Augmentation.Words(text);
        HashSet<int> chosen = [.. Augmentation.Chosen(words.Length, Math.Max(1, (int)Math.Round(rate * words.Length)), seed, row)];
        List<int> ids = [_tokenizer.ClassTokenId], positions = [], places = [];
        for (int w = 0; w < words.Length; w++)
        {
            int[] own = chosen.Contains(w) ? [_tokenizer.MaskTokenId] : [.. _tokenizer.Encode(words[w]).Ids.Skip(1).SkipLast(1)];
            if (ids.Count + own.Length + 1 > _maxLength)
            {
                break;
            }

            if (chosen.Contains(w))
            {
                positions.Add(ids.Count);
                places.Add(w);
            }

            ids.AddRange(own);
        }

        ids.Add(_tokenizer.SeparatorTokenId);
        return new Masked(words, [.. ids], [.. positions], [.. places]);
    }

    /// <param name="Words">Of the text.</param>
    /// <param name="Ids">Its tokens, masks in place.</param>
    /// <param name="Positions">Of the masks.</param>
    /// <param name="Places">Which word each mask hides.</param>
    private sealed record Masked(string[] Words, int[] Ids, int[] Positions, int[] Places);
}
