using System.Security.Cryptography;
using System.Text;
using SimCse.Data;
using SimCse.Tokenization;

namespace SimCse.Training.Data;

/// <summary>The distinct sentences that a pre-training run reads, shuffled together once.</summary>
public sealed class PretrainingTexts
{
    private const uint ShufflePurpose = 7;

    private PretrainingTexts(IReadOnlyList<string> inOrder, IReadOnlyList<string> sentences, string sha256)
    {
        InOrder = inOrder;
        Sentences = sentences;
        Sha256 = sha256;
    }

    /// <summary>The sentences as they come in the files.</summary>
    public IReadOnlyList<string> InOrder { get; }

    /// <summary>The sentences, shuffled.</summary>
    public IReadOnlyList<string> Sentences { get; }

    /// <summary>SHA-256 of the shuffled sentences, each ended by a line feed.</summary>
    public string Sha256 { get; }

    /// <summary>Reads files of sentences and, where asked for, the SDK's API documentation.</summary>
    /// <param name="files">Files of one column.</param>
    /// <param name="sdkDocumentation">Whether the API documentation is added.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    /// <returns>The sentences, and what a manifest calls them.</returns>
    /// <exception cref="InvalidDataException">A file has more than one column, or a row that cannot be read.</exception>
    public static (PretrainingTexts Texts, string Name) Load(IReadOnlyList<string> files, bool sdkDocumentation, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(files);
        HashSet<string> seen = new(StringComparer.Ordinal);
        List<string> distinct = [];
        foreach (string file in files)
        {
            SentenceFile sentences = SentenceFile.Open(file);
            if (sentences.Columns != 1)
            {
                throw new InvalidDataException($"{file}: {sentences.Columns} columns; masked-language training reads one column of sentences");
            }

            Add(sentences.Rows(cancellationToken: cancellationToken).Select(row => row.Sentence));
        }

        if (sdkDocumentation)
        {
            Add(SdkDocumentation.Read(SdkDocumentation.FindPacks(), cancellationToken).Select(t => t.Text));
        }

        int[] order = new CounterRandom(0, ShufflePurpose).Permutation(distinct.Count, 0);
        string[] shuffled = [.. order.Select(i => distinct[i])];
        string name = string.Join(", ", files.Select(f => Path.GetFileName(f)).Concat(sdkDocumentation ? ["API documentation of the .NET SDK"] : []));
        return (new PretrainingTexts(distinct, shuffled, Hash(shuffled)), name);

        void Add(IEnumerable<string> texts) => distinct.AddRange(texts.Where(seen.Add));
    }

    /// <summary>Learns a WordPiece vocabulary from the sentences into the run's folder, or finds there the one that an earlier session of the run has learnt.</summary>
    /// <param name="sentences">The sentences.</param>
    /// <param name="options">The size of the vocabulary and the longest text of the model.</param>
    /// <param name="output">The run's output directory.</param>
    /// <param name="cancellationToken">Stops learning.</param>
    /// <returns>The folder with the tokenizer's files.</returns>
    public static string LearnVocabulary(IEnumerable<string> sentences, PretrainingOptions options, string output, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        string folder = Path.Combine(output, "run", "tokenizer");
        if (File.Exists(Path.Combine(output, "tokenizer.json")))
        {
            return output; // the run is complete
        }

        if (!File.Exists(Path.Combine(folder, "tokenizer.json")))
        {
            WordPieceVocabulary vocabulary = WordPieceTrainer.Train(sentences, new WordPieceTrainerOptions { VocabularySize = options.VocabularySize }, cancellationToken: cancellationToken);
            TokenizerFiles.Write(folder, vocabulary, options.MaxPositions);
        }

        return folder;
    }

    /// <summary>SHA-256 of texts, each ended by a line feed, in lower-case hexadecimal.</summary>
    internal static string Hash(IEnumerable<string> texts)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string text in texts)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(text + "\n"));
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
