using System.Text.Json;

namespace SimCse.Tokenization;

/// <summary>Reads <c>tokenizer.json</c>, the one file that holds all of a tokenizer, as far as BERT and RoBERTa families need it; anything else in it is refused.</summary>
internal static class TokenizerJson
{
    public static Tokenizer Read(string path, TokenizerConfig config)
    {
        using JsonFile file = JsonFile.Open(path);
        JsonElement root = file.Root;
        if (file.FindString(root, "", "version") is not (null or "1.0") and var version)
        {
            throw file.Error($"version '{version}' is not supported; expected '1.0'");
        }

        JsonElement model = file.RequireObject(root, "", "model");
        string type = file.FindString(model, "model", "type") ?? (model.TryGetProperty("merges", out _) ? "BPE" : "WordPiece");
        return type switch
        {
            "WordPiece" => ReadWordPiece(file, model, config),
            "BPE" => ReadByteLevelBpe(file, model, config),
            _ => throw file.Error($"model.type '{type}' is not supported; expected WordPiece or BPE"),
        };
    }

    private static WordPieceTokenizer ReadWordPiece(JsonFile file, JsonElement model, TokenizerConfig config)
    {
        Vocabulary vocabulary = ReadVocabulary(file, model);
        string prefix = file.RequireString(model, "model", "continuing_subword_prefix");
        string unknown = file.RequireString(model, "model", "unk_token");
        if (!vocabulary.TryGetId(unknown, out int unknownId))
        {
            throw file.Error($"model.unk_token '{unknown}' is not in model.vocab");
        }

        int maxCharacters = model.TryGetProperty("max_input_chars_per_word", out JsonElement max) && max.TryGetInt32OrNull() is >= 0 and { } characters
            ? characters
            : throw file.Error("model.max_input_chars_per_word must be a whole number from 0");
        BertNormalizer? normalizer = ReadBertNormalizer(file);
        RequireType(file, "pre_tokenizer", "BertPreTokenizer");
        KeyValuePair<string, int>[] pieces = [.. vocabulary.Ids];
        List<(AddedToken, int)> added = ReadAddedTokens(file, vocabulary);
        return new WordPieceTokenizer(ReadParts(file, vocabulary, added, config, SpecialTokenNames.Bert, unknownId), pieces, normalizer, prefix, maxCharacters);
    }

    private static ByteLevelBpeTokenizer ReadByteLevelBpe(JsonFile file, JsonElement model, TokenizerConfig config)
    {
        Vocabulary vocabulary = ReadVocabulary(file, model);
        if (JsonFile.Find(model, "dropout") is { } dropout && !(dropout.ValueKind == JsonValueKind.Number && dropout.GetDouble() == 0))
        {
            throw file.Error($"model.dropout {dropout.GetRawText()} is not supported; expected null");
        }

        foreach (string name in (ReadOnlySpan<string>)["continuing_subword_prefix", "end_of_word_suffix"])
        {
            if (file.FindString(model, "model", name) is { Length: > 0 } affix)
            {
                throw file.Error($"model.{name} '{affix}' is not supported with byte-level BPE; expected none");
            }
        }

        if (file.FindBoolean(model, "model", "byte_fallback") == true)
        {
            throw file.Error("model.byte_fallback is not supported with byte-level BPE");
        }

        int unknownId = -1;
        if (file.FindString(model, "model", "unk_token") is { } unknown && !vocabulary.TryGetId(unknown, out unknownId))
        {
            throw file.Error($"model.unk_token '{unknown}' is not in model.vocab");
        }

        if (JsonFile.Find(file.Root, "normalizer") is { } normalizer)
        {
            throw file.Unexpected("normalizer", "null with byte-level BPE", normalizer);
        }

        JsonElement preTokenizer = RequireType(file, "pre_tokenizer", "ByteLevel");
        bool addPrefixSpace = file.FindBoolean(preTokenizer, "pre_tokenizer", "add_prefix_space") ?? true;
        bool splitWords = file.FindBoolean(preTokenizer, "pre_tokenizer", "use_regex") ?? true;
        var merges = new BytePairMerges(
            vocabulary.Ids,
            ReadMerges(file, model, vocabulary),
            unknownId,
            file.FindBoolean(model, "model", "fuse_unk") ?? false);
        Dictionary<string, int>? wholeWords = file.FindBoolean(model, "model", "ignore_merges") == true ? new(vocabulary.Ids, StringComparer.Ordinal) : null;
        List<(AddedToken, int)> added = ReadAddedTokens(file, vocabulary);
        TokenizerParts parts = ReadParts(file, vocabulary, added, config, SpecialTokenNames.Roberta, unknownId);
        return new ByteLevelBpeTokenizer(parts, merges, wholeWords, addPrefixSpace, splitWords);
    }

    private static TokenizerParts ReadParts(JsonFile file, Vocabulary vocabulary, List<(AddedToken, int)> added, TokenizerConfig config, SpecialTokenNames names, int unknownId)
    {
        Frame frame = ReadFrame(file, vocabulary);
        SpecialTokens special = names.Find(file.Path, vocabulary, config, frame, unknownId);
        return new TokenizerParts(vocabulary, added, special, frame, config.ModelMaxLength);
    }

    private static Vocabulary ReadVocabulary(JsonFile file, JsonElement model)
    {
        var vocabulary = new Vocabulary();
        foreach (JsonProperty entry in file.RequireObject(model, "model", "vocab").EnumerateObject())
        {
            string token = file.NameOf(entry, "model.vocab");
            string where = $"model.vocab['{token}']";
            int id = file.AsId(entry.Value, where);
            if (vocabulary.TokenOf(id) is { } other)
            {
                throw file.Error($"{where} has the id {id}, which '{other}' has too");
            }

            if (vocabulary.TryGetId(token, out _))
            {
                throw file.Error($"{where} is there twice");
            }

            vocabulary.Add(token, id);
        }

        return vocabulary.Count > 0 ? vocabulary : throw file.Error("model.vocab is empty");
    }

    private static List<(int Left, int Right, int Merged)> ReadMerges(JsonFile file, JsonElement model, Vocabulary vocabulary)
    {
        var merges = new List<(int, int, int)>();
        foreach (JsonElement merge in file.RequireArray(model, "model", "merges").EnumerateArray())
        {
            string where = $"model.merges[{merges.Count}]";
            (string left, string right) = merge.ValueKind == JsonValueKind.Array && merge.GetArrayLength() == 2
                ? (file.AsString(merge[0], where), file.AsString(merge[1], where))
                : VocabularyFiles.SplitMerge(file.AsString(merge, where)) ?? throw file.Unexpected(where, "two tokens", merge);
            merges.Add(VocabularyFiles.ResolveMerge(left, right, vocabulary) ?? throw file.Unexpected(where, "two tokens of the vocabulary that make a third one", merge));
        }

        return merges;
    }

    private static BertNormalizer? ReadBertNormalizer(JsonFile file)
    {
        if (file.FindObject(file.Root, "", "normalizer") is not { } normalizer)
        {
            return null;
        }

        RequireType(file, "normalizer", "BertNormalizer");
        return new BertNormalizer(
            file.FindBoolean(normalizer, "normalizer", "clean_text") ?? throw file.Error("normalizer.clean_text is missing"),
            file.FindBoolean(normalizer, "normalizer", "handle_chinese_chars") ?? throw file.Error("normalizer.handle_chinese_chars is missing"),
            file.FindBoolean(normalizer, "normalizer", "strip_accents"),
            file.FindBoolean(normalizer, "normalizer", "lowercase") ?? throw file.Error("normalizer.lowercase is missing"));
    }

    private static JsonElement RequireType(JsonFile file, string part, string expected)
    {
        JsonElement element = file.RequireObject(file.Root, "", part);
        string type = file.RequireString(element, part, "type");
        return string.Equals(type, expected, StringComparison.Ordinal) ? element : throw file.Error($"{part}.type '{type}' is not supported with this model; expected {expected}");
    }

    private static List<(AddedToken, int)> ReadAddedTokens(JsonFile file, Vocabulary vocabulary)
    {
        var added = new List<(AddedToken, int)>();
        if (JsonFile.Find(file.Root, "added_tokens") is null)
        {
            return added;
        }

        foreach (JsonElement element in file.RequireArray(file.Root, "", "added_tokens").EnumerateArray())
        {
            string where = $"added_tokens[{added.Count}]";
            if (element.ValueKind != JsonValueKind.Object)
            {
                throw file.Unexpected(where, "an object", element);
            }

            AddedToken token = TokenizerConfig.ReadToken(file, element, where);
            int id = file.AsId(JsonFile.Find(element, "id") ?? throw file.Error($"{where}.id is missing"), $"{where}.id");
            if (VocabularyFiles.AddToken(vocabulary, token, id) is { } problem)
            {
                throw file.Error($"{where}: {problem}");
            }

            added.Add((token, id));
        }

        return added;
    }

    private static Frame ReadFrame(JsonFile file, Vocabulary vocabulary)
    {
        var before = new List<int>();
        var after = new List<int>();
        if (file.FindObject(file.Root, "", "post_processor") is { } processor)
        {
            ReadProcessor(file, processor, "post_processor", vocabulary, before, after);
        }

        return new Frame([.. before], [.. after]);
    }

    private static void ReadProcessor(JsonFile file, JsonElement processor, string where, Vocabulary vocabulary, List<int> before, List<int> after)
    {
        string type = file.RequireString(processor, where, "type");
        switch (type)
        {
            case "ByteLevel": // trims offsets, which are not given here
                break;
            case "BertProcessing" or "RobertaProcessing":
                before.Insert(0, ReadPair(file, processor, where, "cls", vocabulary));
                after.Add(ReadPair(file, processor, where, "sep", vocabulary));
                break;
            case "TemplateProcessing":
                ReadTemplate(file, processor, where, vocabulary, before, after);
                break;
            case "Sequence":
                int index = 0;
                foreach (JsonElement part in file.RequireArray(processor, where, "processors").EnumerateArray())
                {
                    string partWhere = $"{where}.processors[{index++}]";
                    ReadProcessor(file, part.ValueKind == JsonValueKind.Object ? part : throw file.Unexpected(partWhere, "an object", part), partWhere, vocabulary, before, after);
                }

                break;
            default:
                throw file.Error($"{where}.type '{type}' is not supported; expected BertProcessing, RobertaProcessing, TemplateProcessing, ByteLevel or a Sequence of them");
        }
    }

    private static int ReadPair(JsonFile file, JsonElement processor, string where, string name, Vocabulary vocabulary)
    {
        JsonElement pair = file.RequireArray(processor, where, name);
        where = JsonFile.Join(where, name);
        if (pair.GetArrayLength() != 2)
        {
            throw file.Unexpected(where, "a token and its id", pair);
        }

        return RequireToken(file, vocabulary, file.AsString(pair[0], where), file.AsId(pair[1], where), where);
    }

    private static void ReadTemplate(JsonFile file, JsonElement processor, string where, Vocabulary vocabulary, List<int> before, List<int> after)
    {
        JsonElement tokens = file.RequireObject(processor, where, "special_tokens");
        var head = new List<int>();
        bool seen = false;
        int index = 0;
        foreach (JsonElement piece in file.RequireArray(processor, where, "single").EnumerateArray())
        {
            string pieceWhere = $"{where}.single[{index++}]";
            if (piece.ValueKind != JsonValueKind.Object)
            {
                throw file.Unexpected(pieceWhere, "an object", piece);
            }

            if (file.FindObject(piece, pieceWhere, "Sequence") is { } sequence)
            {
                if (seen || file.RequireString(sequence, pieceWhere, "id") is not "A")
                {
                    throw file.Unexpected(pieceWhere, "the one sequence A", piece);
                }

                seen = true;
                continue;
            }

            JsonElement special = file.RequireObject(piece, pieceWhere, "SpecialToken");
            string name = file.RequireString(special, pieceWhere, "id");
            string tokenWhere = $"{where}.special_tokens['{name}']";
            JsonElement token = file.FindObject(tokens, $"{where}.special_tokens", name) ?? throw file.Error($"{tokenWhere} is missing");
            JsonElement ids = file.RequireArray(token, tokenWhere, "ids");
            JsonElement spellings = file.RequireArray(token, tokenWhere, "tokens");
            if (ids.GetArrayLength() != spellings.GetArrayLength())
            {
                throw file.Unexpected(tokenWhere, "as many ids as tokens", token);
            }

            for (int i = 0; i < ids.GetArrayLength(); i++)
            {
                int id = RequireToken(file, vocabulary, file.AsString(spellings[i], tokenWhere), file.AsId(ids[i], tokenWhere), tokenWhere);
                (seen ? after : head).Add(id);
            }
        }

        if (!seen)
        {
            throw file.Error($"{where}.single has no sequence A");
        }

        before.InsertRange(0, head);
    }

    private static int RequireToken(JsonFile file, Vocabulary vocabulary, string token, int id, string where) =>
        vocabulary.TryGetId(token, out int known) && known == id
            ? id
            : throw file.Error($"{where}: '{token}' with the id {id} is not in the vocabulary");

    private static int? TryGetInt32OrNull(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Number && element.TryGetInt32(out int value) ? value : null;
}
