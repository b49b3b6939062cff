using System.CommandLine;
using SimCse.Data;
using SimCse.Training.Distribution;

namespace SimCse.Cli.Commands;

/// <summary><c>simcse embed</c>.</summary>
internal static class EmbedCommand
{
    private const int TextsAtOnce = 2048;

    private static readonly EncoderSettings s_encoder = new();
    private static readonly Option<string> s_input = CliOption.Input("the texts, one a line (.gz is unpacked); - for standard input");
    private static readonly Option<bool> s_jsonLines = CliOption.JsonLines();
    private static readonly Option<string> s_output = CliOption.Required("--output", "V", "the vectors: .npy (float32, n × H), .jsonl, .parquet or .tsv");
    private static readonly Option<bool> s_normalize = CliOption.Flag("--normalize", "scale every vector to length one");

    public static Command Create()
    {
        DocumentedCommand command = new("embed", "vectors from a file of texts, or from standard input")
        {
            Details = """
                One text a line. An empty line gives a vector too, so row i belongs to line i. Texts are read and vectors written as a stream:
                memory does not grow with their number. Vectors are what sentence-transformers gives for the directory, normalised where it
                says so; with --pooling they are the raw pooled ones. The file appears in its place when it is complete. Under mpirun all ranks
                encode, on one machine or several; rank 0 reads the texts and writes the same file as one process would.
                """,
            RunsOnRanks = true,
            Examples =
            [
                "simcse embed --model my-model --input sentences.txt --output vectors.npy",
                "zcat texts.gz | simcse embed --model bert-base-uncased --pooling avg --normalize --output vectors.parquet",
                "mpirun -n 4 --bind-to none simcse embed --model my-model --input sentences.txt --output vectors.npy",
            ],
        };
        command
            .With("texts and vectors", s_input, s_jsonLines, s_output, s_normalize)
            .With("model", s_encoder.Options)
            .SetAction((parsed, cancellationToken) => Task.Run(() => Run(parsed, cancellationToken), CancellationToken.None));
        return command;
    }

    private static int Run(ParseResult parsed, CancellationToken cancellationToken)
    {
        string input = parsed.GetRequiredValue(s_input), output = parsed.GetRequiredValue(s_output);
        UsageException.Require(() => VectorWriter.CheckEnding(output));
        using Communicator? ranks = Communicator.FromEnvironment();
        if (ranks is not null)
        {
            return RunOnRanks(ranks, parsed, input, output, cancellationToken);
        }

        using SentenceEncoder encoder = Load(parsed);
        using VectorWriter writer = VectorWriter.Create(output, encoder.Dimensions);
        RateLines progress = new("texts");
        foreach (string[] texts in InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken).Chunk(TextsAtOnce))
        {
            Write(writer, texts, encoder.Encode(texts, cancellationToken), progress);
        }

        writer.Complete();
        Conclude(encoder, writer, encoder.TruncatedTexts);
        return ExitStatus.Done;
    }

    /// <summary>Each rank encodes its share; rank 0 reads and writes.</summary>
    private static int RunOnRanks(Communicator ranks, ParseResult parsed, string input, string output, CancellationToken cancellationToken)
    {
        using SentenceEncoder encoder = ranks.Together(() => Load(parsed));
        using VectorWriter? writer = ranks.Together(() => ranks.Rank == 0 ? VectorWriter.Create(output, encoder.Dimensions) : null);
        RateLines progress = new("texts");
        ShardedEncoding.Run(ranks, encoder, InputTexts.Read(input, parsed.GetValue(s_jsonLines), cancellationToken), TextsAtOnce, (texts, vectors) => Write(writer!, texts, vectors, progress), cancellationToken);
        double[] truncated = [encoder.TruncatedTexts];
        ranks.AllReduce(truncated, RankReduction.Sum);
        writer?.Complete();
        ranks.Complete();
        if (writer is not null)
        {
            Conclude(encoder, writer, (long)truncated[0]);
        }

        return ExitStatus.Done;
    }

    private static SentenceEncoder Load(ParseResult parsed) => s_encoder.Load(parsed, parsed.GetValue(s_normalize) ? true : s_encoder.HasPooling(parsed) ? false : null);

    private static void Write(VectorWriter writer, IReadOnlyList<string> texts, EmbeddingMatrix vectors, RateLines progress)
    {
        for (int row = 0; row < texts.Count; row++)
        {
            writer.Write(texts[row], vectors[row]);
        }

        progress.Report(writer.Count);
    }

    private static void Conclude(SentenceEncoder encoder, VectorWriter writer, long truncated)
    {
        LoadedModel.WarnOfTruncation(encoder, writer.Count, truncated);
        Log.Info($"{writer.Path}: {writer.Count:N0} vectors of {encoder.Dimensions} components, pooling {encoder.Pooling.ToName()}");
    }
}
