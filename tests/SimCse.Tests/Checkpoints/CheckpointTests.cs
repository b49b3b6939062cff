using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class CheckpointTests
{
    [Theory]
    [InlineData("tiny-bert", ModelFamily.Bert, "bert.", 64)]
    [InlineData("tiny-roberta", ModelFamily.Roberta, "roberta.", 64)]
    public void A_directory_opens_with_its_sizes_prefix_and_head(string model, ModelFamily family, string prefix, int maxTokens)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture(model));

        Assert.Equal(family, checkpoint.Config.Family);
        Assert.Equal(prefix, checkpoint.Prefix);
        Assert.Equal(maxTokens, checkpoint.Config.MaxTokens);
        Assert.Equal(32, checkpoint.Config.HiddenSize);
        Assert.Equal(3, checkpoint.Config.Layers);
        Assert.Null(checkpoint.Modules);
        Assert.True(checkpoint.HasMaskedLanguageHead);
        MaskedLanguageHead head = checkpoint.ReadMaskedLanguageHead()!;
        Assert.Equal(32 * 32, head.DenseWeight.Length);
        Assert.Equal(checkpoint.Config.VocabularySize, head.DecoderBias.Length);
        Assert.Null(head.DecoderWeight);
    }

    [Theory]
    [InlineData("bert-cls-dense", Pooling.Cls, true, false)]
    [InlineData("roberta-mean", Pooling.Avg, false, true)]
    public void Modules_of_sentence_transformers_6_are_read(string model, Pooling pooling, bool head, bool normalize)
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("sentence-transformers-6", model));

        SentenceModules modules = checkpoint.Modules!;
        Assert.Equal(pooling, modules.Pooling);
        Assert.Equal(head, modules.Head is { Tanh: true, InFeatures: 32, OutFeatures: 32, Weight.Length: 1024, Bias.Length: 32 });
        Assert.Equal(normalize, modules.Normalize);
        Assert.Null(modules.MaxSequenceLength);
        Assert.Equal("", checkpoint.Prefix);
        Assert.False(checkpoint.HasMaskedLanguageHead);
    }

    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public void Pickle_and_safetensors_hold_the_same_tensors(string model)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        foreach (string name in (string[])["config.json", "pytorch_model.bin"])
        {
            File.Copy(RepositoryPaths.Fixture(model, name), Path.Combine(directory, name));
        }

        using Checkpoint pickled = Checkpoint.Open(directory);
        using Checkpoint safe = Checkpoint.Open(RepositoryPaths.Fixture(model));

        Assert.Equal(safe.Prefix, pickled.Prefix);
        foreach (TensorEntry tensor in safe.Tensors)
        {
            Assert.Equal(tensor.Shape, pickled.Find(tensor.Name)!.Shape);
            Assert.Equal(safe.ReadTensor(tensor.Name), pickled.ReadTensor(tensor.Name));
        }

        // The pickle holds the tied decoder twice; safetensors leaves it out.
        Assert.All(pickled.Tensors.Select(t => t.Name).Except(safe.Tensors.Select(t => t.Name), StringComparer.Ordinal), name => Assert.Contains("decoder", name, StringComparison.Ordinal));
        Assert.Null(pickled.ReadMaskedLanguageHead()!.DecoderWeight);
    }
}
