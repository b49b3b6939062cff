namespace SimCse.Tokenization;

/// <summary>How a family spells its special tokens where the files do not say.</summary>
internal sealed record SpecialTokenNames(string Class, string Separator, string Pad, string Mask, string Unknown)
{
    public static SpecialTokenNames Bert { get; } = new("[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]");

    public static SpecialTokenNames Roberta { get; } = new("<s>", "</s>", "<pad>", "<mask>", "<unk>");

    /// <summary>The ids of the five: by the names the configuration gives, else as the post-processor has them, else by the usual spelling; marks them special.</summary>
    /// <param name="vocabularyFile">For messages.</param>
    /// <param name="vocabulary">All tokens, added ones included.</param>
    /// <param name="config">What may name them.</param>
    /// <param name="frame">What stands around a single text.</param>
    /// <param name="modelUnknown">The model's own unknown token, −1 where it has none.</param>
    /// <exception cref="InvalidDataException">A token that is needed, or named, is not in the vocabulary.</exception>
    public SpecialTokens Find(string vocabularyFile, Vocabulary vocabulary, TokenizerConfig config, Frame frame, int modelUnknown)
    {
        var special = new SpecialTokens(
            Find("cls_token", Class, frame.Before.Length > 0 ? frame.Before[0] : -1),
            Find("sep_token", Separator, frame.After.Length > 0 ? frame.After[^1] : -1),
            Find("pad_token", Pad, -1),
            Find("mask_token", Mask, -1, needed: false),
            modelUnknown >= 0 ? modelUnknown : Find("unk_token", Unknown, -1));
        foreach (int id in (ReadOnlySpan<int>)[special.Class, special.Separator, special.Pad, special.Mask, special.Unknown, .. frame.Before, .. frame.After])
        {
            if (id >= 0)
            {
                vocabulary.MarkSpecial(id);
            }
        }

        return special;

        int Find(string job, string usual, int fallback, bool needed = true)
        {
            if (config.Named(job) is (string content, string file))
            {
                return vocabulary.TryGetId(content, out int named)
                    ? named
                    : throw new InvalidDataException($"{file}: {job} '{content}' is not in the vocabulary of {Path.GetFileName(vocabularyFile)}");
            }

            if (fallback >= 0)
            {
                return fallback;
            }

            foreach (string spelling in (ReadOnlySpan<string>)[usual, Spelling(Bert, job), Spelling(Roberta, job)])
            {
                if (vocabulary.TryGetId(spelling, out int id))
                {
                    return id;
                }
            }

            return needed
                ? throw new InvalidDataException($"{vocabularyFile}: the vocabulary has no {job}; expected '{usual}', or tokenizer_config.json to name another")
                : -1;
        }
    }

    private static string Spelling(SpecialTokenNames names, string job) => job switch
    {
        "cls_token" => names.Class,
        "sep_token" => names.Separator,
        "pad_token" => names.Pad,
        "mask_token" => names.Mask,
        _ => names.Unknown,
    };
}
