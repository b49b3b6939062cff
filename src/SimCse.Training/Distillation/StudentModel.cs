using System.Numerics.Tensors;
using SimCse.Checkpoints;
using SimCse.Tokenization;
using SimCse.Training.Modeling;

namespace SimCse.Training.Distillation;

/// <summary>
/// A new encoder as a model directory, to be trained to give a teacher's vectors: weights at random, as BERT's are drawn, but for the table of words, which starts from what the teacher says of each alone, or
/// from another student's.
/// </summary>
public static class StudentModel
{
    private const string Embeddings = "embeddings.";

    /// <summary>Writes a student whose table of words, positions and layer norm over them are those of another one, such as one without layers.</summary>
    /// <param name="directory">Where; a model that is there is replaced.</param>
    /// <param name="options">Shape and seed; vocabulary and positions are those of <paramref name="source"/>.</param>
    /// <param name="source">The other student.</param>
    /// <exception cref="InvalidDataException">Its vectors have another width.</exception>
    public static void Write(string directory, PretrainingOptions options, Checkpoint source)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(source);
        if (source.Config.HiddenSize != options.HiddenSize)
        {
            throw new InvalidDataException($"{source.Directory}: its token vectors have {source.Config.HiddenSize} components; expected {options.HiddenSize}, as --hidden-size says");
        }

        EncoderConfig config = options.Encoder(Tokenizer.Load(source.Directory)) with { MaxPositions = source.Config.MaxPositions };
        using SimCseModel model = SimCseModel.FromConfig(config, options.Pooling, Precision.Fp32, options.Seed);
        foreach (TensorEntry tensor in EncoderTensors.For(config).Where(t => t.Name.StartsWith(Embeddings, StringComparison.Ordinal)))
        {
            model.Parameters.Write(tensor.Name, source.ReadEncoderTensor(tensor.Name));
        }

        Write(directory, source.Directory, model);
    }

    /// <summary>
    /// Writes a student whose words start from the teacher. The vector of a word is P (t − t̄), scaled so that its components deviate by four times the initialiser range, with t the teacher's vector of the token's text, t̄ the mean over the
    /// vocabulary and P the projection of the targets. Special tokens are drawn like everything else.
    /// </summary>
    /// <param name="directory">Where; a model that is there is replaced.</param>
    /// <param name="tokenizerDirectory">The folder with the tokenizer's files, which are copied.</param>
    /// <param name="options">Shape and seed.</param>
    /// <param name="teacherDirectory">The teacher.</param>
    /// <param name="vocabularyFile">Where the teacher's vectors of the vocabulary are kept.</param>
    /// <param name="targets">Whose projection is used.</param>
    /// <param name="cancellationToken">Stops while the teacher computes.</param>
    public static void Write(
        string directory, string tokenizerDirectory, PretrainingOptions options, string teacherDirectory, string vocabularyFile, TeacherTargets targets, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(targets);
        Tokenizer tokenizer = Tokenizer.Load(tokenizerDirectory);
        EncoderConfig config = options.Encoder(tokenizer);
        using SimCseModel model = SimCseModel.FromConfig(config, options.Pooling, Precision.Fp32, options.Seed);
        int[] words = [.. Enumerable.Range(0, tokenizer.VocabularySize).Where(id => !tokenizer.IsSpecial(id))];
        using (TeacherVectors vectors = TeacherVectors.Compute(vocabularyFile, teacherDirectory, () => words.Select(id => TextOf(tokenizer.TokenOf(id))), cancellationToken: cancellationToken))
        {
            float[] table = model.Parameters.Read(EncoderTensors.WordEmbeddings); // (V, H)
            float[] projected = [.. targets.Project(vectors).Values]; // (W, H)
            Center(projected, config.HiddenSize);
            float scale = (float)(4 * config.InitializerRange / Math.Sqrt(TensorPrimitives.SumOfSquares<float>(projected) / projected.Length));
            for (int w = 0; w < words.Length; w++)
            {
                TensorPrimitives.Multiply(projected.AsSpan(w * config.HiddenSize, config.HiddenSize), scale, table.AsSpan(words[w] * config.HiddenSize, config.HiddenSize));
            }

            model.Parameters.Write(EncoderTensors.WordEmbeddings, table);
        }

        Write(directory, tokenizerDirectory, model);
    }

    private static void Write(string directory, string tokenizerDirectory, SimCseModel model) => CheckpointWriter.Write(directory, new CheckpointContents
    {
        Source = tokenizerDirectory,
        Tensors = [.. EncoderTensors.For(model.Config).Select(t => TensorToWrite.FromFloats(t.Name, t.Shape, () => model.Parameters.Read(t.Name)))],
        Files = new Dictionary<string, ReadOnlyMemory<byte>>(StringComparer.Ordinal) { ["config.json"] = model.Config.ToJson() },
    });

    /// <summary>What a piece of a word is as a text: without WordPiece's mark of a continuation.</summary>
    private static string TextOf(string token) => token.StartsWith("##", StringComparison.Ordinal) ? token[2..] : token;

    private static void Center(Span<float> rows, int width)
    {
        int count = rows.Length / width;
        float[] mean = new float[width];
        for (int r = 0; r < count; r++)
        {
            TensorPrimitives.Add(mean, rows.Slice(r * width, width), mean);
        }

        TensorPrimitives.Divide(mean, count, mean);
        for (int r = 0; r < count; r++)
        {
            TensorPrimitives.Subtract(rows.Slice(r * width, width), mean, rows.Slice(r * width, width));
        }
    }
}
