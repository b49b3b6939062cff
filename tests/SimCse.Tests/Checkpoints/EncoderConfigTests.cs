using System.Text;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class EncoderConfigTests
{
    [Fact]
    public void RoBERTas_positions_begin_after_the_padding_id()
    {
        EncoderConfig config = EncoderConfig.Load(RepositoryPaths.Fixture("tiny-roberta", "config.json"));

        Assert.Equal(ModelFamily.Roberta, config.Family);
        Assert.Equal(66, config.MaxPositions);
        Assert.Equal(2, config.PositionOffset);
        Assert.Equal(64, config.MaxTokens);
        Assert.Equal(1e-5, config.LayerNormEpsilon);
        Assert.Equal(1, config.TokenTypes);
    }

    [Fact]
    public void What_may_be_absent_has_the_defaults_of_transformers()
    {
        // transformers' BertConfig: type_vocab_size 2, layer_norm_eps 1e-12, pad_token_id 0, dropouts 0.1, initializer_range 0.02.
        // google/bert_uncased_L-2_H-128_A-2 has no model_type either.
        const string Json = """{"hidden_size": 8, "vocab_size": 10, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 12}""";

        EncoderConfig config = EncoderConfig.Parse(Encoding.UTF8.GetBytes(Json), "config.json");

        Assert.Equal((ModelFamily.Bert, 2, 1e-12, 0, 0.1, 0.1, 0.02), (config.Family, config.TokenTypes, config.LayerNormEpsilon, config.PadTokenId, config.HiddenDropout, config.AttentionDropout, config.InitializerRange));
    }

    [Theory]
    [InlineData("model_type", "\"distilbert\"", "model_type is 'distilbert', expected 'bert' or 'roberta'")]
    [InlineData("model_type", "\"xlm-roberta\"", "model_type is 'xlm-roberta', expected 'bert' or 'roberta': this one's SentencePiece tokenizer is not supported")]
    [InlineData("model_type", "7", "model_type is 7, expected a string")]
    [InlineData("hidden_act", "\"gelu_new\"", "hidden_act is 'gelu_new', expected 'gelu' (the exact, erf one), the only activation that is supported")]
    [InlineData("position_embedding_type", "\"relative_key\"", "position_embedding_type is 'relative_key', expected 'absolute', the only position embedding that is supported")]
    [InlineData("is_decoder", "true", "is_decoder is true, expected false: only encoders are supported")]
    [InlineData("hidden_size", "-32", "hidden_size is -32, expected an integer from 1 to 1000000")]
    [InlineData("hidden_size", "32.5", "hidden_size is 32.5, expected an integer from 1 to 1000000")]
    [InlineData("hidden_size", "\"32\"", "hidden_size is '32', expected an integer from 1 to 1000000")]
    [InlineData("hidden_size", "9223372036854775808", "hidden_size is 9223372036854775808, expected an integer from 1 to 1000000")]
    [InlineData("hidden_size", null, "hidden_size is missing")]
    [InlineData("num_hidden_layers", "2000000000", "num_hidden_layers is 2000000000, expected an integer from 0 to 1000")]
    [InlineData("num_attention_heads", "5", "num_attention_heads is 5, expected a divisor of hidden_size, 32")]
    [InlineData("layer_norm_eps", "1e400", "layer_norm_eps is 1e400, expected a number of at least 0 and below 1")]
    [InlineData("pad_token_id", "2000", "pad_token_id is 2000, expected an integer from 0 to 1999")]
    [InlineData("hidden_dropout_prob", "1", "hidden_dropout_prob is 1, expected a number of at least 0 and below 1")]
    public void What_is_not_supported_or_out_of_range_is_refused_by_name(string field, string? value, string message)
    {
        JsonObject json = JsonNode.Parse(File.ReadAllText(RepositoryPaths.Fixture("tiny-bert", "config.json")))!.AsObject();
        json.Remove(field);
        if (value is not null)
        {
            json[field] = JsonNode.Parse(value);
        }

        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => EncoderConfig.Parse(Encoding.UTF8.GetBytes(json.ToJsonString()), "config.json"));

        Assert.Equal($"config.json: {message}", refusal.Message);
    }

    [Theory]
    [InlineData("", "not valid JSON at line 1, column 1")]
    [InlineData("[]", "the document is an array, expected an object")]
    [InlineData("{\"a\": 1,\n \"b\": }", "not valid JSON at line 2, column 7")]
    [InlineData("{\"a\": 1, \"a\": 2}", "not valid JSON")]
    [InlineData("{\"model_type\": \"\\ud800\"}", "a string holds half a surrogate pair")]
    [InlineData("{\"model_type\": \"a\\nb\"}", "model_type is 'a\uFFFDb'")]
    public void What_is_not_sound_JSON_is_refused_in_one_line(string json, string message)
    {
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => EncoderConfig.Parse(Encoding.UTF8.GetBytes(json), "config.json"));

        Assert.StartsWith("config.json: ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(message, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }

    [Fact]
    public void Deep_nesting_and_broken_UTF8_are_refused()
    {
        string deep = $"{{\"a\": {new string('[', 100_000)}";
        Assert.Throws<InvalidDataException>(() => EncoderConfig.Parse(Encoding.UTF8.GetBytes(deep), "config.json"));
        Assert.Throws<InvalidDataException>(() => EncoderConfig.Parse(new byte[] { (byte)'{', (byte)'"', 0xFF, (byte)'"', (byte)':', (byte)'1', (byte)'}' }, "config.json"));
    }

    [Fact]
    public void A_configuration_of_megabytes_is_refused_before_it_is_read()
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "config.json");
        using (FileStream stream = File.Create(path))
        {
            stream.SetLength(8L << 30);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => EncoderConfig.Load(path));

        Assert.Contains("8589934592 bytes long", refusal.Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }
}
