using System.Globalization;
using System.Text.Json;

namespace SimCse.Tokenization;

/// <summary>What <c>tokenizer_config.json</c> and <c>special_tokens_map.json</c> of a directory say; both may be absent.</summary>
internal sealed class TokenizerConfig
{
    private readonly Dictionary<string, (string Content, string File)> _named = new(StringComparer.Ordinal);
    private readonly Dictionary<string, AddedToken> _flags = new(StringComparer.Ordinal);
    private readonly List<(string Content, int? Id, string File)> _added = [];

    public int? ModelMaxLength { get; private set; }

    public bool? DoLowerCase { get; private set; }

    public bool? TokenizeChineseCharacters { get; private set; }

    public bool? StripAccents { get; private set; }

    public bool? AddPrefixSpace { get; private set; }

    /// <summary>Tokens that the files add to the vocabulary, besides the named ones; with the id that they must have, where it is given.</summary>
    public IReadOnlyList<(string Content, int? Id, string File)> Added => _added;

    public static TokenizerConfig Read(string directory)
    {
        var config = new TokenizerConfig();
        string main = Path.Combine(directory, "tokenizer_config.json");
        if (File.Exists(main))
        {
            using JsonFile file = JsonFile.Open(main);
            config.ReadMain(file);
        }

        string map = Path.Combine(directory, "special_tokens_map.json");
        if (File.Exists(map))
        {
            using JsonFile file = JsonFile.Open(map);
            config.ReadNamed(file);
        }

        return config;
    }

    /// <summary>The token that has a job, such as <c>cls_token</c>, and the file that says so; null where none does.</summary>
    public (string Content, string File)? Named(string job) => _named.TryGetValue(job, out (string, string) named) ? named : null;

    /// <summary>The token with the flags that the files give it, or with those of a special token.</summary>
    public AddedToken FlagsOf(string content, bool leftStrip = false) =>
        _flags.TryGetValue(content, out AddedToken? token) ? token : new AddedToken(content, false, leftStrip, false, false, true);

    /// <summary>Reads the flags of an added token; those that are missing are off.</summary>
    public static AddedToken ReadToken(JsonFile file, JsonElement token, string where, string? content = null) => new(
        content ?? file.RequireString(token, where, "content"),
        file.FindBoolean(token, where, "single_word") ?? false,
        file.FindBoolean(token, where, "lstrip") ?? false,
        file.FindBoolean(token, where, "rstrip") ?? false,
        file.FindBoolean(token, where, "normalized") ?? false,
        file.FindBoolean(token, where, "special") ?? false);

    private void ReadMain(JsonFile file)
    {
        JsonElement root = file.Root;
        DoLowerCase = file.FindBoolean(root, "", "do_lower_case");
        TokenizeChineseCharacters = file.FindBoolean(root, "", "tokenize_chinese_chars");
        StripAccents = file.FindBoolean(root, "", "strip_accents");
        AddPrefixSpace = file.FindBoolean(root, "", "add_prefix_space");
        if (JsonFile.Find(root, "model_max_length") is { } length)
        {
            // 1e30 is how transformers writes 'no limit'.
            if (length.ValueKind != JsonValueKind.Number || !(length.GetDouble() >= 1))
            {
                throw file.Unexpected("model_max_length", "a number of tokens", length);
            }

            ModelMaxLength = length.GetDouble() <= 1e9 ? (int)length.GetDouble() : null;
        }

        if (file.FindObject(root, "", "added_tokens_decoder") is { } decoder)
        {
            foreach (JsonProperty entry in decoder.EnumerateObject())
            {
                string name = file.NameOf(entry, "added_tokens_decoder");
                string where = $"added_tokens_decoder.{name}";
                if (entry.Value.ValueKind != JsonValueKind.Object)
                {
                    throw file.Unexpected(where, "an object", entry.Value);
                }

                if (!int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int id))
                {
                    throw file.Error($"{where} must be named by a token id");
                }

                AddedToken token = ReadToken(file, entry.Value, where);
                _flags[token.Content] = token;
                _added.Add((token.Content, id, file.Path));
            }
        }

        ReadNamed(file);
    }

    private void ReadNamed(JsonFile file)
    {
        foreach (string job in (ReadOnlySpan<string>)["cls_token", "sep_token", "pad_token", "mask_token", "unk_token", "bos_token", "eos_token"])
        {
            if (JsonFile.Find(file.Root, job) is { } token)
            {
                _named[job] = (ReadContent(file, token, job), file.Path);
            }
        }

        if (JsonFile.Find(file.Root, "additional_special_tokens") is { } additional)
        {
            if (additional.ValueKind != JsonValueKind.Array)
            {
                throw file.Unexpected("additional_special_tokens", "an array", additional);
            }

            foreach (JsonElement token in additional.EnumerateArray())
            {
                _added.Add((ReadContent(file, token, "additional_special_tokens"), null, file.Path));
            }
        }
    }

    private string ReadContent(JsonFile file, JsonElement token, string where)
    {
        if (token.ValueKind == JsonValueKind.Object)
        {
            AddedToken read = ReadToken(file, token, where);
            _flags.TryAdd(read.Content, read);
            return read.Content;
        }

        return file.AsString(token, where);
    }
}
