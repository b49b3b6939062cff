using Onnx;
using SimCse.Inference;

namespace SimCse.Tests.Inference;

public sealed class OnnxExportTests
{
    private static readonly string[] s_smallFiles = ["config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "modules.json", "1_Pooling", "2_Dense", "sentence_bert_config.json", "config_sentence_transformers.json"];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg)]
    [InlineData("tiny-bert", Pooling.ClsBeforePooler)]
    [InlineData("tiny-bert", Pooling.AvgTop2)]
    [InlineData("tiny-roberta", Pooling.AvgFirstLast)]
    [InlineData("tiny-roberta", Pooling.StaticFirstLast)]
    public void A_directory_with_the_file_and_no_weights_gives_the_reference_vectors(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        string directory = Exported(goldens.ModelDirectory, new() { Pooling = pooling });
        using SentenceEncoder encoder = SentenceEncoder.Load(directory); // the pooling is in the file

        Assert.Equal(pooling, encoder.Pooling);
        VectorAssert.Close(goldens.Floats($"pooled.{pooling.ToName()}"), encoder.Encode(goldens.Sentences, Cancellation).Values);
    }

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg)]
    [InlineData("tiny-roberta", Pooling.ClsBeforePooler)]
    public void Token_vectors_of_a_file_from_elsewhere_are_pooled_to_the_reference_vectors(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        string directory = Exported(goldens.ModelDirectory, new() { Pooling = Pooling.Avg });
        LikeTransformersJs(Path.Combine(directory, "onnx", "model.onnx"), EncoderGraph.LastHiddenState);
        using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Pooling = pooling });

        VectorAssert.Close(goldens.Floats($"pooled.{pooling.ToName()}"), encoder.Encode(goldens.Sentences, Cancellation).Values);
        VectorAssert.Close(goldens.Floats($"pooled.{pooling.ToName()}").AsSpan(0, 32), encoder.Encode(goldens.Sentences[0]));
    }

    [Theory]
    [InlineData("bert-cls-dense", EncoderGraph.SentenceEmbedding)]
    [InlineData("bert-cls-dense", EncoderGraph.LastHiddenState)] // head and tanh outside the graph
    [InlineData("roberta-mean", EncoderGraph.SentenceEmbedding)]
    [InlineData("roberta-mean", EncoderGraph.LastHiddenState)]
    public void Either_output_gives_the_vectors_of_sentence_transformers(string name, string output)
    {
        (string[] sentences, float[] expected) = SentenceTransformersVectors.Read(name);
        string directory = Exported(RepositoryPaths.Fixture("sentence-transformers-6", name), new() { Normalize = null });
        LikeTransformersJs(Path.Combine(directory, "onnx", "model.onnx"), output);
        using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Normalize = null });

        VectorAssert.Close(expected, encoder.Encode(sentences, Cancellation).Values);
    }

    [Fact]
    public void Half_precision_halves_the_file_and_keeps_the_cosines()
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        string whole = Exported(goldens.ModelDirectory, new() { Pooling = Pooling.Avg }), half = Exported(goldens.ModelDirectory, new() { Pooling = Pooling.Avg, Precision = OnnxPrecision.Fp16 });
        using SentenceEncoder encoder = SentenceEncoder.Load(half);
        using SentenceEncoder memory = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = Pooling.Avg, Precision = OnnxPrecision.Fp16 });

        VectorAssert.Close(encoder.Encode(goldens.Sentences, Cancellation).Values, memory.Encode(goldens.Sentences, Cancellation).Values);
        Assert.InRange((double)Length(half, OnnxPrecision.Fp16) / Length(whole, OnnxPrecision.Fp32), 0.4, 0.7); // of a model so small, the graph itself is a good part
        VectorAssert.Close(goldens.Floats("pooled.avg"), encoder.Encode(goldens.Sentences, Cancellation).Values, tolerance: 5e-3f);
    }

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg)]
    [InlineData("tiny-bert", Pooling.ClsBeforePooler)]
    [InlineData("tiny-roberta", Pooling.AvgFirstLast)]
    public void Int8_is_near_the_reference_and_the_same_from_memory_and_from_the_file(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        using SentenceEncoder memory = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = pooling, Precision = OnnxPrecision.Int8 });
        using SentenceEncoder file = SentenceEncoder.Load(Exported(goldens.ModelDirectory, new() { Pooling = pooling, Precision = OnnxPrecision.Int8 }));

        EmbeddingMatrix vectors = memory.Encode(goldens.Sentences, Cancellation);

        VectorAssert.Close(vectors.Values, file.Encode(goldens.Sentences, Cancellation).Values);
        float[] expected = goldens.Floats($"pooled.{pooling.ToName()}");
        for (int i = 0; i < vectors.Count; i++)
        {
            Assert.InRange(System.Numerics.Tensors.TensorPrimitives.CosineSimilarity(vectors[i], expected.AsSpan(i * vectors.Dimensions, vectors.Dimensions)), 0.995f, 1.0001f);
        }
    }

    [Theory]
    [InlineData("tiny-bert", Pooling.Avg)]
    [InlineData("tiny-bert", Pooling.ClsBeforePooler)]
    [InlineData("tiny-roberta", Pooling.Avg)]
    public void An_int8_vector_is_the_same_alone_and_in_any_batch(string model, Pooling pooling)
    {
        using Goldens goldens = Goldens.Open(model);
        string[] sentences = [.. goldens.Sentences, .. goldens.Sentences.Select(s => $"the {s}"), .. goldens.Sentences];
        using SentenceEncoder encoder = SentenceEncoder.Load(goldens.ModelDirectory, new() { Pooling = pooling, Precision = OnnxPrecision.Int8, BatchTokens = 100_000 });

        EmbeddingMatrix together = encoder.Encode(sentences, Cancellation);

        for (int i = 0; i < sentences.Length; i++)
        {
            VectorAssert.Close(together[i], encoder.Encode(sentences[i]));
        }
    }

    [Fact]
    public void Weights_have_a_scale_a_column_and_no_zero_point()
    {
        Int8Matrix columns = Int8Matrix.ScaledByColumn([1f, -20, 0, -0.5f, 10, 0], 2, 3);
        Assert.Equal([127, -127, 0, -64, 64, 0], columns.Values.Select(v => (int)v));
        Assert.Equal([1f / 127, 20f / 127, 0], columns.Scales);

        Int8Matrix rows = Int8Matrix.ScaledByRow([1f, -20, 0, 0], 2, 2);
        Assert.Equal([6, -127, 0, 0], rows.Values.Select(v => (int)v));
        Assert.Equal([20f / 127, 0], rows.Scales);
    }

    [Fact]
    public void Stsb_dev_of_int8_is_within_0_3_of_float32()
    {
        string[][] rows = [.. File.ReadLines(RepositoryPaths.Shared("data", "stsb", "dev.tsv")).Skip(1).Select(line => line.Split('\t'))];
        string model = RepositoryPaths.Shared("models", "all-MiniLM-L6-v2");
        double[] gold = [.. rows.Select(row => double.Parse(row[0], System.Globalization.CultureInfo.InvariantCulture))];

        Assert.InRange(Spearman(OnnxPrecision.Int8), 86.7163 - 0.3, 86.7163 + 0.3); // docs/results.md, section 5: the reference's figure

        double Spearman(OnnxPrecision precision)
        {
            using SentenceEncoder encoder = SentenceEncoder.Load(model, new() { Precision = precision });
            EmbeddingMatrix a = encoder.Encode([.. rows.Select(row => row[1])], Cancellation), b = encoder.Encode([.. rows.Select(row => row[2])], Cancellation);
            return 100 * RankCorrelation([.. rows.Select((_, i) => (double)System.Numerics.Tensors.TensorPrimitives.CosineSimilarity(a[i], b[i]))], gold);
        }
    }

    [Fact]
    public void A_file_that_rounds_by_the_batch_runs_every_text_alone()
    {
        using Goldens goldens = Goldens.Open("tiny-bert");
        string directory = Exported(goldens.ModelDirectory, new() { Pooling = Pooling.Avg });
        string path = Path.Combine(directory, "onnx", "model.onnx");
        Assert.False(OnnxModelFile.QuantizesByBatch(path));

        QuantizeActivationsByTensor(path);

        Assert.True(OnnxModelFile.QuantizesByBatch(path));
        using SentenceEncoder encoder = SentenceEncoder.Load(directory);
        EmbeddingMatrix together = encoder.Encode(goldens.Sentences, Cancellation);
        Assert.All(Enumerable.Range(0, together.Count), i => VectorAssert.Close(together[i], encoder.Encode(goldens.Sentences[i])));
    }

    [Fact]
    public void The_first_components_alone_are_those_of_the_whole_vector_scaled_again()
    {
        string model = RepositoryPaths.Fixture("sentence-transformers-6", "roberta-mean");
        (string[] sentences, float[] expected) = SentenceTransformersVectors.Read("roberta-mean");
        int h = expected.Length / sentences.Length;
        foreach (string directory in new[] { model, Exported(model, new() { Normalize = null }), Exported(model, new() { Normalize = null, Dimensions = 8 }) })
        {
            using SentenceEncoder encoder = SentenceEncoder.Load(directory, new() { Normalize = null, Dimensions = 8 });
            EmbeddingMatrix vectors = encoder.Encode(sentences, Cancellation);
            Assert.Equal(8, vectors.Dimensions);
            for (int i = 0; i < sentences.Length; i++)
            {
                float[] first = expected[(i * h)..((i * h) + 8)];
                float length = MathF.Sqrt(first.Sum(x => x * x));
                VectorAssert.Close([.. first.Select(x => x / length)], vectors[i]);
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => SentenceEncoder.Load(model, new() { Dimensions = h + 1 }));
    }

    [Fact]
    public void What_a_file_cannot_give_is_said_in_one_line()
    {
        string directory = Exported(RepositoryPaths.Fixture("tiny-bert"), new() { Pooling = Pooling.Avg });
        string path = Path.Combine(directory, "onnx", "model.onnx");

        Assert.Contains("'avg_top2' cannot be computed", Error(new() { Pooling = Pooling.AvgTop2 }), StringComparison.Ordinal);
        Assert.Contains("int8", Assert.Throws<FileNotFoundException>(() => SentenceEncoder.Load(directory, new() { Precision = OnnxPrecision.Int8 })).Message, StringComparison.Ordinal);
        Assert.Contains("absent.onnx", Assert.Throws<FileNotFoundException>(() => SentenceEncoder.Load(directory, new() { OnnxFile = "absent.onnx" })).Message, StringComparison.Ordinal);
        byte[] bytes = File.ReadAllBytes(path);
        File.WriteAllBytes(path, bytes[..(bytes.Length / 2)]);
        Assert.Contains(path, Error(new()), StringComparison.Ordinal);

        string Error(SentenceEncoderOptions options)
        {
            string message = Assert.Throws<InvalidDataException>(() => SentenceEncoder.Load(directory, options)).Message;
            Assert.DoesNotContain('\n', message);
            return message;
        }
    }

    /// <summary>A directory with the model's small files and its ONNX file, without weights.</summary>
    private static string Exported(string model, SentenceEncoderOptions options)
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        foreach (string name in s_smallFiles)
        {
            string from = Path.Combine(model, name);
            if (File.Exists(from))
            {
                File.Copy(from, Path.Combine(directory, name));
            }
            else if (Directory.Exists(from))
            {
                Directory.CreateDirectory(Path.Combine(directory, name));
                foreach (string file in Directory.GetFiles(from))
                {
                    File.Copy(file, Path.Combine(directory, name, Path.GetFileName(file)));
                }
            }
        }

        OnnxExport.Write(model, OnnxExport.PlaceIn(directory, options.Precision ?? OnnxPrecision.Fp32), options);
        return directory;
    }

    private static long Length(string directory, OnnxPrecision precision) => new FileInfo(OnnxExport.PlaceIn(directory, precision)).Length;

    /// <summary>Makes the file one from elsewhere: with token types among the inputs, one output, and no word of ours.</summary>
    private static void LikeTransformersJs(string path, string output)
    {
        ModelProto model = ModelProto.Parser.ParseFrom(File.ReadAllBytes(path));
        model.MetadataProps.Clear();
        ValueInfoProto types = model.Graph.Input[0].Clone();
        types.Name = "token_type_ids";
        model.Graph.Input.Add(types);
        ValueInfoProto kept = model.Graph.Output.Single(o => string.Equals(o.Name, output, StringComparison.Ordinal));
        model.Graph.Output.Clear();
        model.Graph.Output.Add(kept);
        File.WriteAllBytes(path, Google.Protobuf.MessageExtensions.ToByteArray(model));
    }

    /// <summary>Rounds the last layer's output to 8 bits with one scale for the whole tensor, as dynamic quantisation does.</summary>
    private static void QuantizeActivationsByTensor(string path)
    {
        ModelProto model = ModelProto.Parser.ParseFrom(File.ReadAllBytes(path));
        NodeProto last = model.Graph.Node.Single(node => node.Output.Contains(EncoderGraph.HiddenState(3)));
        last.Output[0] = "unrounded";
        int at = model.Graph.Node.IndexOf(last) + 1;
        model.Graph.Node.Insert(at, new NodeProto { OpType = "DynamicQuantizeLinear", Input = { "unrounded" }, Output = { "q", "s", "z" } });
        model.Graph.Node.Insert(at + 1, new NodeProto { OpType = "DequantizeLinear", Input = { "q", "s", "z" }, Output = { EncoderGraph.HiddenState(3) } });
        File.WriteAllBytes(path, Google.Protobuf.MessageExtensions.ToByteArray(model));
    }

    private static double RankCorrelation(double[] x, double[] y)
    {
        double[] a = Ranks(x), b = Ranks(y);
        double mean = (x.Length + 1) / 2.0, product = 0, first = 0, second = 0;
        for (int i = 0; i < x.Length; i++)
        {
            product += (a[i] - mean) * (b[i] - mean);
            first += (a[i] - mean) * (a[i] - mean);
            second += (b[i] - mean) * (b[i] - mean);
        }

        return product / Math.Sqrt(first * second);

        static double[] Ranks(double[] values)
        {
            double[] ranks = new double[values.Length];
            int[] order = [.. Enumerable.Range(0, values.Length).OrderBy(i => values[i])];
            for (int start = 0, end; start < order.Length; start = end)
            {
                for (end = start + 1; end < order.Length && values[order[end]] == values[order[start]]; end++)
                {
                }

                for (int i = start; i < end; i++)
                {
                    ranks[order[i]] = (start + 1 + end) / 2.0;
                }
            }

            return ranks;
        }
    }
}
