using System.Text.Json;
using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;

namespace SimCse.Extensions.AI.Tests;

public sealed class SentenceEmbeddingGeneratorTests
{
    private static readonly string s_model = RepositoryPaths.Fixture("sentence-transformers-6", "roberta-mean");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_generator_from_the_container_gives_the_vectors_of_sentence_transformers()
    {
        (string[] sentences, float[][] expected) = Reference();
        await using ServiceProvider services = new ServiceCollection().AddSimCse(s_model).BuildServiceProvider();
        IEmbeddingGenerator<string, Embedding<float>> generator = services.GetRequiredService<IEmbeddingGenerator<string, Embedding<float>>>();

        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(sentences, cancellationToken: Cancellation);

        Assert.Equal(sentences.Length, embeddings.Count);
        Assert.All(embeddings.Zip(expected), pair => Close(pair.Second, pair.First.Vector.Span));
        Assert.All(embeddings, embedding => Assert.Equal("roberta-mean", embedding.ModelId));
        ReadOnlyMemory<float> alone = await generator.GenerateVectorAsync(sentences[0], cancellationToken: Cancellation);
        Close(expected[0], alone.Span);
        Assert.Same(services.GetRequiredService<SentenceEncoder>(), services.GetRequiredService<ISentenceEncoder>());
        Assert.Same(services.GetRequiredService<SentenceEncoder>(), generator.GetService<SentenceEncoder>());
    }

    [Fact]
    public async Task Fewer_dimensions_are_the_first_ones_scaled_to_length_one()
    {
        (string[] sentences, float[][] expected) = Reference();
        using SentenceEmbeddingGenerator generator = new(SentenceEncoder.Load(s_model, new() { Normalize = true }), "m");

        GeneratedEmbeddings<Embedding<float>> embeddings = await generator.GenerateAsync(sentences, new EmbeddingGenerationOptions { Dimensions = 8 }, Cancellation);

        Assert.All(embeddings.Zip(expected), pair =>
        {
            float length = MathF.Sqrt(pair.Second.Take(8).Sum(x => x * x));
            Close([.. pair.Second.Take(8).Select(x => x / length)], pair.First.Vector.Span);
        });
    }

    [Fact]
    public async Task The_metadata_say_what_the_model_is_and_another_model_is_refused()
    {
        using SentenceEmbeddingGenerator generator = new(SentenceEncoder.Load(s_model), "m");
        EmbeddingGeneratorMetadata metadata = generator.GetService<EmbeddingGeneratorMetadata>()!;

        Assert.Equal(("simcse", "m", generator.GetService<SentenceEncoder>()!.Dimensions), (metadata.ProviderName, metadata.DefaultModelId, metadata.DefaultModelDimensions));
        await Assert.ThrowsAsync<ArgumentException>(() => generator.GenerateAsync(["x"], new EmbeddingGenerationOptions { ModelId = "other" }, Cancellation));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => generator.GenerateAsync(["x"], new EmbeddingGenerationOptions { Dimensions = 4096 }, Cancellation));
    }

    private static (string[] Sentences, float[][] Vectors) Reference()
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(RepositoryPaths.Fixture("sentence-transformers-6", "vectors.json")));
        return ([.. json.RootElement.GetProperty("sentences").EnumerateArray().Select(sentence => sentence.GetString()!)],
            [.. json.RootElement.GetProperty("vectors").GetProperty("roberta-mean").EnumerateArray().Select(row => row.EnumerateArray().Select(value => value.GetSingle()).ToArray())]);
    }

    private static void Close(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], 1e-5f);
        }
    }
}
