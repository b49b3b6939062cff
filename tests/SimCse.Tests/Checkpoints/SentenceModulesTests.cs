using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class SentenceModulesTests
{
    private const string OldPooling = """
        {"word_embedding_dimension": 32, "pooling_mode_cls_token": CLS, "pooling_mode_mean_tokens": MEAN, "pooling_mode_max_tokens": false, "pooling_mode_mean_sqrt_len_tokens": false}
        """;

    [Theory]
    [InlineData("true", "false", Pooling.Cls)]
    [InlineData("false", "true", Pooling.Avg)]
    public void The_old_form_of_pooling_is_read(string cls, string mean, Pooling expected)
    {
        ModelCopy copy = ModelCopy.SentenceTransformer().Text("1_Pooling/config.json", OldPooling.Replace("CLS", cls, StringComparison.Ordinal).Replace("MEAN", mean, StringComparison.Ordinal));

        using Checkpoint checkpoint = copy.Open();

        Assert.Equal(expected, checkpoint.Modules!.Pooling);
        Assert.NotNull(checkpoint.Modules.Head);
    }

    [Fact]
    public void Cls_without_a_dense_layer_is_cls_before_pooler()
    {
        ModelCopy copy = ModelCopy.SentenceTransformer().Json("modules.json", j => j.AsArray().RemoveAt(2));

        using Checkpoint checkpoint = copy.Open();

        Assert.Equal(new SentenceModules(Pooling.ClsBeforePooler, Head: null, Normalize: false, MaxSequenceLength: null, LowerCase: null), checkpoint.Modules);
    }

    [Fact]
    public void A_dense_layer_may_lie_in_a_pickle_and_have_no_bias_and_no_tanh()
    {
        ModelCopy copy = ModelCopy.SentenceTransformer().Without("2_Dense/model.safetensors")
            .Text("2_Dense/config.json", """{"in_features": 32, "out_features": 16, "bias": false, "activation_function": "torch.nn.modules.linear.Identity"}""");
        TorchArchive.Write(copy.PathOf("2_Dense/pytorch_model.bin"), [(new TensorEntry("linear.weight", TensorType.F32, [16, 32]), Enumerable.Repeat(0.5f, 512).ToArray())]);

        using Checkpoint checkpoint = copy.Open();

        DenseHead head = checkpoint.Modules!.Head!;
        Assert.Equal((32, 16, false), (head.InFeatures, head.OutFeatures, head.Tanh));
        Assert.Equal(Enumerable.Repeat(0.5f, 512), head.Weight);
        Assert.Equal(new float[16], head.Bias);
    }

    [Theory]
    [InlineData("""{"max_seq_length": 256, "do_lower_case": true}""", 64, true)] // no more than the 64 positions there are
    [InlineData("""{"max_seq_length": 32, "do_lower_case": false}""", 32, false)]
    [InlineData("""{"max_seq_length": null}""", null, null)]
    public void Length_and_lower_casing_are_read(string json, int? length, bool? lowerCase)
    {
        using Checkpoint checkpoint = ModelCopy.SentenceTransformer().Text("sentence_bert_config.json", json).Open();

        Assert.Equal(length, checkpoint.Modules!.MaxSequenceLength);
        Assert.Equal(lowerCase, checkpoint.Modules.LowerCase);
    }

    [Theory]
    [InlineData("modules.json", "sentence_transformers.base.modules.dense.Dense", "sentence_transformers.models.LSTM", "modules.json: module 2.type is 'sentence_transformers.models.LSTM', expected nothing more")]
    [InlineData("modules.json", "sentence_transformers.base.modules.transformer.Transformer", "sentence_transformers.models.CLIPModel", "modules.json: module 0.type is 'sentence_transformers.models.CLIPModel', expected a Transformer first")]
    [InlineData("modules.json", "\"idx\": 1", "\"idx\": 7", "modules.json: module 1.idx is 7, expected 1")]
    [InlineData("modules.json", "\"path\": \"2_Dense\"", "\"path\": \"../2_Dense\"", "modules.json: module 2.path is '../2_Dense', expected the name of a folder")]
    [InlineData("modules.json", "\"path\": \"\"", "\"path\": \"0_Transformer\"", "modules.json: module 0.path is '0_Transformer', expected ''")]
    [InlineData("1_Pooling/config.json", "\"cls\"", "\"max\"", "1_Pooling/config.json: pooling mode 'max' is not supported; expected cls or mean")]
    [InlineData("1_Pooling/config.json", "\"cls\"", "\"weightedmean\"", "1_Pooling/config.json: pooling mode 'weightedmean' is not supported; expected cls or mean")]
    [InlineData("1_Pooling/config.json", "\"cls\"", "[\"cls\", \"mean\"]", "1_Pooling/config.json: pooling_mode is an array, expected a string")]
    [InlineData("1_Pooling/config.json", "\"pooling_mode\": \"cls\"", "\"pooling_mode_cls_token\": true, \"pooling_mode_max_tokens\": true", "1_Pooling/config.json: 2 pooling modes at once are not supported; expected one, cls or mean")]
    [InlineData("1_Pooling/config.json", "\"pooling_mode\": \"cls\"", "\"pooling_mode_cls_token\": false", "1_Pooling/config.json: names no pooling mode; expected cls or mean")]
    [InlineData("1_Pooling/config.json", "32", "33", "1_Pooling/config.json: embedding_dimension is 33, expected 32, hidden_size of config.json")]
    [InlineData("2_Dense/config.json", "modules.activation.Tanh", "modules.activation.ReLU", "2_Dense/config.json: activation_function is 'torch.nn.modules.activation.ReLU', expected")]
    [InlineData("2_Dense/config.json", "\"in_features\": 32", "\"in_features\": 64", "2_Dense/config.json: in_features is 64, expected 32, hidden_size of config.json")]
    [InlineData("2_Dense/config.json", "\"out_features\": 32", "\"out_features\": 900000", "2_Dense/model.safetensors: tensor 'linear.weight' has shape [32, 32], expected [900000, 32] from config.json beside it")]
    [InlineData("2_Dense/config.json", "\"module_input_name\": \"sentence_embedding\"", "\"module_input_name\": \"token_embeddings\"", "2_Dense/config.json: module_input_name is 'token_embeddings', expected 'sentence_embedding'")]
    [InlineData("sentence_bert_config.json", "last_hidden_state", "pooler_output", "sentence_bert_config.json: modality_config.text.method_output_name is 'pooler_output', expected 'last_hidden_state'")]
    [InlineData("config_sentence_transformers.json", "\"default_prompt_name\": null", "\"default_prompt_name\": \"q\"", null)]
    public void What_would_give_other_vectors_is_refused_by_name(string file, string from, string to, string? message)
    {
        ModelCopy copy = ModelCopy.SentenceTransformer();
        string text = File.ReadAllText(copy.PathOf(file));
        Assert.Contains(from, text, StringComparison.Ordinal);
        copy.Text(file, text.Replace(from, to, StringComparison.Ordinal));

        if (message is null)
        {
            copy.Open().Dispose(); // a default prompt of that name does not exist: nothing is put before a text
            copy.Json(file, j => j["prompts"] = new JsonObject { ["q"] = "query: " });
            message = $"{file}: default_prompt_name is 'q', expected none: texts that go into the model behind a prompt are not supported";
        }

        Assert.StartsWith(message, copy.Refusal(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("avg_first_last", "config_sentence_transformers.json: simcse_pooling is 'avg_first_last', but modules.json says 'cls'")]
    [InlineData("avg_first", "config_sentence_transformers.json: simcse_pooling is 'avg_first', expected one of cls, cls_before_pooler, avg, avg_top2, avg_first_last, static_first_last")]
    [InlineData("cls", null)]
    public void A_marker_that_contradicts_the_modules_is_refused(string marker, string? message)
    {
        ModelCopy copy = ModelCopy.SentenceTransformer().Json("config_sentence_transformers.json", j => j["simcse_pooling"] = marker);

        if (message is null)
        {
            using Checkpoint checkpoint = copy.Open();
            Assert.Equal(Pooling.Cls, checkpoint.Modules!.Pooling);
        }
        else
        {
            Assert.Equal(message, copy.Refusal());
        }
    }

    [Fact]
    public void A_module_whose_folder_is_missing_is_refused()
    {
        ModelCopy copy = ModelCopy.SentenceTransformer().Without("1_Pooling/config.json");

        Assert.Equal("modules.json: module 1.path is '1_Pooling', expected a folder that holds a config.json", copy.Refusal());
    }
}
