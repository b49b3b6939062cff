using SimCse.Evaluation;

namespace SimCse.Tests;

/// <summary>Against the table of shared/data/README.md: Spearman × 100 of a bag-of-words cosine, computed there by other code (Python).</summary>
public class StsBagOfWordsTests
{
    [Theory]
    [InlineData("STS12", 41.65, "MSRpar 49.14, MSRvid 32.04, SMTeuroparl 60.29, surprise.OnWN 65.39, surprise.SMTnews 43.99")]
    [InlineData("STS13", 49.52, "FNWN 18.63, OnWN 41.05, headlines 66.81")]
    [InlineData("STS14", 53.73, "OnWN 58.81, deft-forum 46.23, deft-news 61.47, headlines 62.81, images 51.18, tweet-news 71.8")]
    [InlineData("STS15", 65.09, "answers-forums 43.04, answers-students 69.48, belief 60.74, headlines 70.78, images 59.13")]
    [InlineData("STSB", 49.37, "")]
    [InlineData("STSB-dev", 58.74, "")]
    [InlineData("STSB-train", 52.4, "")]
    [InlineData("SICKR-dev", 56.44, "")]
    [InlineData("SICKR-train", 54.17, "")]
    [InlineData("KorSTS-dev", 52.17, "")]
    [InlineData("KorSTS-train", 41.56, "")]
    public void Bag_of_words_scores_equal_the_table_of_the_data(string name, double all, string subsets)
    {
        StsSuite suite = StsSuite.Load(RepositoryPaths.Shared("data"), name);
        StsTask task = Assert.Single(suite.Tasks);
        Assert.Empty(suite.Missing);
        Assert.Empty(suite.Remarks);

        StsTaskResult result = task.Evaluate(new BagOfWordsEncoder(task.Subsets.SelectMany(s => s.Pairs)), TestContext.Current.CancellationToken);

        Assert.Equal(all, result.All, 0.01);
        string[] expected = subsets.Split(", ", StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(expected.Length, result.Subsets.Count);
        foreach (string[] subset in expected.Select(e => e.Split(' ')))
        {
            Assert.Equal(double.Parse(subset[1], System.Globalization.CultureInfo.InvariantCulture), result.Subsets.Single(s => string.Equals(s.Name, subset[0], StringComparison.Ordinal)).Spearman, 0.01);
        }
    }

    [Theory]
    [InlineData("dev", 52.17)]
    [InlineData("train", 41.56)]
    public void A_table_outside_the_suites_reads_by_its_header(string file, double all)
    {
        StsTask task = StsTask.Read(RepositoryPaths.Shared("data", "ko", "korsts", file + ".tsv"));
        Assert.Equal(all, task.Evaluate(new BagOfWordsEncoder(task.Subsets.SelectMany(s => s.Pairs)), TestContext.Current.CancellationToken).All, 0.01);
    }

    [Fact]
    public void The_suite_names_what_is_missing_and_averages_over_what_is_there()
    {
        StsSuite suite = StsSuite.Load(RepositoryPaths.Shared("data"));
        Assert.Equal("STS12 STS13 STS14 STS15 STSB", string.Join(' ', suite.Tasks.Select(t => t.Name)));
        Assert.Equal("STS16 SICKR", string.Join(' ', suite.Missing.Select(m => m.Name)));
        Assert.Contains("STS16/{answer-answer,headlines,plagiarism,postediting,question-question}.tsv", suite.Missing[0].Message, StringComparison.Ordinal);
        Assert.Contains("sickr/test.tsv, or SICK/SICK_test_annotated.txt", suite.Missing[1].Message, StringComparison.Ordinal);

        BagOfWordsEncoder encoder = new(suite.Tasks.SelectMany(t => t.Subsets).SelectMany(s => s.Pairs));
        StsReport report = suite.Evaluate(encoder, "words", "counts", cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal((41.65 + 49.52 + 53.73 + 65.09 + 49.37) / 5, report.Average, 0.01);
        Assert.Equal([3108, 1500, 3750, 3000, 1379], report.Tasks.Select(t => t.Pairs));
        Assert.Equal("average of STS12, STS13, STS14, STS15, STSB (5 of the 7 asked for; not there: STS16, SICKR)", report.AverageLabel);
        Assert.Equal(suite.Tasks.SelectMany(t => t.Sentences).Distinct(StringComparer.Ordinal).Count(), encoder.Encoded);
    }
}
