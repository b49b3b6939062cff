using System.Text;
using System.Text.Json;
using SimCse.Evaluation;

namespace SimCse.Tests;

public sealed class StsFilesTests : IDisposable
{
    private static readonly (string Set, string[] Subsets)[] s_years =
    [
        ("STS12", ["MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"]),
        ("STS13", ["FNWN", "headlines", "OnWN"]),
        ("STS14", ["deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"]),
        ("STS15", ["answers-forums", "answers-students", "belief", "headlines", "images"]),
        ("STS16", ["answer-answer", "headlines", "plagiarism", "postediting", "question-question"]),
    ];

    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("")]
    [InlineData("downstream/")]
    [InlineData("data/downstream/")]
    public void The_seven_sets_are_found_in_SentEvals_layout(string under)
    {
        foreach ((string set, string[] subsets) in s_years)
        {
            foreach (string subset in subsets)
            {
                // The second pair has no gold score and is left out.
                Write($"{under}STS/{set}-en-test/STS.input.{subset}.txt", $"A {subset} .\tB {set} .\nleft out\tleft out\nA  \u00A0{subset}\u001C2\t B\u3000two \n");
                Write($"{under}STS/{set}-en-test/STS.gs.{subset}.txt", "4.4\n\n0\n");
            }
        }

        Write($"{under}STS/STS13-en-test/STS.input.SMT.txt", "a\tb\n");
        Write($"{under}STS/STS13-en-test/STS.gs.SMT.txt", "1\n");
        Write($"{under}STS/STSBenchmark/sts-test.csv", "main-captions\tMSRvid\t2012test\t0024\t2.500\tA girl \"is\" styling.\tA girl is brushing.\nmain\tf\t2012\t1\t5\tc\td\textra\tmore\n");
        Write($"{under}SICK/SICK_test_annotated.txt", "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n6\tOne\tTwo\t3.3\tNEUTRAL\n");

        StsSuite suite = StsSuite.Load(_directory);

        Assert.Equal("STS12 STS13 STS14 STS15 STS16 STSB SICKR", Joined(suite.Tasks.Select(t => t.Name)));
        Assert.Empty(suite.Missing);
        Assert.Equal("10 6 12 10 10 2 1", Joined(suite.Tasks.Select(t => $"{t.PairCount}")));
        Assert.Equal(new StsPair("A MSRpar .", "B STS12 .", 4.4), suite.Tasks[0].Subsets[0].Pairs[0]);
        Assert.Equal(new StsPair("A MSRpar 2", "B two", 0), suite.Tasks[0].Subsets[0].Pairs[1]);
        Assert.Equal(new StsPair("A girl \"is\" styling.", "A girl is brushing.", 2.5), suite.Tasks[5].Subsets[0].Pairs[0]);
        Assert.Equal(new StsPair("One", "Two", 3.3), suite.Tasks[6].Subsets[0].Pairs[0]);
        Assert.Equal("STS12 has 10 pairs here and 3108 officially: its figure is not comparable with published ones", suite.Remarks[0]);
    }

    [Theory]
    [InlineData("ko/korsts/dev.tsv", "ko/korsts/test.tsv")]
    [InlineData("KorSTS/sts-dev.tsv", "KorSTS/sts-test.tsv")]
    [InlineData("KorNLUDatasets/KorSTS/sts-dev.tsv", "KorNLUDatasets/KorSTS/sts-test.tsv")]
    public void The_Korean_sets_are_found_as_tables_and_as_they_were_published(string dev, string test)
    {
        Write(dev, "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\nmain-captions\tMSRvid\t2012\t1\t4.750\t어린아이가  말을 타고 있다.\t아이가 말을 타고 있다.\n");
        Write(test, "score\tsentence1\tsentence2\n1\t가\t나\n");
        StsSuite suite = StsSuite.Load(_directory, "ko");
        Assert.Empty(suite.Missing);
        Assert.Equal(new StsPair("어린아이가 말을 타고 있다.", "아이가 말을 타고 있다.", 4.75), suite.Tasks[0].Subsets[0].Pairs[0]);
        Assert.Equal("KorSTS-dev KorSTS", Joined(suite.Tasks.Select(t => t.Name)));
    }

    [Theory]
    [InlineData("")]
    [InlineData("sts/")]
    [InlineData("data/")]
    public void The_seven_sets_are_found_in_the_table_layout(string under)
    {
        foreach ((string set, string[] subsets) in s_years)
        {
            foreach (string subset in subsets)
            {
                Write($"{under}{set}/{subset}.tsv", "score\tsentence1\tsentence2\n3\ta\t\"b\n");
            }
        }

        Write($"{under}stsb/test.tsv", "score\tsentence1\tsentence2\r\n3\ta\tb\r\n");
        Write($"{under}sickr/test.tsv", "score\tlabel\tsentence1\tsentence2\n3\tNEUTRAL\ta\tb\n");
        StsSuite suite = StsSuite.Load(_directory);
        Assert.Equal(7, suite.Tasks.Count);
        Assert.Equal(new StsPair("a", "\"b", 3), suite.Tasks[0].Subsets[0].Pairs[0]);
    }

    [Fact]
    public void Names_are_known_in_any_case_and_under_their_other_names()
    {
        Assert.Equal("STS12 STS13 STS14 STS15 STS16 STSB SICKR", Joined(StsSuite.ParseNames("sts")));
        Assert.Equal("STSB SICKR STSB-dev STS12", Joined(StsSuite.ParseNames("stsb-test, SICKR,STSB-DEV,sts12,STSB")));
        Assert.StartsWith("'STS17' is not a suite or an STS set; expected sts, ko, or some of STS12, STS13", Assert.Throws<FormatException>(() => StsSuite.ParseNames("STS12,STS17")).Message, StringComparison.Ordinal);
        Assert.Contains("one or the other", Assert.Throws<FormatException>(() => StsSuite.ParseNames("STS12,transfer")).Message, StringComparison.Ordinal);
        Assert.Equal(["KorSTS-dev", "KorSTS", "STSB"], StsSuite.ParseNames("ko,stsb-test,korsts-test"));
        Assert.Throws<FormatException>(() => StsSuite.ParseNames(" , "));
    }

    [Fact]
    public void What_is_missing_is_named_with_what_to_do()
    {
        Assert.Equal($"{_directory}/no: no such folder; expected one that holds STS data",
            Assert.Throws<DirectoryNotFoundException>(() => StsSuite.Load(_directory + "/no")).Message);
        Assert.Equal($"STSB is not in {_directory}: put stsb/test.tsv, or STS/STSBenchmark/sts-test.csv (SentEval) there (or under sts/, transfer/, downstream/ or data/ of it)",
            Assert.Throws<FileNotFoundException>(() => StsSuite.Load(_directory, "STSB")).Message);

        Write("sts/STS13/FNWN.tsv", "score\tsentence1\tsentence2\n3\ta\tb\n");
        Write("stsb/test.tsv", "score\tsentence1\tsentence2\n3\ta\tb\n");
        StsSuite suite = StsSuite.Load(_directory, "STS13,STSB");
        Assert.Equal($"STS13 is incomplete: {Path.Combine(_directory, "sts", "STS13")} lacks headlines.tsv, OnWN.tsv", Assert.Single(suite.Missing).Message);
    }

    [Theory]
    [InlineData("stsb/test.tsv", "score\tsentence1\n1\ta\n", ":1:1: expected a header line with the tab-separated columns score, sentence1 and sentence2, found \"score\tsentence1\"")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\n1\ta\tb\n1\ta\n", ":3:1: 2 tab-separated columns; expected 3 as in the header")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\n1,5\ta\tb\n", ":2:1: \"1,5\"; expected a score from 0 to 5")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\n5.1\ta\tb\n", ":2:1: \"5.1\"; expected a score from 0 to 5")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\nNaN\ta\tb\n", ":2:1: \"NaN\"; expected a score from 0 to 5")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\n5\tab\t \n", ":2:6: an empty field; expected a sentence")]
    [InlineData("stsb/test.tsv", "score\tsentence1\tsentence2\n", ": no pair with a gold score in it")]
    [InlineData("stsb/test.tsv", "", ": no pair with a gold score in it")]
    [InlineData("STS/STSBenchmark/sts-test.csv", "a\tb\tc\td\t2\te\n", ":1:1: 6 tab-separated columns; expected at least 7, with the score in column 5 and the sentences in 6 and 7")]
    [InlineData("STS/STSBenchmark/sts-test.csv", "a\tb\tc\td\tx\te\tf\n", ":1:9: \"x\"; expected a score from 0 to 5")]
    public void Bad_rows_are_named_by_file_line_and_column(string file, string content, string message)
    {
        string path = Write(file, content);
        Assert.Equal(path + message, Assert.Throws<InvalidDataException>(() => StsSuite.Load(_directory, "STSB")).Message);
    }

    [Fact]
    public void Bad_rows_of_SentEvals_pairs_and_of_SICK_are_named_too()
    {
        foreach (string subset in s_years[1].Subsets)
        {
            Write($"STS/STS13-en-test/STS.input.{subset}.txt", "a\tb\nc\td\n");
            Write($"STS/STS13-en-test/STS.gs.{subset}.txt", "1\n2\n");
        }

        string gold = Write("STS/STS13-en-test/STS.gs.OnWN.txt", "1\n");
        Assert.Equal($"{gold}:1: 1 gold scores; expected one for every line of STS.input.OnWN.txt, which has more", Error("STS13"));
        Write("STS/STS13-en-test/STS.gs.OnWN.txt", "1\n2\n3\n");
        Assert.Equal($"{gold}:3:1: 3 gold scores for 2 pairs of STS.input.OnWN.txt; expected as many", Error("STS13"));
        Write("STS/STS13-en-test/STS.gs.OnWN.txt", "1\nhigh\n");
        Assert.Equal($"{gold}:2:1: \"high\"; expected a score from 0 to 5", Error("STS13"));
        Write("STS/STS13-en-test/STS.gs.OnWN.txt", "1\n2\n");
        string input = Write("STS/STS13-en-test/STS.input.OnWN.txt", "a\tb\nc d\n");
        Assert.Equal($"{input}:2:1: 1 tab-separated columns; expected two sentences", Error("STS13"));
        File.WriteAllBytes(input, [.. "a\tb\nc\t"u8, 0xFF, (byte)'\n']);
        Assert.Equal($"{input}:2: byte 0xFF at byte column 3 is not UTF-8; expected a UTF-8 file", Error("STS13"));

        string sick = Write("SICK/SICK_trial.txt", "pair_ID\tsentence_A\tsentence_B\trelatedness_score\tentailment_judgment\n6\tOne\tTwo\t0.5\tNEUTRAL\n");
        Assert.Equal($"{sick}:2:11: \"0.5\"; expected a score from 1 to 5", Error("SICKR-dev"));
    }

    [Fact]
    public void A_report_has_the_shape_of_the_command_and_averages_rounded_figures()
    {
        StsReport report = new("m", "avg",
            [
                new StsTaskResult("STS12", 72.3672, 69.999, 70.001, 3108, [new("MSRpar", 57.8402, 750), new("MSRvid", 93.6085, 2358)]),
                new StsTaskResult("STSB", 82.0349, 82.0349, 82.0349, 1379, []),
            ],
            [new MissingSet("SICKR", "d", ["sickr/test.tsv"], null)],
            ["a remark"]);

        Assert.Equal((72.37 + 82.03) / 2, report.Average, 1e-12);
        using JsonDocument json = JsonDocument.Parse(report.ToJson());
        Assert.Equal(
            """{"model":"m","pooling":"avg","tasks":{"STS12":{"all":72.37,"mean":70,"wmean":70,"pairs":3108,"subsets":{"MSRpar":57.84,"MSRvid":93.61}},"STSB":{"all":82.03,"mean":82.03,"wmean":82.03,"pairs":1379,"subsets":{}}},"average":77.2,"average_over":["STS12","STSB"],"missing":["SICKR"]}""",
            JsonSerializer.Serialize(json.RootElement));
        Assert.Equal(
            """
            | model | pooling | STS12 | STSB | average |
            | --- | --- | ---: | ---: | ---: |
            | m | avg | 72.37 | 82.03 | 77.20 |

            Spearman × 100; average of STS12, STSB (2 of the 3 asked for; not there: SICKR).

            - SICKR is not in d: put sickr/test.tsv there (or under sts/, transfer/, downstream/ or data/ of it)

            - a remark

            """,
            report.ToMarkdown());
        string plain = report.ToPlainText();
        Assert.Contains("STS12        72.37   70.00   70.00    3108\n  MSRpar     57.84                     750\n", plain, StringComparison.Ordinal);
        Assert.EndsWith("\n77.20  average of STS12, STSB (2 of the 3 asked for; not there: SICKR)\n", plain, StringComparison.Ordinal);
    }

    [Fact]
    public void Mean_and_weighted_mean_are_over_subsets_and_all_is_over_everything()
    {
        // Cosines along the pairs: subset x 1, 0, −1 in the order of its golds (ρ = 1); subset y 1, 0 against its golds (ρ = −1).
        StsTask task = new("t",
        [
            new StsSubset("x", [new("e", "e", 5), new("e", "n", 3), new("e", "w", 1)]),
            new StsSubset("y", [new("e", "e", 0), new("e", "n", 4)]),
        ]);
        Assert.Equal("e n w", Joined(task.Sentences));

        StsTaskResult result = task.Score(new EmbeddingMatrix([2, 0, 0, 3, -1, 0], 3, 2));

        Assert.Equal("100 -100", Joined(result.Subsets.Select(s => $"{s.Spearman:F0}")));
        Assert.Equal(0, result.Mean, 1e-12);
        Assert.Equal((100.0 * 3 / 5) - (100.0 * 2 / 5), result.WeightedMean, 1e-12);

        // Ranks of the cosines 4.5 2.5 1 4.5 2.5 against 5 3 2 1 4: Σ(dx dy) = 1.5, Σdx² = 9, Σdy² = 10.
        Assert.Equal(100 * 1.5 / Math.Sqrt(90), result.All, 1e-9);
    }

    [Fact]
    public void A_collapsed_model_scores_0_and_not_nothing()
    {
        StsTask task = new("t", [new StsSubset("t", [new("a", "b", 5), new("c", "d", 3)])]);
        Assert.Equal(0, task.Score(new EmbeddingMatrix([1, 1, 1, 1], 4, 1)).All);
        Assert.Equal(0, task.Score(new EmbeddingMatrix([float.NaN, 1, 1, 0], 4, 1)).All);
        Assert.Throws<ArgumentException>(() => task.Score(new EmbeddingMatrix([1, 1], 2, 1)));
    }

    private static string Joined(IEnumerable<string> parts) => string.Join(' ', parts);

    private string Error(string suite) => Assert.Throws<InvalidDataException>(() => StsSuite.Load(_directory, suite)).Message;

    private string Write(string name, string content)
    {
        string path = Path.Combine(_directory, Path.Combine(name.Split('/')));
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, content, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        return path;
    }
}
