using System.Text;

namespace SimCse.Cli.Tests;

public class ErrorTests
{
    [Theory]
    [InlineData("no command given")]
    [InlineData("'frobnicate' is not a command", "frobnicate")]
    [InlineData("--data", "train", "--output", "o")]
    [InlineData("--frobnicate", "tokenize", "--frobnicate")]
    [InlineData("--batch-size is 'many'; expected a whole number", "train", "--data", "d", "--output", "o", "--batch-size", "many")]
    [InlineData("--batch-size is 1; expected at least 2", "train", "--data", "d", "--output", "o", "--batch-size", "1")]
    [InlineData("--temperature is 'NaN'; expected a number", "train", "--data", "d", "--output", "o", "--temperature", "NaN")]
    [InlineData("--pooling is 'max'; expected one of cls, cls_before_pooler", "train", "--data", "d", "--output", "o", "--pooling", "max")]
    [InlineData("--mlp-only-train", "train", "--data", "d", "--output", "o", "--pooling", "avg", "--mlp-only-train")]
    [InlineData("'STS99'", "evaluate", "--data", ".", "--suite", "STS99")]
    [InlineData("exclude each other", "evaluate", "--data", ".", "--json", "--markdown")]
    [InlineData("'B'", "similarity", "A")]
    [InlineData("--precision is 'int4'; expected one of fp32, fp16, int8", "export", "--precision", "int4")]
    [InlineData("Dimensions must be from 1 to 256, the components that the model gives; it is 257", "similarity", "A", "B", "--dimensions", "257")]
    [InlineData(".npy, .jsonl, .tsv or .parquet", "embed", "--output", "vectors.csv")]
    [InlineData("--top is '0'; expected a whole number of at least 1", "search", "--input", "x", "--top", "0")]
    public async Task Wrong_usage_ends_with_status_2_and_one_line(string message, params string[] arguments) =>
        (await SimCseProcess.RunAsync(arguments)).Failed(2, message);

    [Fact]
    public async Task A_missing_or_damaged_model_ends_with_status_1_and_one_line()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        (await SimCseProcess.RunAsync("similarity", "a", "b", "--model", "./nowhere")).Failed(1, "./nowhere: no such directory");
        (await SimCseProcess.RunAsync("similarity", "a", "b", "--model", directory)).Failed(1, "config.json");
        (await SimCseProcess.RunAsync("similarity", "a", "b", "--model", TinyModel.Bert.Directory)).Failed(1, "no pooling is stored", "--pooling", "avg_first_last");

        foreach (string file in Directory.GetFiles(TinyModel.Bert.Directory))
        {
            File.Copy(file, Path.Combine(directory, Path.GetFileName(file)));
        }

        string weights = Path.Combine(directory, "model.safetensors");
        byte[] bytes = await File.ReadAllBytesAsync(weights, TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(weights, bytes[..^100], TestContext.Current.CancellationToken);
        (await SimCseProcess.RunAsync("similarity", "a", "b", "--model", directory, "--pooling", "avg")).Failed(1, weights);
        BitConverter.GetBytes(long.MaxValue).CopyTo(bytes, 0);
        await File.WriteAllBytesAsync(weights, bytes, TestContext.Current.CancellationToken);
        (await SimCseProcess.RunAsync("train", "--model", directory, "--data", weights, "--output", Path.Combine(directory, "o"))).Failed(1, weights);
    }

    [Fact]
    public async Task Bad_texts_end_with_status_1_and_say_file_and_line()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), output = Path.Combine(directory, "out.npy"), bert = TinyModel.Bert.Directory;
        string latin = Path.Combine(directory, "latin.txt"), table = Path.Combine(directory, "table.tsv"), gap = Path.Combine(directory, "gap.txt"), json = Path.Combine(directory, "bad.jsonl");
        await File.WriteAllBytesAsync(latin, [.. "one\ntwo\ncaf"u8, 0xE9, (byte)'\n'], TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(table, "a\tb\nc\td\ne\n", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(gap, "a\n\nb\n", TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(json, "\"a\"\n{\"a\": 1}\n", new UTF8Encoding(false), TestContext.Current.CancellationToken);

        (await SimCseProcess.RunAsync("tokenize", "--model", bert, "--input", Path.Combine(directory, "none.txt"))).Failed(1, "none.txt: no such file");
        (await SimCseProcess.RunAsync("tokenize", "--model", bert, "--input", latin)).Failed(1, $"{latin}:3: ", "byte column 4");
        (await SimCseProcess.RunAsync("tokenize", "--model", bert, "--input", json, "--jsonl")).Failed(1, $"{json}:2:");
        (await SimCseProcess.RunAsync("embed", "--model", bert, "--pooling", "avg", "--input", latin, "--output", output)).Failed(1, $"{latin}:3: ", "byte column 4");
        Assert.DoesNotContain(Directory.GetFiles(directory), f => Path.GetFileName(f).StartsWith("out", StringComparison.Ordinal));

        string model = Path.Combine(directory, "model");
        (await SimCseProcess.RunAsync("train", "--model", bert, "--data", table, "--output", model)).Failed(1, $"{table}:3", "expected 2");
        (await SimCseProcess.RunAsync("train", "--model", bert, "--data", gap, "--output", model)).Failed(1, $"{gap}:2", "empty");
        (await SimCseProcess.RunAsync("evaluate", "--model", bert, "--pooling", "avg", "--data", directory, "--suite", "STSB")).Failed(1, "STSB is not in", "stsb/test.tsv");
        Assert.False(Directory.Exists(model));
    }

    [Fact]
    public async Task Help_and_version_explain_on_standard_output()
    {
        Outcome root = await SimCseProcess.RunAsync("--help");
        Assert.Matches("^simcse [0-9]+\\.[0-9]+\\.[0-9]+$", (await SimCseProcess.RunAsync("--version")).Succeeded().Output.TrimEnd());
        foreach (string command in new[] { "train", "evaluate", "analyze", "embed", "similarity", "search", "tokenize" })
        {
            Assert.Contains($"  {command} ", root.Succeeded().Output, StringComparison.Ordinal);
            Outcome help = (await SimCseProcess.RunAsync(command, "--help")).Succeeded();
            Assert.Equal("", help.Error);
            Assert.Contains($"usage: simcse {command} ", help.Output, StringComparison.Ordinal);
            Assert.Contains($"\n  simcse {command} ", help.Output[help.Output.IndexOf("example", StringComparison.Ordinal)..], StringComparison.Ordinal);
        }

        string train = (await SimCseProcess.RunAsync("train", "--help")).Output;
        Assert.Contains("(default 64)", train, StringComparison.Ordinal);
        Assert.Contains("(default cls)", train, StringComparison.Ordinal);
    }
}
