using Microsoft.Extensions.AI;
using SimCse;
using SimCse.Extensions.AI;

namespace Microsoft.Extensions.DependencyInjection;

/// <summary>Registers a model for dependency injection.</summary>
public static class SimCseServiceCollectionExtensions
{
    /// <summary>The same with the default model, which the package SimCse.Model.Small puts beside the application.</summary>
    /// <param name="services">The application's services.</param>
    /// <param name="options">As for <see cref="SentenceEncoder.Load"/>; null for vectors of length one.</param>
    /// <returns><paramref name="services"/>.</returns>
    /// <exception cref="DirectoryNotFoundException">The package is not installed.</exception>
    public static IServiceCollection AddSimCse(this IServiceCollection services, SentenceEncoderOptions? options = null) => services.AddSimCse(DefaultModel.Find(), options);

    /// <summary>
    /// Adds one <see cref="SentenceEncoder"/> for the application, also as <see cref="ISentenceEncoder"/> and as
    /// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> of <see cref="string"/> and <see cref="Embedding{T}"/> of <see cref="float"/>. It is loaded when it is first asked for, and its vectors have length one
    /// where the options say nothing else.
    /// </summary>
    /// <param name="services">The application's services.</param>
    /// <param name="directory">The model's directory.</param>
    /// <param name="options">As for <see cref="SentenceEncoder.Load"/>; null for what the directory says, with vectors of length one.</param>
    /// <returns><paramref name="services"/>.</returns>
    public static IServiceCollection AddSimCse(this IServiceCollection services, string directory, SentenceEncoderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrEmpty(directory);
        return services.AddSimCse(() => SentenceEncoder.Load(directory, options ?? new SentenceEncoderOptions { Normalize = true }), Path.GetFileName(Path.TrimEndingDirectorySeparator(directory)));
    }

    /// <summary>The same with an encoder that the application opens, such as one whose opening began when the process did: <c>Task.Run(() => new SentenceEncoder())</c>, before the web server is built.</summary>
    /// <param name="services">The application's services.</param>
    /// <param name="open">Gives the encoder when it is first asked for; it is disposed of with the services.</param>
    /// <param name="name">What the model is called; null for no name.</param>
    /// <returns><paramref name="services"/>.</returns>
    public static IServiceCollection AddSimCse(this IServiceCollection services, Func<SentenceEncoder> open, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(open);
        services.AddSingleton(_ => open());
        services.AddSingleton<ISentenceEncoder>(provider => provider.GetRequiredService<SentenceEncoder>());
        services.AddSingleton<IEmbeddingGenerator<string, Embedding<float>>>(provider => new SentenceEmbeddingGenerator(provider.GetRequiredService<SentenceEncoder>(), name));
        return services;
    }
}
