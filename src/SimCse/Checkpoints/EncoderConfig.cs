using System.Globalization;
using System.Text.Json;

namespace SimCse.Checkpoints;

/// <summary>The two architectures that are read. They differ in position numbering, in the defaults of their configuration and in tensor names.</summary>
public enum ModelFamily
{
    /// <summary>BERT (arXiv 1810.04805): positions count from 0.</summary>
    Bert,

    /// <summary>RoBERTa (arXiv 1907.11692): positions count from the padding id + 1.</summary>
    Roberta,
}

/// <summary>The sizes and constants of an encoder, from Hugging Face's <c>config.json</c>.</summary>
public sealed record EncoderConfig
{
    /// <summary>BERT or RoBERTa: <c>model_type</c>.</summary>
    public required ModelFamily Family { get; init; }

    /// <summary>Rows of the word embeddings: <c>vocab_size</c>.</summary>
    public required int VocabularySize { get; init; }

    /// <summary>H, the components of a token's vector: <c>hidden_size</c>.</summary>
    public required int HiddenSize { get; init; }

    /// <summary>Transformer layers: <c>num_hidden_layers</c>; 0 where token vectors are a table alone.</summary>
    public required int Layers { get; init; }

    /// <summary>Attention heads, a divisor of <see cref="HiddenSize"/>: <c>num_attention_heads</c>.</summary>
    public required int Heads { get; init; }

    /// <summary>Width of the feed-forward layer: <c>intermediate_size</c>.</summary>
    public required int IntermediateSize { get; init; }

    /// <summary>Rows of the position embeddings: <c>max_position_embeddings</c>. For RoBERTa this counts <see cref="PositionOffset"/> rows that no token uses.</summary>
    public required int MaxPositions { get; init; }

    /// <summary>Rows of the token-type embeddings: <c>type_vocab_size</c>.</summary>
    public int TokenTypes { get; init; } = 2;

    /// <summary>ε of every layer normalisation: <c>layer_norm_eps</c>.</summary>
    public double LayerNormEpsilon { get; init; } = 1e-12;

    /// <summary>The id of the padding token: <c>pad_token_id</c>.</summary>
    public int PadTokenId { get; init; }

    /// <summary>Dropout of the embeddings and of both sub-layers' outputs: <c>hidden_dropout_prob</c>.</summary>
    public double HiddenDropout { get; init; } = 0.1;

    /// <summary>Dropout of the attention probabilities: <c>attention_probs_dropout_prob</c>.</summary>
    public double AttentionDropout { get; init; } = 0.1;

    /// <summary>Standard deviation of new weights: <c>initializer_range</c>.</summary>
    public double InitializerRange { get; init; } = 0.02;

    /// <summary>
    /// Whether the masked-language head's decoder is the word embeddings, whatever decoder the file may hold besides: <c>tie_word_embeddings</c>, true where it is absent,
    /// as transformers has it.
    /// </summary>
    public bool TieWordEmbeddings { get; init; } = true;

    /// <summary>The position id of the first token: 0 for BERT, the padding id + 1 for RoBERTa.</summary>
    public int PositionOffset => Family == ModelFamily.Roberta ? PadTokenId + 1 : 0;

    /// <summary>The longest sequence, special tokens included, that the position embeddings allow.</summary>
    public int MaxTokens => MaxPositions - PositionOffset;

    /// <summary>Reads a <c>config.json</c>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">Not JSON, a size that is missing or out of range, or an architecture, activation or position embedding that is not supported.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static EncoderConfig Load(string path) => Parse(JsonFields.ReadConfiguration(path), path);

    /// <summary>Reads the bytes of a <c>config.json</c>; <paramref name="file"/> is the name that messages give it.</summary>
    /// <exception cref="InvalidDataException">As for <see cref="Load"/>.</exception>
    public static EncoderConfig Parse(ReadOnlyMemory<byte> json, string file)
    {
        const int Million = 1_000_000; // no encoder comes near it in any of its sizes; products of two stay far inside 64 bits
        JsonFields fields = JsonFields.Object(JsonFields.Parse(json, file), file);
        ModelFamily family = ReadFamily(fields, file);
        if (fields.Has("hidden_act") && fields.Text("hidden_act") is not "gelu")
        {
            throw fields.Wrong("hidden_act", "'gelu' (the exact, erf one), the only activation that is supported");
        }

        if (fields.Has("position_embedding_type") && fields.Text("position_embedding_type") is not "absolute")
        {
            throw fields.Wrong("position_embedding_type", "'absolute', the only position embedding that is supported");
        }

        foreach (string decoder in (ReadOnlySpan<string>)["is_decoder", "add_cross_attention", "is_encoder_decoder"])
        {
            if (fields.Truth(decoder) is true)
            {
                throw fields.Wrong(decoder, "false: only encoders are supported");
            }
        }

        int vocabulary = fields.RequiredInteger("vocab_size", 1, 16 * Million);
        EncoderConfig config = new()
        {
            Family = family,
            VocabularySize = vocabulary,
            HiddenSize = fields.RequiredInteger("hidden_size", 1, Million),
            Layers = fields.RequiredInteger("num_hidden_layers", 0, 1000),
            Heads = fields.RequiredInteger("num_attention_heads", 1, Million),
            IntermediateSize = fields.RequiredInteger("intermediate_size", 1, Million),
            MaxPositions = fields.RequiredInteger("max_position_embeddings", 1, Million),
            TokenTypes = fields.Integer("type_vocab_size", 1, Million) ?? 2,
            LayerNormEpsilon = fields.Number("layer_norm_eps", 0, 1) ?? 1e-12,
            PadTokenId = fields.Integer("pad_token_id", 0, vocabulary - 1) ?? (family == ModelFamily.Roberta ? 1 : 0),
            HiddenDropout = fields.Number("hidden_dropout_prob", 0, 1) ?? 0.1,
            AttentionDropout = fields.Number("attention_probs_dropout_prob", 0, 1) ?? 0.1,
            InitializerRange = fields.Number("initializer_range", 0, 1000) ?? 0.02,
            TieWordEmbeddings = fields.Truth("tie_word_embeddings") ?? true,
        };
        if (config.HiddenSize % config.Heads != 0)
        {
            throw fields.Wrong("num_attention_heads", $"a divisor of hidden_size, {config.HiddenSize}");
        }

        if (config.MaxTokens < 2)
        {
            throw fields.Wrong("max_position_embeddings", $"room for at least two tokens after the first {config.PositionOffset} positions, which pad_token_id {config.PadTokenId} takes");
        }

        return config;
    }

    /// <summary>This configuration as a <c>config.json</c> that Hugging Face's transformers opens; for models made anew.</summary>
    /// <param name="maskedLanguageHead">Whether the weights have a masked-language head: names the architecture accordingly.</param>
    public byte[] ToJson(bool maskedLanguageHead = false)
    {
        string name = Family == ModelFamily.Roberta ? "Roberta" : "Bert";
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteStartArray("architectures");
            json.WriteStringValue(name + (maskedLanguageHead ? "ForMaskedLM" : "Model"));
            json.WriteEndArray();
            json.WriteNumber("attention_probs_dropout_prob", AttentionDropout);
            json.WriteString("hidden_act", "gelu");
            json.WriteNumber("hidden_dropout_prob", HiddenDropout);
            json.WriteNumber("hidden_size", HiddenSize);
            json.WriteNumber("initializer_range", InitializerRange);
            json.WriteNumber("intermediate_size", IntermediateSize);
            json.WriteNumber("layer_norm_eps", LayerNormEpsilon);
            json.WriteNumber("max_position_embeddings", MaxPositions);
            json.WriteString("model_type", name.ToLower(CultureInfo.InvariantCulture));
            json.WriteNumber("num_attention_heads", Heads);
            json.WriteNumber("num_hidden_layers", Layers);
            json.WriteNumber("pad_token_id", PadTokenId);
            json.WriteString("position_embedding_type", "absolute");
            json.WriteBoolean("tie_word_embeddings", TieWordEmbeddings);
            json.WriteString("torch_dtype", "float32");
            json.WriteNumber("type_vocab_size", TokenTypes);
            json.WriteNumber("vocab_size", VocabularySize);
            json.WriteEndObject();
        }

        stream.WriteByte((byte)'\n');
        return stream.ToArray();
    }

    private static ModelFamily ReadFamily(JsonFields fields, string file)
    {
        switch (fields.Text("model_type"))
        {
            case "bert":
                return ModelFamily.Bert;
            case "roberta":
                return ModelFamily.Roberta;
            case null:
                break;
            case "xlm-roberta" or "camembert":
                throw fields.Wrong("model_type", "'bert' or 'roberta': this one's SentencePiece tokenizer is not supported");
            default:
                throw fields.Wrong("model_type", "'bert' or 'roberta'");
        }

        // Configurations older than model_type: the architecture tells, and before architectures there was only BERT.
        string? architecture = fields.Array("architectures") is { } names && names.GetArrayLength() > 0 && names[0].ValueKind == JsonValueKind.String ? names[0].GetString() : "Bert";
        return architecture!.StartsWith("Bert", StringComparison.Ordinal) ? ModelFamily.Bert
            : architecture.StartsWith("Roberta", StringComparison.Ordinal) ? ModelFamily.Roberta
            : throw new InvalidDataException($"{file}: model_type is missing and architecture {JsonFields.Quote(architecture)} is neither BERT's nor RoBERTa's");
    }
}
