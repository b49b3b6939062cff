namespace SimCse.Data.Tests;

public class SentenceCorpusTests
{
    [Fact]
    public void Each_sentence_is_taken_once_whatever_its_case_punctuation_and_spaces()
    {
        SentenceCorpus corpus = new();
        Assert.Equal(["A man plays.", "Élan is a word."], corpus.Take(["A  man plays.", "a man, plays!", "Élan is a word.", "ÉLAN IS A WORD", "two words"]));
        Assert.Equal(2, corpus.Taken);
        Assert.Empty(corpus.Take(["A MAN PLAYS"]));
    }

    [Fact]
    public void What_an_evaluation_asks_about_is_left_out_and_counted()
    {
        string folder = RepositoryPaths.NewTemporaryDirectory();
        Directory.CreateDirectory(Path.Combine(folder, "sts", "year"));
        File.WriteAllText(Path.Combine(folder, "sts", "year", "set.tsv"), "score\tsentence1\tsentence2\n4.5\tA man plays a guitar.\tSomeone makes music.\n");
        File.WriteAllText(Path.Combine(folder, "sts", "notes.md"), "The dog runs.\n");
        File.WriteAllText(Path.Combine(folder, "more.txt"), "A child sings loudly\n");
        SentenceCorpus corpus = new();
        corpus.Exclude(Path.Combine(folder, "sts"));
        corpus.Exclude(Path.Combine(folder, "more.txt"));
        Assert.Equal(["The dog runs."], corpus.Take(["a man plays a GUITAR", "Someone makes music", "The dog runs.", "A child sings, loudly!"]));
        Assert.Equal((3, 7), (corpus.Overlaps, corpus.Excluded));
        Assert.Throws<FileNotFoundException>(() => corpus.Exclude(Path.Combine(folder, "none")));
        Directory.CreateDirectory(Path.Combine(folder, "empty"));
        Assert.Contains("no .tsv", Assert.Throws<FileNotFoundException>(() => corpus.Exclude(Path.Combine(folder, "empty"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Long_texts_are_cut_at_their_clauses()
    {
        SentenceCorpus corpus = new() { MinWords = 3, MaxWords = 5 };
        Assert.Equal(
            ["in the old town", "the church burned down (1890)", "and nobody saw it"],
            corpus.Take(["in the old town, rebuilt; and after a very long and cold winter: the end", "the church burned down (1890)", "it was early on a Sunday morning in May — and nobody saw it"]));
    }
}
