using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace SimCse.Cli.Tests;

public class UseTests
{
    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    public async Task Tokenize_prints_the_reference_ids_and_tokens_one_json_line_a_text(string name)
    {
        TinyModel model = new(name);
        string[] command = ["tokenize", "--model", model.Directory, "--jsonl"];
        Outcome outcome = await SimCseProcess.ReadingAsync(model.SentencesAsJsonLines, command);
        string[] whole = outcome.Succeeded().Lines, cut = (await SimCseProcess.ReadingAsync(model.SentencesAsJsonLines, [.. command, "--max-length", "64"])).Succeeded().Lines;
        long[][] ids = model.Ids(); // cut at the model's 64 positions
        Assert.Equal(model.Sentences.Length, whole.Length);
        Assert.Equal(model.Sentences.Length, cut.Length);
        for (int i = 0; i < whole.Length; i++)
        {
            Assert.Equal(["ids", "tokens"], JsonNode.Parse(whole[i]).Names());
            Assert.Equal(model.Tokens[i], JsonNode.Parse(whole[i])!["tokens"].Texts());
            Assert.Equal(ids[i], JsonNode.Parse(cut[i])!["ids"]!.AsArray().Select(id => id!.GetValue<long>()));
        }

        Assert.Equal("", outcome.Error);
    }

    [Theory]
    [InlineData("tiny-bert", "avg_first_last")]
    [InlineData("tiny-roberta", "cls_before_pooler")]
    public async Task Rows_of_the_npy_equal_the_reference_vectors(string name, string pooling)
    {
        TinyModel model = new(name);
        string directory = RepositoryPaths.NewTemporaryDirectory();
        string output = Path.Combine(directory, "vectors.npy");
        Outcome outcome = await SimCseProcess.ReadingAsync(model.SentencesAsJsonLines, "embed", "--model", model.Directory, "--pooling", pooling, "--jsonl", "--output", output);
        Assert.Equal("", outcome.Succeeded().Output);
        AssertRows(model.Pooled(pooling), ReadNpy(output), 1e-5);
        Assert.Equal([output], Directory.GetFiles(directory));
    }

    [Theory]
    [InlineData("bert-cls-dense")]
    [InlineData("roberta-mean")]
    public async Task Without_a_pooling_vectors_are_those_of_sentence_transformers(string name)
    {
        string model = RepositoryPaths.Fixture("sentence-transformers-6", name);
        JsonNode reference = JsonNode.Parse(await File.ReadAllTextAsync(RepositoryPaths.Fixture("sentence-transformers-6", "vectors.json"), TestContext.Current.CancellationToken))!;
        string output = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "vectors.jsonl");
        string texts = string.Concat(reference["sentences"].Texts().Select(s => s + "\n"));
        (await SimCseProcess.ReadingAsync(texts, "embed", "--model", model, "--input", "-", "--output", output)).Succeeded();

        JsonNode[] rows = [.. (await File.ReadAllLinesAsync(output, TestContext.Current.CancellationToken)).Select(l => JsonNode.Parse(l)!)];
        Assert.Equal(reference["sentences"].Texts(), rows.Select(r => r["text"]!.GetValue<string>()).ToArray());
        AssertRows(Floats(reference["vectors"]![name]!), Floats(new JsonArray([.. rows.Select(r => r["embedding"]!.DeepClone())])), 1e-5);
    }

    [Theory]
    [InlineData("fp32", "model.onnx", 1e-5)]
    [InlineData("fp16", "model_fp16.onnx", 5e-3)]
    [InlineData("int8", "model_int8.onnx", 5e-2)]
    public async Task An_exported_directory_is_a_model_without_weights(string precision, string file, double tolerance)
    {
        TinyModel model = TinyModel.Bert;
        string directory = RepositoryPaths.NewTemporaryDirectory(), exported = Path.Combine(directory, "exported"), output = Path.Combine(directory, "vectors.npy");
        JsonObject json = (await SimCseProcess.RunAsync("export", "--model", model.Directory, "--pooling", "avg", "--precision", precision, "--output", exported, "--json")).Json();
        Assert.Equal(["file", "bytes", "precision"], json.Names());
        Assert.Equal(Path.Combine(exported, "onnx", file), json["file"]!.GetValue<string>());
        Assert.False(File.Exists(Path.Combine(exported, "model.safetensors")));

        (await SimCseProcess.ReadingAsync(model.SentencesAsJsonLines, "embed", "--model", exported, "--jsonl", "--output", output)).Succeeded();
        AssertRows(model.Pooled("avg"), ReadNpy(output), tolerance);
    }

    [Fact]
    public async Task A_text_that_must_not_be_cut_ends_the_command_with_its_line()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), input = Path.Combine(directory, "texts.txt"), output = Path.Combine(directory, "vectors.npy");
        await File.WriteAllTextAsync(input, $"short\n{string.Join(' ', Enumerable.Repeat("dogs", 100))}\n", TestContext.Current.CancellationToken);
        string[] command = ["embed", "--model", TinyModel.Bert.Directory, "--pooling", "avg", "--input", input, "--output", output];
        (await SimCseProcess.RunAsync([.. command, "--no-truncation"])).Failed(1, $"{input}:2: ", "more than 64 tokens");
        Assert.False(File.Exists(output));
        Assert.Contains("1 of 2 texts are longer than 64 tokens", (await SimCseProcess.RunAsync(command)).Succeeded().Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_empty_line_gives_a_vector_too_so_that_rows_stay_aligned()
    {
        TinyModel model = TinyModel.Bert;
        string directory = RepositoryPaths.NewTemporaryDirectory(), input = Path.Combine(directory, "texts.txt"), output = Path.Combine(directory, "vectors.tsv");
        int empty = Array.IndexOf(model.Sentences, ""), first = 0, last = 21;
        await File.WriteAllTextAsync(input, $"\n{model.Sentences[first]}\r\n\n\n{model.Sentences[last]}", TestContext.Current.CancellationToken);
        (await SimCseProcess.RunAsync("embed", "--model", model.Directory, "--pooling", "avg", "--input", input, "--output", output)).Succeeded();

        float[][] rows = [.. (await File.ReadAllLinesAsync(output, TestContext.Current.CancellationToken))
            .Select(l => l.Split('\t').Select(v => float.Parse(v, CultureInfo.InvariantCulture)).ToArray())];
        float[][] reference = model.Pooled("avg");
        AssertRows([reference[empty], reference[first], reference[empty], reference[empty], reference[last]], rows, 1e-5);
    }

    [Fact]
    public async Task Similarity_is_the_cosine_of_the_reference_vectors()
    {
        TinyModel model = TinyModel.Bert;
        float[][] vectors = model.Pooled("avg_top2");
        JsonObject json = (await SimCseProcess.RunAsync("similarity", model.Sentences[0], model.Sentences[18], "--model", model.Directory, "--pooling", "avg_top2", "--json")).Json();
        Assert.Equal(["similarity"], json.Names());
        Assert.Equal(TinyModel.Cosine(vectors[0], vectors[18]), json["similarity"]!.GetValue<double>(), 1e-5);
    }

    [Fact]
    public async Task Search_ranks_by_the_cosine_of_the_reference_vectors()
    {
        TinyModel model = TinyModel.Bert;
        string directory = RepositoryPaths.NewTemporaryDirectory(), input = Path.Combine(directory, "corpus.txt"), vectors = Path.Combine(directory, "corpus.npy");
        string[] corpus = model.Sentences[..20];
        await File.WriteAllLinesAsync(input, corpus, TestContext.Current.CancellationToken);
        string[] options = ["--model", model.Directory, "--pooling", "avg", "--input", input];
        (await SimCseProcess.RunAsync(["embed", .. options, "--output", vectors])).Succeeded();
        Outcome outcome = await SimCseProcess.RunAsync(["search", .. options, "--vectors", vectors, "--query", model.Sentences[22], "--query", model.Sentences[26], "--top", "3", "--json"]);
        Outcome encoded = await SimCseProcess.ReadingAsync($"{model.Sentences[22]}\n{model.Sentences[26]}\n", ["search", .. options, "--top", "3", "--json"]);

        JsonObject json = outcome.Json();
        Assert.True(JsonNode.DeepEquals(json, encoded.Json()));
        Assert.Equal(["results"], json.Names());
        float[][] reference = model.Pooled("avg");
        foreach ((JsonNode? result, int query) in json["results"]!.AsArray().Zip([22, 26]))
        {
            Assert.Equal(["query", "hits"], result.Names());
            Assert.Equal(model.Sentences[query], result!["query"]!.GetValue<string>());
            (int Row, double Score)[] expected = [.. Enumerable.Range(0, corpus.Length)
                .Select(row => (Row: row, Score: TinyModel.Cosine(reference[query], reference[row]))).OrderByDescending(hit => hit.Score).Take(3)];
            JsonObject[] hits = [.. result["hits"]!.AsArray().Select(h => h!.AsObject())];
            Assert.Equal(expected.Select(e => e.Row), hits.Select(h => h["row"]!.GetValue<int>()));
            Assert.Equal([.. expected.Select(e => corpus[e.Row])], hits.Select(h => h["text"]!.GetValue<string>()).ToArray());
            Assert.All(expected.Zip(hits), pair => Assert.Equal(pair.First.Score, pair.Second["score"]!.GetValue<double>(), 1e-5));
        }
    }

    [Fact]
    public async Task Search_answers_each_line_of_standard_input()
    {
        TinyModel model = TinyModel.Bert;
        string input = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "corpus.txt");
        await File.WriteAllLinesAsync(input, model.Sentences[..5], TestContext.Current.CancellationToken);
        Outcome outcome = await SimCseProcess.ReadingAsync($"{model.Sentences[3]}\n\n{model.Sentences[1]}\n", "search", "--model", model.Directory, "--pooling", "avg", "--input", input, "--top", "1");
        Assert.Equal([model.Sentences[3], $"  1.0000  4: {model.Sentences[3]}", model.Sentences[1], $"  1.0000  2: {model.Sentences[1]}"], outcome.Succeeded().Lines);
    }

    [Fact]
    public async Task Without_a_model_the_default_one_is_used()
    {
        double alike = (await SimCseProcess.RunAsync("similarity", "Reads all lines of a file.", "Reads every line of the file.", "--json")).Json()["similarity"]!.GetValue<double>();
        double unlike = (await SimCseProcess.RunAsync("similarity", "Reads all lines of a file.", "Rotates the matrix by an angle.", "--json")).Json()["similarity"]!.GetValue<double>();
        Assert.InRange(alike, unlike + 0.3, 1); // all-MiniLM-L6-v2 says 0.95 and 0.17
    }

    [Fact]
    public async Task A_hub_name_is_found_in_the_local_cache_and_not_downloaded()
    {
        string home = RepositoryPaths.NewTemporaryDirectory(), repository = Path.Combine(home, "hub", "models--acme--tiny"), snapshot = Path.Combine(repository, "snapshots", "0123abc");
        Directory.CreateDirectory(snapshot);
        Directory.CreateDirectory(Path.Combine(repository, "refs"));
        await File.WriteAllTextAsync(Path.Combine(repository, "refs", "main"), "0123abc", TestContext.Current.CancellationToken);
        foreach (string file in new[] { "tokenizer.json", "tokenizer_config.json" })
        {
            File.Copy(Path.Combine(TinyModel.Bert.Directory, file), Path.Combine(snapshot, file));
        }

        Assert.Single((await SimCseProcess.WithAsync(("HF_HOME", home), "x\n", "tokenize", "--model", "acme/tiny")).Succeeded().Lines);
        (await SimCseProcess.WithAsync(("HF_HOME", home), "x\n", "tokenize", "--model", "acme/other")).Failed(1, "acme/other", home, "not downloaded");
    }

    private static void AssertRows(float[][] expected, float[][] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int row = 0; row < expected.Length; row++)
        {
            Assert.Equal(expected[row].Length, actual[row].Length);
            for (int i = 0; i < expected[row].Length; i++)
            {
                Assert.True(Math.Abs(expected[row][i] - actual[row][i]) <= tolerance, $"row {row}, component {i}: {actual[row][i]}; expected {expected[row][i]}");
            }
        }
    }

    private static float[][] Floats(JsonNode rows) => [.. rows.AsArray().Select(row => row!.AsArray().Select(v => v!.GetValue<float>()).ToArray())];

    /// <summary>NumPy's format read by hand: magic, version, length of the header, the header, little-endian float32.</summary>
    private static float[][] ReadNpy(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal("\u0093NUMPY\u0001\0", Encoding.Latin1.GetString(bytes, 0, 8));
        int start = 10 + BinaryPrimitives.ReadUInt16LittleEndian(bytes.AsSpan(8));
        Assert.Equal(0, start % 64);
        string header = Encoding.Latin1.GetString(bytes, 10, start - 10);
        Assert.StartsWith("{'descr': '<f4', 'fortran_order': False, 'shape': (", header, StringComparison.Ordinal);
        int[] shape = [.. header.Split('(')[1].Split(')')[0].Split(',').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];
        float[] values = [.. bytes[start..].Chunk(4).Select(b => BinaryPrimitives.ReadSingleLittleEndian(b))];
        Assert.Equal(shape[0] * shape[1], values.Length);
        return [.. values.Chunk(shape[1])];
    }
}
