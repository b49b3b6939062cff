using System.Text;
using System.Text.Json;
using CsCheck;
using SimCse.Evaluation.Transfer;

namespace SimCse.Tests;

public sealed class TransferTests : IDisposable
{
    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Random_numbers_are_those_that_NumPy_and_PyTorch_draw()
    {
        // numpy.random.seed(s); numpy.random.permutation(10), and torch.manual_seed(0); torch.rand(5), as their documentation and users print them.
        Assert.Equal([2, 8, 4, 9, 1, 6, 7, 3, 0, 5], new MersenneTwister(0).Permutation(10));
        Assert.Equal([8, 1, 5, 0, 7, 2, 9, 4, 3, 6], new MersenneTwister(42).Permutation(10));
        float[] values = new float[5];
        new MersenneTwister(0).Uniform(values, 0, 1);
        Assert.Equal([0.4963f, 0.7682f, 0.0885f, 0.1320f, 0.3074f], values.Select(v => MathF.Round(v, 4)));
    }

    [Fact]
    public void Folds_hold_every_row_back_once_and_every_class_in_equal_parts() =>
        Gen.Select(Gen.Int[0, 3].Array[40, 200], Gen.Int[2, 10], Gen.UInt).Sample((labels, count, seed) =>
        {
            int[] rows = [.. Enumerable.Range(0, labels.Length).Where(i => i % 3 != 0)];
            IReadOnlyList<(int[] Train, int[] Test)> folds = StratifiedFolds.Of(rows, labels, count, seed);
            Assert.Equal(count, folds.Count);
            Assert.Equal(rows, folds.SelectMany(f => f.Test).Order());
            Assert.All(folds, fold => Assert.Equal(rows, fold.Train.Concat(fold.Test).Order()));
            foreach (IGrouping<int, int> one in rows.GroupBy(row => labels[row]))
            {
                int[] shares = [.. folds.Select(fold => fold.Test.Count(row => labels[row] == one.Key))];
                Assert.InRange(shares.Max() - shares.Min(), 0, 1);
            }
        });

    [Fact]
    public void The_questions_of_TREC_are_told_apart_as_SentEvals_own_classifier_tells_them_apart()
    {
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllText(RepositoryPaths.Shared("reference", "transfer.json")));
        JsonElement expected = reference.RootElement.GetProperty("TREC");
        TransferTask task = TransferSuite.Load(RepositoryPaths.Shared("data"), "TREC").Tasks[0];
        using SentenceEncoder encoder = SentenceEncoder.Load(RepositoryPaths.Shared("models", "all-MiniLM-L6-v2"));

        TransferTaskResult result = task.Score(encoder.Encode(task.Texts, TestContext.Current.CancellationToken), Environment.ProcessorCount, cancellationToken: TestContext.Current.CancellationToken);

        // The two are equal where rounding falls alike; one question of the 500 is 0.2.
        Assert.Equal(expected.GetProperty("dev").GetDouble(), result.DevAccuracy, 0.1);
        Assert.Equal(expected.GetProperty("test").GetDouble(), result.Accuracy, 0.41);
        Assert.Equal((5452, 500), (result.TrainExamples, result.TestExamples));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Classes_that_a_plane_parts_are_told_apart_without_fault_and_those_that_nothing_parts_by_chance(int threads)
    {
        Random random = new(5);
        TransferExample[] examples = [.. Enumerable.Range(0, 1200).Select(i => new TransferExample($"text {i}", null, i % 2))];
        TransferTask task = new("made", ["no", "yes"], examples, [], []);
        float[] values = [.. Enumerable.Range(0, 1200).SelectMany(i => new[] { (i % 2 == 0 ? 3 : -3) + random.NextSingle(), random.NextSingle() })];
        TransferTaskResult parted = task.Score(new EmbeddingMatrix(values, 1200, 2), threads, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Equal(100, parted.Accuracy);
        Assert.Equal(10, parted.L2.Count);

        float[] same = [.. Enumerable.Repeat(1f, 2400)];
        Assert.Equal(50, task.Score(new EmbeddingMatrix(same, 1200, 2), threads, cancellationToken: TestContext.Current.CancellationToken).Accuracy);
    }

    [Fact]
    public void A_pair_is_judged_by_difference_and_product()
    {
        // Paraphrases are equal vectors: |u − v| is 0 for them alone.
        TransferExample[] examples = [.. Enumerable.Range(0, 4000).Select(i => new TransferExample($"a{i % 10}", i % 2 == 0 ? $"a{i % 10}" : $"b{i % 10}", i % 2 == 0 ? 1 : 0))];
        TransferTask task = new("made", ["0", "1"], examples, [], examples[..50]);
        Random random = new(7);
        float[] values = [.. task.Texts.SelectMany(text => new[] { text[0] == 'a' ? 2 : -2, random.NextSingle() })];
        Assert.Equal(100, task.Score(new EmbeddingMatrix(values, task.Texts.Count, 2), 2, cancellationToken: TestContext.Current.CancellationToken).Accuracy);
    }

    [Fact]
    public void The_tasks_are_read_from_both_layouts_to_the_same_examples()
    {
        const int Count = 12;
        string[] texts = [.. Enumerable.Range(0, Count).Select(i => $"caf\u00e9  number {i} \"x\"")];
        string[] clean = [.. texts.Select(t => t.Replace("  ", " ", StringComparison.Ordinal))];
        foreach ((string name, string positive, string negative) in new[]
            { ("MR", "MR/rt-polarity.pos", "MR/rt-polarity.neg"), ("CR", "CR/custrev.pos", "CR/custrev.neg"), ("SUBJ", "SUBJ/subj.objective", "SUBJ/subj.subjective"), ("MPQA", "MPQA/mpqa.pos", "MPQA/mpqa.neg") })
        {
            Write($"own/downstream/{positive}", Encoding.Latin1, [.. texts[..8], "", "  "]);
            Write($"own/downstream/{negative}", Encoding.Latin1, texts[8..]);
            Write($"table/transfer/{name}.tsv", Encoding.UTF8, ["label\tsentence", .. clean.Select((t, i) => $"{(i < 8 ? 1 : 0)}\t{t}")]);
        }

        foreach ((string part, string own) in new[] { ("train", "train"), ("dev", "dev"), ("test", "test") })
        {
            Write($"own/downstream/SST/binary/sentiment-{own}", Encoding.UTF8, [.. texts.Select((t, i) => $"{t}\t{i % 2}")]);
            Write($"table/transfer/SST2/{part}.tsv", Encoding.UTF8, ["label\tsentence", .. clean.Select((t, i) => $"{i % 2}\t{t}")]);
        }

        string[] classes = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"];
        foreach ((string part, string own) in new[] { ("train", "TREC/train_5500.label"), ("test", "TREC/TREC_10.label") })
        {
            Write($"own/downstream/{own}", Encoding.Latin1, [.. texts.Select((t, i) => $"{classes[i % 6]}:sub {t}")]);
            Write($"table/transfer/TREC/{part}.tsv", Encoding.UTF8, ["label\tfine_label\tsentence", .. clean.Select((t, i) => $"{classes[i % 6]}\tsub\t{t}")]);
        }

        foreach (string part in new[] { "train", "test" })
        {
            Write($"own/downstream/MRPC/msr_paraphrase_{part}.txt", Encoding.UTF8, ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", .. texts.Select((t, i) => $"{i % 2}\t1\t2\t{t}\tanother {i}")]);
            Write($"table/transfer/MRPC/{part}.tsv", Encoding.UTF8, ["label\tsentence1\tsentence2", .. clean.Select((t, i) => $"{i % 2}\t{t}\tanother {i}")]);
        }

        TransferSuite own2 = TransferSuite.Load(Path.Combine(_directory, "own")), table = TransferSuite.Load(Path.Combine(_directory, "table"));
        Assert.Empty(own2.Missing);
        Assert.Equal("MR CR SUBJ MPQA SST2 TREC MRPC", string.Join(' ', own2.Tasks.Select(t => t.Name)));
        foreach ((TransferTask a, TransferTask b) in own2.Tasks.Zip(table.Tasks))
        {
            Assert.Equal(a.Counts, b.Counts);
            Assert.Equal(a.Texts, b.Texts);
            Assert.Equal(a.Classes, b.Classes);
            Assert.Equal(clean[0], a.Texts[0]);
        }

        Assert.Equal("MR has 12 examples here and 10662 officially: its figure is not comparable with published ones", own2.Remarks[0]);
    }

    [Fact]
    public void What_is_missing_or_wrong_is_named()
    {
        Write("TREC/train.tsv", Encoding.UTF8, ["label\tsentence", "NUM\thow many"]);
        string message = Assert.Throws<FileNotFoundException>(() => TransferSuite.Load(_directory, "TREC")).Message;
        Assert.Contains($"{Path.Combine(_directory, "TREC/test.tsv")} is not there", message, StringComparison.Ordinal);

        Write("TREC/test.tsv", Encoding.UTF8, ["label\tsentence", "NUMBER\thow many"]);
        Assert.Contains("test.tsv:2:1: \"NUMBER\"; expected one of ABBR, DESC, ENTY, HUM, LOC, NUM", Assert.Throws<InvalidDataException>(() => TransferSuite.Load(_directory, "TREC")).Message, StringComparison.Ordinal);
        Write("MR.tsv", Encoding.UTF8, ["text\tclass"]);
        Assert.Contains("MR.tsv:1:1: expected a header line", Assert.Throws<InvalidDataException>(() => TransferSuite.Load(_directory, "mr")).Message, StringComparison.Ordinal);
        Assert.Null(TransferSuite.FindNames("MR,STS12"));
    }

    private void Write(string path, Encoding encoding, string[] lines)
    {
        string full = Path.Combine(_directory, path);
        Directory.CreateDirectory(Path.GetDirectoryName(full)!);
        File.WriteAllLines(full, lines, encoding);
    }
}
