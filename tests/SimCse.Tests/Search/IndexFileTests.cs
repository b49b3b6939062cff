using SimCse.Search;
using static SimCse.Tests.Search.IndexVectors;

namespace SimCse.Tests.Search;

/// <summary>The file of entries after a crash at any byte, and damaged at any byte.</summary>
public sealed class IndexFileTests
{
    private const int Dimensions = 5;
    private static readonly EmbeddingMatrix s_vectors = Random(8, Dimensions, seed: 9);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public void A_crash_at_any_byte_of_a_commit_leaves_it_whole_or_not_at_all_and_loses_nothing_acknowledged()
    {
        string directory = NewIndex(), entries = Path.Combine(directory, "entries");
        byte[] before = File.ReadAllBytes(entries);
        string[] acknowledged = Texts(directory);
        using (SentenceIndex index = SentenceIndex.Open(directory))
        {
            index.Add([new IndexEntry("b", "b again"), new IndexEntry("new", "new")], Rows(s_vectors, 6, 2), Cancellation);
        }

        byte[] after = File.ReadAllBytes(entries);
        string[] both = Texts(directory);
        Assert.NotEqual(acknowledged, both);

        // The order of the writes: the block at the end, then the slot. A crash may leave any part of the first, or all of it and any part of the second.
        int[] slot = [.. Enumerable.Range(0, before.Length).Where(at => before[at] != after[at])];
        for (int written = 0; written <= after.Length - before.Length; written++)
        {
            File.WriteAllBytes(entries, after[..(before.Length + written)]);
            Overwrite(entries, slot, before);
            Assert.Equal(written == after.Length - before.Length ? both : acknowledged, Texts(directory));
        }

        for (int written = 0; written <= slot.Length; written++)
        {
            File.WriteAllBytes(entries, after);
            Overwrite(entries, slot[written..], before);
            Assert.Equal(both, Texts(directory));
        }

        static void Overwrite(string path, int[] places, byte[] bytes)
        {
            using FileStream stream = File.OpenWrite(path);
            foreach (int at in places)
            {
                stream.Position = at;
                stream.WriteByte(bytes[at]);
            }
        }
    }

    [Fact]
    public void After_a_torn_commit_the_next_one_takes_its_place()
    {
        string directory = NewIndex(), entries = Path.Combine(directory, "entries");
        string[] acknowledged = Texts(directory);
        using (FileStream stream = new(entries, FileMode.Append))
        {
            stream.Write(new byte[1000]);
            stream.Write("SBLK torn"u8);
        }

        using (SentenceIndex index = SentenceIndex.Open(directory))
        {
            index.Add([new IndexEntry("z", "z")], Rows(s_vectors, 0, 1), Cancellation);
        }

        Assert.Equal([.. acknowledged, "z=z"], Texts(directory));
    }

    [Fact]
    public void A_file_that_lost_or_changed_a_byte_of_what_was_acknowledged_is_refused_or_read_as_it_was()
    {
        string directory = NewIndex(), entries = Path.Combine(directory, "entries");
        byte[] whole = File.ReadAllBytes(entries);
        string[] expected = Texts(directory);
        int refused = 0;
        for (int at = 0; at < whole.Length; at += at is > 300 and < 4090 or > 4200 and < 8190 ? 37 : 1)
        {
            foreach (byte[] damaged in new[] { whole[..at], [.. whole[..at], (byte)(whole[at] ^ (1 << (at % 8))), .. whole[(at + 1)..]] })
            {
                File.WriteAllBytes(entries, damaged);
                try
                {
                    Assert.Equal(expected, Texts(directory));
                    Assert.Equal(whole.Length, damaged.Length);
                }
                catch (InvalidDataException e)
                {
                    Assert.StartsWith(entries, e.Message, StringComparison.Ordinal);
                    refused++;
                }
            }
        }

        Assert.True(refused > 1000);
    }

    [Fact]
    public void A_graph_that_is_damaged_or_absent_is_built_again()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(), graph = Path.Combine(directory, "graph");
        EmbeddingMatrix vectors = Clustered(600, 16, seed: 1);
        using (SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(16)))
        {
            index.Add([.. Enumerable.Range(0, 600).Select(i => new IndexEntry($"{i}", $"{i}"))], vectors, Cancellation);
        }

        byte[] whole = File.ReadAllBytes(graph);
        System.Random random = new(3);
        for (int round = 0; round < 60; round++)
        {
            int at = random.Next(whole.Length);
            File.WriteAllBytes(graph, round % 2 == 0 ? whole[..at] : [.. whole[..at], (byte)~whole[at], .. whole[(at + 1)..]]);
            using (SentenceIndex reader = SentenceIndex.Open(directory, readOnly: true))
            {
                Assert.Equal(0, reader.GraphCount);
                Assert.Equal("7", reader.Search(vectors[7], new IndexSearchOptions(1), Cancellation)[0].Entry.Id);
            }
        }

        File.Delete(graph);
        using (SentenceIndex index = SentenceIndex.Open(directory))
        {
            index.UpdateGraph(progress: null, Cancellation);
        }

        Assert.Equal(whole, File.ReadAllBytes(graph));
    }

    /// <summary>Three commits: entries, a deletion, entries again.</summary>
    private static string NewIndex()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        using SentenceIndex index = SentenceIndex.Create(directory, new SentenceIndexOptions(Dimensions));
        index.Add([new IndexEntry("a", "a"), new IndexEntry("b", "b"), new IndexEntry("ü", "größer")], Rows(s_vectors, 0, 3), Cancellation);
        index.Delete(["a"], Cancellation);
        index.Add([new IndexEntry("c", "c") { Metadata = new Dictionary<string, MetadataValue> { ["x"] = 1 } }], Rows(s_vectors, 3, 1), Cancellation);
        return directory;
    }

    /// <summary>Ids and texts, when the index is opened for writing, as it is after a crash.</summary>
    private static string[] Texts(string directory)
    {
        using SentenceIndex index = SentenceIndex.Open(directory);
        return [.. index.Entries().Select(entry => $"{entry.Id}={entry.Text}{string.Concat(entry.Metadata.Select(pair => $" {pair.Key}:{pair.Value}"))}")];
    }
}
