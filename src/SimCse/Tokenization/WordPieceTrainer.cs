using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace SimCse.Tokenization;

/// <summary>What <see cref="WordPieceTrainer"/> aims at. The defaults are those of Hugging Face's BertWordPieceTokenizer, with a small vocabulary.</summary>
public sealed record WordPieceTrainerOptions
{
    /// <summary>The number of tokens to learn, special tokens and single characters included; fewer where the texts do not give as many.</summary>
    public int VocabularySize { get; init; } = 8000;

    /// <summary>How often two pieces must stand side by side to become one.</summary>
    public int MinFrequency { get; init; } = 2;

    /// <summary>The most different characters to keep, the most frequent ones.</summary>
    public int LimitAlphabet { get; init; } = 1000;

    /// <summary>See <see cref="WordPieceVocabulary.Lowercase"/>.</summary>
    public bool Lowercase { get; init; } = true;

    /// <summary>See <see cref="WordPieceVocabulary.StripAccents"/>.</summary>
    public bool? StripAccents { get; init; }

    /// <summary>See <see cref="WordPieceVocabulary.HandleChineseCharacters"/>.</summary>
    public bool HandleChineseCharacters { get; init; } = true;
}

/// <summary>How far <see cref="WordPieceTrainer"/> has come.</summary>
/// <param name="Texts">Texts read.</param>
/// <param name="Tokens">Tokens learned, of <paramref name="VocabularySize"/>; 0 while texts are read.</param>
/// <param name="VocabularySize">The number of tokens asked for.</param>
public sealed record WordPieceTrainingProgress(long Texts, int Tokens, int VocabularySize);

/// <summary>
/// Learns a WordPiece vocabulary as Hugging Face's WordPieceTrainer does: the words of the texts begin as single characters, those after the
/// first with <c>##</c>, and the pair of pieces that is most frequent becomes one piece, again and again (byte-pair encoding on characters;
/// Sennrich et al., 2016). Ties go to the pair with the smaller ids, so that the same texts always give the same vocabulary.
/// </summary>
public static class WordPieceTrainer
{
    private const string Prefix = "##";

    /// <summary>Learns a vocabulary.</summary>
    /// <param name="texts">Read once; any number of them.</param>
    /// <param name="options">The size and the normalisation.</param>
    /// <param name="progress">Told every 10,000 texts and every 100 tokens.</param>
    /// <param name="cancellationToken">Checked as often.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of range, or the size has no room for the characters of the texts.</exception>
    public static WordPieceVocabulary Train(
        IEnumerable<string> texts,
        WordPieceTrainerOptions? options = null,
        IProgress<WordPieceTrainingProgress>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(texts);
        options ??= new WordPieceTrainerOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.VocabularySize, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.LimitAlphabet, 1);

        List<(string Word, long Count)> counts = CountWords(texts, options, progress, cancellationToken, out long read);
        var tokens = new List<string>(options.VocabularySize);
        tokens.AddRange(WordPieceVocabulary.SpecialTokens);
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = 0; id < tokens.Count; id++)
        {
            ids.Add(tokens[id], id);
        }

        HashSet<int> alphabet = AddAlphabet(counts, options.LimitAlphabet, tokens, ids);
        if (tokens.Count > options.VocabularySize)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options),
                options.VocabularySize,
                string.Create(CultureInfo.InvariantCulture, $"the special tokens and the {alphabet.Count} characters of the texts need {tokens.Count} tokens: a larger vocabulary, or a smaller limit to the alphabet"));
        }

        var merging = new Merging(counts, alphabet, ids);
        while (tokens.Count < options.VocabularySize && merging.MostFrequent(Math.Max(options.MinFrequency, 1)) is (int left, int right))
        {
            string second = tokens[right];
            string merged = tokens[left] + (second.StartsWith(Prefix, StringComparison.Ordinal) ? second[Prefix.Length..] : second);
            if (!ids.TryGetValue(merged, out int id))
            {
                id = tokens.Count;
                ids.Add(merged, id);
                tokens.Add(merged);
                if (id % 100 == 0)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    progress?.Report(new WordPieceTrainingProgress(read, id, options.VocabularySize));
                }
            }

            merging.Merge(left, right, id);
        }

        progress?.Report(new WordPieceTrainingProgress(read, tokens.Count, options.VocabularySize));
        return new WordPieceVocabulary(tokens, options.Lowercase, options.StripAccents, options.HandleChineseCharacters);
    }

    /// <summary>The words with how often they come, in ordinal order.</summary>
    private static List<(string Word, long Count)> CountWords(
        IEnumerable<string> texts,
        WordPieceTrainerOptions options,
        IProgress<WordPieceTrainingProgress>? progress,
        CancellationToken cancellationToken,
        out long read)
    {
        var normalizer = new BertNormalizer(cleanText: true, options.HandleChineseCharacters, options.StripAccents, options.Lowercase);
        var counts = new Dictionary<string, long>(StringComparer.Ordinal);
        Dictionary<string, long>.AlternateLookup<ReadOnlySpan<char>> bySpan = counts.GetAlternateLookup<ReadOnlySpan<char>>();
        var normalized = new PooledList<char>(1024);
        read = 0;
        try
        {
            foreach (string text in texts)
            {
                normalized.Truncate(0);
                normalizer.Normalize(Utf16.WithoutLoneSurrogates(text), ref normalized);
                var words = new BertWords(normalized.Items);
                while (words.MoveNext())
                {
                    CollectionsMarshal.GetValueRefOrAddDefault(bySpan, words.Current, out _)++;
                }

                if (++read % 10_000 == 0)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    progress?.Report(new WordPieceTrainingProgress(read, 0, options.VocabularySize));
                }
            }
        }
        finally
        {
            normalized.Dispose();
        }

        return [.. counts.OrderBy(pair => pair.Key, StringComparer.Ordinal).Select(pair => (pair.Key, pair.Value))];
    }

    /// <summary>Adds the most frequent characters by code point, then those of them that go on a word, with the prefix.</summary>
    private static HashSet<int> AddAlphabet(List<(string Word, long Count)> counts, int limit, List<string> tokens, Dictionary<string, int> ids)
    {
        var frequency = new Dictionary<int, long>();
        var continuing = new HashSet<int>();
        foreach ((string word, long count) in counts)
        {
            bool first = true;
            foreach (Rune rune in word.EnumerateRunes())
            {
                CollectionsMarshal.GetValueRefOrAddDefault(frequency, rune.Value, out _) += count;
                if (!first)
                {
                    continuing.Add(rune.Value);
                }

                first = false;
            }
        }

        HashSet<int> alphabet = [.. frequency.OrderByDescending(pair => pair.Value).ThenBy(pair => pair.Key).Take(limit).Select(pair => pair.Key)];
        foreach (string token in (IEnumerable<string>)
            [.. alphabet.Order().Select(char.ConvertFromUtf32), .. alphabet.Where(continuing.Contains).Order().Select(c => Prefix + char.ConvertFromUtf32(c))])
        {
            if (ids.TryAdd(token, tokens.Count))
            {
                tokens.Add(token);
            }
        }

        return alphabet;
    }

    /// <summary>The words as pieces, and the pairs in them with their counts, kept up to date from merge to merge.</summary>
    private sealed class Merging
    {
        private readonly List<int[]> _words = [];
        private readonly List<int> _lengths = [];
        private readonly List<long> _counts = [];
        private readonly List<int> _mergedIn = [];
        private readonly Dictionary<ulong, PairState> _pairs = [];
        private readonly List<ulong> _grown = [];

        // The most frequent first, then the smaller ids. A count in the queue may be out of date, but never too small.
        private readonly PriorityQueue<ulong, (long Count, ulong Pair)> _queue = new(
            Comparer<(long Count, ulong Pair)>.Create(static (a, b) => a.Count != b.Count ? b.Count.CompareTo(a.Count) : a.Pair.CompareTo(b.Pair)));

        private int _merges;

        public Merging(List<(string Word, long Count)> counts, HashSet<int> alphabet, Dictionary<string, int> ids)
        {
            Dictionary<int, int> starting = alphabet.ToDictionary(c => c, c => ids[char.ConvertFromUtf32(c)]);
            Dictionary<int, int> continuing = alphabet.ToDictionary(c => c, c => ids.GetValueOrDefault(Prefix + char.ConvertFromUtf32(c), -1));
            var pieces = new List<int>();
            foreach ((string word, long count) in counts)
            {
                pieces.Clear();
                bool first = true;
                foreach (Rune rune in word.EnumerateRunes())
                {
                    if (alphabet.Contains(rune.Value))
                    {
                        pieces.Add((first ? starting : continuing)[rune.Value]);
                    }

                    first = false;
                }

                if (pieces.Count < 2)
                {
                    continue;
                }

                int index = _words.Count;
                _words.Add([.. pieces]);
                _lengths.Add(pieces.Count);
                _counts.Add(count);
                _mergedIn.Add(0);
                for (int i = 0; i + 1 < pieces.Count; i++)
                {
                    Change(pieces[i], pieces[i + 1], count, index);
                }
            }

            EnqueueGrown();
        }

        /// <summary>The pair that comes most often, at least <paramref name="atLeast"/> times.</summary>
        public (int Left, int Right)? MostFrequent(long atLeast)
        {
            while (_queue.TryPeek(out ulong pair, out (long Count, ulong Pair) priority))
            {
                long count = _pairs[pair].Count;
                if (priority.Count == count)
                {
                    return count >= atLeast ? ((int)(pair >> 32), (int)(uint)pair) : null;
                }

                if (count > 0)
                {
                    _queue.DequeueEnqueue(pair, (count, pair));
                }
                else
                {
                    _queue.Dequeue();
                }
            }

            return null;
        }

        /// <summary>Puts <paramref name="merged"/> in the place of the pair, in all words.</summary>
        public void Merge(int left, int right, int merged)
        {
            _merges++;
            PairState pair = _pairs[Pair(left, right)];
            List<int> words = pair.Words;
            pair.Words = [];
            foreach (int index in words)
            {
                if (_mergedIn[index] != _merges)
                {
                    _mergedIn[index] = _merges;
                    MergeInWord(index, left, right, merged);
                }
            }

            pair.Count = 0;
            EnqueueGrown();
        }

        private void MergeInWord(int index, int left, int right, int merged)
        {
            int[] word = _words[index];
            int length = _lengths[index];
            long count = _counts[index];
            int written = 0;
            for (int i = 0; i < length; i++)
            {
                if (word[i] != left || i + 1 >= length || word[i + 1] != right)
                {
                    word[written++] = word[i];
                    continue;
                }

                if (written > 0)
                {
                    Change(word[written - 1], left, -count, index);
                    Change(word[written - 1], merged, count, index);
                }

                if (i + 2 < length)
                {
                    Change(right, word[i + 2], -count, index);
                    Change(merged, word[i + 2], count, index);
                }

                word[written++] = merged;
                i++;
            }

            _lengths[index] = written;
        }

        private void Change(int left, int right, long by, int word)
        {
            ulong key = Pair(left, right);
            ref PairState? pair = ref CollectionsMarshal.GetValueRefOrAddDefault(_pairs, key, out _);
            pair ??= new PairState();
            pair.Count += by;
            if (by > 0)
            {
                if (pair.Words.Count == 0 || pair.Words[^1] != word)
                {
                    pair.Words.Add(word);
                }

                if (!pair.Grown)
                {
                    pair.Grown = true;
                    _grown.Add(key);
                }
            }
        }

        private void EnqueueGrown()
        {
            foreach (ulong key in _grown)
            {
                PairState pair = _pairs[key];
                pair.Grown = false;
                if (pair.Count > 0)
                {
                    _queue.Enqueue(key, (pair.Count, key));
                }
            }

            _grown.Clear();
        }

        private static ulong Pair(int left, int right) => ((ulong)(uint)left << 32) | (uint)right;

        private sealed class PairState
        {
            public long Count;
            public List<int> Words = [];
            public bool Grown;
        }
    }
}
