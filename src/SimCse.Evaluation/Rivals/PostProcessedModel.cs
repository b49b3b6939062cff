using SimCse.Checkpoints;

namespace SimCse.Evaluation.Rivals;

/// <summary>
/// Writes a model with a fitted map in it, as the dense module that follows pooling (2_Dense, activation Identity): sentence-transformers, this library and its ONNX
/// export apply it like any other.
/// </summary>
public static class PostProcessedModel
{
    /// <summary>Writes the directory; it appears in its place when it is whole.</summary>
    /// <param name="model">The model's directory, with weights.</param>
    /// <param name="pooling">The pooling whose vectors the map was fitted to.</param>
    /// <param name="map">From <see cref="PostProcessing.Fit"/>.</param>
    /// <param name="made">How the map was made, for the card.</param>
    /// <param name="output">The directory to write.</param>
    /// <exception cref="InvalidDataException">The model has a dense module there already, or a pooling that sentence-transformers cannot put one after.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(string model, Pooling pooling, DenseHead map, string made, string output)
    {
        ArgumentNullException.ThrowIfNull(map);
        using Checkpoint checkpoint = Checkpoint.Open(model);
        SentenceModules? modules = checkpoint.Modules;
        bool hasHead = modules is null
            ? pooling == Pooling.Cls && checkpoint.Find($"{checkpoint.Prefix}pooler.dense.weight") is not null
            : modules.Head is not null && pooling == modules.Pooling;
        if (hasHead)
        {
            throw new InvalidDataException($"{model}: a dense module follows its pooling {pooling.ToName()} already, and a directory holds one; expected a model without, or the pooling avg or cls_before_pooler");
        }

        if (pooling is not (Pooling.Cls or Pooling.ClsBeforePooler or Pooling.Avg))
        {
            throw new InvalidDataException($"{model}: no dense module can be stored after the pooling {pooling.ToName()}, which sentence-transformers does not have; expected avg, cls or cls_before_pooler");
        }

        string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(model)));
        CheckpointWriter.Write(output, new CheckpointContents
        {
            Source = model,
            Tensors = [.. checkpoint.Tensors.Select(t => checkpoint.Unchanged(t.Name))],
            Modules = new SentenceModules(pooling == Pooling.Avg ? Pooling.Avg : Pooling.Cls, map, modules?.Normalize ?? false, modules?.MaxSequenceLength, modules?.LowerCase),
            ModelCard = $"""
                ---
                pipeline_tag: sentence-similarity
                library_name: sentence-transformers
                tags:
                - sentence-transformers
                - feature-extraction
                base_model: {name}
                ---

                # {name}, {made}

                The weights are those of {name}. Its vectors of {map.InFeatures} components (pooling {pooling.ToName()}) go through a fitted linear map (2_Dense) to {map.OutFeatures}: {made}. Compare two texts by the cosine.

                """,
        });
    }
}
