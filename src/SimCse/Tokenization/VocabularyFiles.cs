using System.Text;
using System.Text.Json;

namespace SimCse.Tokenization;

/// <summary>Reads the vocabulary files that came before tokenizer.json, as Hugging Face's conversion to its fast tokenizers does.</summary>
internal static class VocabularyFiles
{
    private static readonly UTF8Encoding s_strictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>BERT's <c>vocab.txt</c>: one token a line, its id the number of the line from 0. Of a token that comes twice the later line counts.</summary>
    public static WordPieceTokenizer ReadWordPiece(string path, TokenizerConfig config)
    {
        var vocabulary = new Vocabulary();
        int id = 0;
        foreach (string line in ReadLines(path))
        {
            vocabulary.Add(line, id++);
        }

        KeyValuePair<string, int>[] pieces = [.. vocabulary.Ids];
        TokenizerParts parts = ReadParts(path, vocabulary, config, SpecialTokenNames.Bert);
        var normalizer = new BertNormalizer(
            cleanText: true,
            handleChineseCharacters: config.TokenizeChineseCharacters ?? true,
            stripAccents: config.StripAccents,
            lowercase: config.DoLowerCase ?? true);
        return new WordPieceTokenizer(parts, pieces, normalizer, continuingPrefix: "##", maxCharactersPerWord: 100);
    }

    /// <summary>GPT-2's <c>vocab.json</c> (token to id) and <c>merges.txt</c> (one pair a line, in the order they were learned).</summary>
    public static ByteLevelBpeTokenizer ReadByteLevelBpe(string vocabularyPath, string mergesPath, TokenizerConfig config)
    {
        var vocabulary = new Vocabulary();
        using (JsonFile file = JsonFile.Open(vocabularyPath))
        {
            foreach (JsonProperty entry in file.Root.EnumerateObject())
            {
                string token = file.NameOf(entry, "the vocabulary");
                int id = file.AsId(entry.Value, $"'{token}'");
                if (vocabulary.TokenOf(id) is { } other)
                {
                    throw file.Error($"'{token}' has the id {id}, which '{other}' has too");
                }

                if (vocabulary.TryGetId(token, out _))
                {
                    throw file.Error($"'{token}' is there twice");
                }

                vocabulary.Add(token, id);
            }
        }

        var merges = new List<(int, int, int)>();
        int number = 0;
        foreach (string line in ReadLines(mergesPath))
        {
            number++;
            if (line.Length == 0 || line.StartsWith("#version", StringComparison.Ordinal))
            {
                continue;
            }

            merges.Add(SplitMerge(line) is (string left, string right) && ResolveMerge(left, right, vocabulary) is { } merge
                ? merge
                : throw new InvalidDataException($"{mergesPath}, line {number}: expected two tokens of the vocabulary that make a third one, found '{line}'"));
        }

        var learned = new BytePairMerges(vocabulary.Ids, merges, unknown: -1, fuseUnknown: false);
        return new ByteLevelBpeTokenizer(ReadParts(vocabularyPath, vocabulary, config, SpecialTokenNames.Roberta), learned, wholeWords: null, config.AddPrefixSpace ?? false, splitWords: true);
    }

    /// <summary>The two tokens of a line <c>left right</c>; null where it is not of that form.</summary>
    public static (string Left, string Right)? SplitMerge(string line)
    {
        int space = line.IndexOf(' ', StringComparison.Ordinal);
        return space > 0 && space < line.Length - 1 && line.IndexOf(' ', space + 1) < 0 ? (line[..space], line[(space + 1)..]) : null;
    }

    /// <summary>The ids of the two tokens and of what they make; null where one of the three is not in the vocabulary.</summary>
    public static (int Left, int Right, int Merged)? ResolveMerge(string left, string right, Vocabulary vocabulary) =>
        vocabulary.TryGetId(left, out int leftId) && vocabulary.TryGetId(right, out int rightId) && vocabulary.TryGetId(left + right, out int merged)
            ? (leftId, rightId, merged)
            : null;

    /// <summary>Takes an added token into the vocabulary, where it may be already; says what is wrong with it, or null.</summary>
    public static string? AddToken(Vocabulary vocabulary, AddedToken token, int id)
    {
        if (token.Content.Length == 0)
        {
            return "an added token must not be empty";
        }

        if (vocabulary.TryGetId(token.Content, out int known) && known != id)
        {
            return $"'{token.Content}' has the id {id} here and {known} in the vocabulary";
        }

        if (vocabulary.TokenOf(id) is { } other && !string.Equals(other, token.Content, StringComparison.Ordinal))
        {
            return $"'{token.Content}' has the id {id}, which '{other}' has too";
        }

        vocabulary.Add(token.Content, id);
        if (token.Special)
        {
            vocabulary.MarkSpecial(id);
        }

        return null;
    }

    private static TokenizerParts ReadParts(string path, Vocabulary vocabulary, TokenizerConfig config, SpecialTokenNames names)
    {
        var added = new List<(AddedToken Token, int Id)>();
        foreach ((string content, int? id, string file) in config.Added)
        {
            // An id far past the vocabulary is no id: nothing is set aside for it.
            int wanted = id ?? (vocabulary.TryGetId(content, out int known) ? known : vocabulary.Size);
            AddedToken token = config.FlagsOf(content);
            string? problem = wanted > vocabulary.Size + config.Added.Count ? $"the id {wanted} of '{content}' is not one of the {vocabulary.Size} of {Path.GetFileName(path)}" : AddToken(vocabulary, token, wanted);
            if (problem is not null)
            {
                throw new InvalidDataException($"{file}: {problem}");
            }

            added.Add((token, wanted));
        }

        SpecialTokens special = names.Find(path, vocabulary, config, new Frame([], []), modelUnknown: -1);
        foreach (int id in (ReadOnlySpan<int>)[special.Class, special.Separator, special.Pad, special.Mask, special.Unknown])
        {
            if (id >= 0 && !added.Exists(a => a.Id == id))
            {
                string content = vocabulary.TokenOf(id)!;
                added.Add((config.FlagsOf(content, leftStrip: string.Equals(content, SpecialTokenNames.Roberta.Mask, StringComparison.Ordinal)) with { Special = true }, id));
            }
        }

        return new TokenizerParts(vocabulary, added, special, new Frame([special.Class], [special.Separator]), config.ModelMaxLength);
    }

    private static IEnumerable<string> ReadLines(string path)
    {
        string text;
        try
        {
            text = s_strictUtf8.GetString(File.ReadAllBytes(path));
        }
        catch (DecoderFallbackException e)
        {
            throw new InvalidDataException($"{path}: not UTF-8 at byte {e.Index}", e);
        }

        string[] lines = text.TrimStart('\uFEFF').Split('\n');
        int count = lines[^1].Length == 0 ? lines.Length - 1 : lines.Length;
        for (int i = 0; i < count; i++)
        {
            yield return lines[i].TrimEnd('\r');
        }
    }
}
