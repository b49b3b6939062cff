using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SimCse.Tokenization;

/// <summary>Writes the tokenizer files of a BERT model directory, which <see cref="Tokenizer.Load"/> and Hugging Face's libraries read alike.</summary>
public static class TokenizerFiles
{
    private const int MaxCharactersPerWord = 100;

    private static readonly JsonWriterOptions s_json = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping, NewLine = "\n" };

    /// <summary>Writes <c>tokenizer.json</c>, <c>vocab.txt</c>, <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c>, each beside its place and renamed into it.</summary>
    /// <param name="directory">Made where it is missing.</param>
    /// <param name="vocabulary">The tokens and the normalisation.</param>
    /// <param name="modelMaxLength">The most tokens the model takes, special tokens included; null: no limit is written.</param>
    /// <exception cref="ArgumentException">The vocabulary lacks a special token, has one token twice, or has one that a line of vocab.txt cannot hold.</exception>
    public static void Write(string directory, WordPieceVocabulary vocabulary, int? modelMaxLength = null)
    {
        ArgumentNullException.ThrowIfNull(directory);
        ArgumentNullException.ThrowIfNull(vocabulary);
        Dictionary<string, int> ids = Index(vocabulary.Tokens);
        Directory.CreateDirectory(directory);
        Write(directory, "vocab.txt", Encoding.UTF8.GetBytes(string.Concat(vocabulary.Tokens.Select(token => token + "\n"))));
        Write(directory, "tokenizer.json", Json(json => WriteTokenizer(json, vocabulary, ids)));
        Write(directory, "tokenizer_config.json", Json(json => WriteConfig(json, vocabulary, ids, modelMaxLength)));
        Write(directory, "special_tokens_map.json", Json(WriteNames));
    }

    private static Dictionary<string, int> Index(IReadOnlyList<string> tokens)
    {
        var ids = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int id = 0; id < tokens.Count; id++)
        {
            string token = tokens[id];
            if (token.Length == 0 || token.AsSpan().ContainsAny('\r', '\n') || !ReferenceEquals(Utf16.WithoutLoneSurrogates(token), token) || !ids.TryAdd(token, id))
            {
                throw new ArgumentException($"token {id} is empty, there already, or holds a line break or a lone surrogate", nameof(tokens));
            }
        }

        return WordPieceVocabulary.SpecialTokens.FirstOrDefault(special => !ids.ContainsKey(special)) is { } missing
            ? throw new ArgumentException($"the vocabulary has no {missing}", nameof(tokens))
            : ids;
    }

    private static void WriteTokenizer(Utf8JsonWriter json, WordPieceVocabulary vocabulary, Dictionary<string, int> ids)
    {
        json.WriteString("version", "1.0");
        json.WriteNull("truncation");
        json.WriteNull("padding");
        json.WriteStartArray("added_tokens");
        foreach (string token in WordPieceVocabulary.SpecialTokens.OrderBy(token => ids[token]))
        {
            json.WriteStartObject();
            json.WriteNumber("id", ids[token]);
            WriteFlags(json, token);
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartObject("normalizer");
        json.WriteString("type", "BertNormalizer");
        json.WriteBoolean("clean_text", true);
        json.WriteBoolean("handle_chinese_chars", vocabulary.HandleChineseCharacters);
        WriteOptional(json, "strip_accents", vocabulary.StripAccents);
        json.WriteBoolean("lowercase", vocabulary.Lowercase);
        json.WriteEndObject();
        json.WriteStartObject("pre_tokenizer");
        json.WriteString("type", "BertPreTokenizer");
        json.WriteEndObject();
        json.WriteStartObject("post_processor");
        json.WriteString("type", "TemplateProcessing");
        WriteTemplate(json, "single", [("[CLS]", 0), (null, 0), ("[SEP]", 0)]);
        WriteTemplate(json, "pair", [("[CLS]", 0), (null, 0), ("[SEP]", 0), (null, 1), ("[SEP]", 1)]);
        json.WriteStartObject("special_tokens");
        foreach (string token in (ReadOnlySpan<string>)["[CLS]", "[SEP]"])
        {
            json.WriteStartObject(token);
            json.WriteString("id", token);
            json.WriteStartArray("ids");
            json.WriteNumberValue(ids[token]);
            json.WriteEndArray();
            json.WriteStartArray("tokens");
            json.WriteStringValue(token);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("decoder");
        json.WriteString("type", "WordPiece");
        json.WriteString("prefix", "##");
        json.WriteBoolean("cleanup", true);
        json.WriteEndObject();
        json.WriteStartObject("model");
        json.WriteString("type", "WordPiece");
        json.WriteString("unk_token", "[UNK]");
        json.WriteString("continuing_subword_prefix", "##");
        json.WriteNumber("max_input_chars_per_word", MaxCharactersPerWord);
        json.WriteStartObject("vocab");
        for (int id = 0; id < vocabulary.Tokens.Count; id++)
        {
            json.WriteNumber(vocabulary.Tokens[id], id);
        }

        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteTemplate(Utf8JsonWriter json, string name, (string? Special, int TypeId)[] pieces)
    {
        json.WriteStartArray(name);
        foreach ((string? special, int typeId) in pieces)
        {
            json.WriteStartObject();
            json.WriteStartObject(special is null ? "Sequence" : "SpecialToken");
            json.WriteString("id", special ?? (typeId == 0 ? "A" : "B"));
            json.WriteNumber("type_id", typeId);
            json.WriteEndObject();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteConfig(Utf8JsonWriter json, WordPieceVocabulary vocabulary, Dictionary<string, int> ids, int? modelMaxLength)
    {
        json.WriteStartObject("added_tokens_decoder");
        foreach (string token in WordPieceVocabulary.SpecialTokens.OrderBy(token => ids[token]))
        {
            json.WriteStartObject(ids[token].ToString(System.Globalization.CultureInfo.InvariantCulture));
            WriteFlags(json, token);
            json.WriteEndObject();
        }

        json.WriteEndObject();
        json.WriteBoolean("clean_up_tokenization_spaces", true);
        json.WriteBoolean("do_lower_case", vocabulary.Lowercase);
        if (modelMaxLength is { } length)
        {
            json.WriteNumber("model_max_length", length);
        }

        WriteOptional(json, "strip_accents", vocabulary.StripAccents);
        json.WriteBoolean("tokenize_chinese_chars", vocabulary.HandleChineseCharacters);
        json.WriteString("tokenizer_class", "BertTokenizer");
        WriteNames(json);
    }

    private static void WriteNames(Utf8JsonWriter json)
    {
        json.WriteString("cls_token", "[CLS]");
        json.WriteString("mask_token", "[MASK]");
        json.WriteString("pad_token", "[PAD]");
        json.WriteString("sep_token", "[SEP]");
        json.WriteString("unk_token", "[UNK]");
    }

    private static void WriteFlags(Utf8JsonWriter json, string token)
    {
        json.WriteString("content", token);
        json.WriteBoolean("single_word", false);
        json.WriteBoolean("lstrip", false);
        json.WriteBoolean("rstrip", false);
        json.WriteBoolean("normalized", false);
        json.WriteBoolean("special", true);
    }

    private static void WriteOptional(Utf8JsonWriter json, string name, bool? value)
    {
        if (value is { } known)
        {
            json.WriteBoolean(name, known);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static byte[] Json(Action<Utf8JsonWriter> write)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, s_json))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static void Write(string directory, string name, byte[] bytes)
    {
        string path = Path.Combine(directory, name);
        string beside = path + ".partial";
        File.WriteAllBytes(beside, bytes);
        File.Move(beside, path, overwrite: true);
    }
}
