using SimCse.Checkpoints;
using SimCse.Inference;
using SimCse.Tokenization;

namespace SimCse;

/// <summary>
/// Writes a model as one ONNX file, for ONNX Runtime wherever it runs: this library without the weights, onnxruntime in other languages, transformers.js. Inputs are
/// <c>input_ids</c> and <c>attention_mask</c>, int64, (batch, sequence); outputs <c>last_hidden_state</c>, (batch, sequence, H), and <c>sentence_embedding</c>, (batch, H): pooled, through the
/// head and normalised as the options and the directory say. The graph uses ONNX Runtime's own operators (com.microsoft), so it needs ONNX Runtime.
/// </summary>
public static class OnnxExport
{
    /// <summary>What goes with the graph into a directory.</summary>
    private static readonly string[] s_beside =
    [
        "config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt",
        "modules.json", "1_Pooling", "2_Dense", "2_Normalize", "3_Normalize", "sentence_bert_config.json", "config_sentence_transformers.json", "README.md",
    ];

    /// <summary>Where the file belongs so that <see cref="SentenceEncoder.Load"/> and transformers.js find it: <c>onnx/model.onnx</c> in the directory, <c>onnx/model_fp16.onnx</c>, <c>onnx/model_int8.onnx</c>.</summary>
    public static string PlaceIn(string directory, OnnxPrecision precision) => OnnxModelFile.PlaceOf(directory, precision);

    /// <summary>
    /// Writes a directory to ship: the file, and of the model's directory what is needed with it, its configuration, tokenizer and sentence-transformers files and its card, without the weights.
    /// It appears in its place when it is whole; a model that is there is replaced.
    /// </summary>
    /// <param name="directory">The model directory, with weights.</param>
    /// <param name="target">The directory to write.</param>
    /// <param name="options">As for <see cref="Write"/>.</param>
    /// <exception cref="InvalidDataException">As for <see cref="Write"/>.</exception>
    /// <exception cref="IOException">A file is missing; or the target is there and is not a model's directory.</exception>
    public static void WriteDirectory(string directory, string target, SentenceEncoderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentException.ThrowIfNullOrEmpty(target);
        AtomicDirectory.Write(Path.TrimEndingDirectorySeparator(Path.GetFullPath(target)), existing => File.Exists(Path.Combine(existing, "config.json")), beside =>
        {
            Write(directory, PlaceIn(beside, options?.Precision ?? OnnxPrecision.Fp32), options);
            foreach (string name in s_beside)
            {
                string from = Path.Combine(directory, name);
                if (File.Exists(from))
                {
                    Copy(from, Path.Combine(beside, name));
                }
                else if (Directory.Exists(from))
                {
                    Directory.CreateDirectory(Path.Combine(beside, name));
                    foreach (string file in Directory.GetFiles(from))
                    {
                        Copy(file, Path.Combine(beside, name, Path.GetFileName(file)));
                    }
                }
            }
        });

        static void Copy(string from, string to)
        {
            // Contents alone: a model that is write-protected makes no export that cannot be replaced.
            using FileStream source = new(from, FileMode.Open, FileAccess.Read, FileShare.Read), copy = new(to, FileMode.CreateNew);
            source.CopyTo(copy);
        }
    }

    /// <summary>Writes the file, beside its place and then renamed into it.</summary>
    /// <param name="directory">The model directory, with weights.</param>
    /// <param name="path">The file's place; its folder is made where it is missing.</param>
    /// <param name="options">Precision, pooling, normalisation and dimensions; null for what the directory says, in float32.</param>
    /// <exception cref="InvalidDataException">As <see cref="SentenceEncoder.Load"/>; or the weights exceed the 2 GB that one ONNX file holds.</exception>
    /// <exception cref="IOException">A file is missing, or the place cannot be written.</exception>
    public static void Write(string directory, string path, SentenceEncoderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        ArgumentException.ThrowIfNullOrEmpty(path);
        options ??= new SentenceEncoderOptions { Normalize = null };
        OnnxPrecision precision = options.Precision ?? OnnxPrecision.Fp32;
        Task<Tokenizer> tokenizer = Task.Run(() => Tokenizer.Load(directory));
        using Checkpoint checkpoint = Checkpoint.Open(directory);
        EncoderSetup setup = EncoderSetup.Read(directory, tokenizer, checkpoint, options);
        OnnxGraph graph = EncoderGraph.Build(checkpoint, setup.Pooling, setup.Head, setup.Normalize, precision, setup.Dimensions, tokenVectors: true);
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        AtomicFile.Write(path, stream => graph.Write(stream, new Dictionary<string, string>(StringComparer.Ordinal)
        {
            [OnnxModelFile.PoolingKey] = setup.Pooling.ToName(),
            [OnnxModelFile.NormalizedKey] = setup.Normalize ? "true" : "false",
            [OnnxModelFile.PrecisionKey] = precision.ToName(),
        }));
    }
}
