using System.Text.Json;
using SimCse.Evaluation;

namespace SimCse.Tests;

/// <summary>Against shared/reference/scores: the reference repository's own code on the same model and data.</summary>
public class ReferenceScoreTests
{
    [Fact]
    public void Sts_benchmark_dev_scores_alignment_and_uniformity_equal_the_reference()
    {
        using JsonDocument scores = JsonDocument.Parse(File.ReadAllText(RepositoryPaths.Shared("reference", "scores", "all-MiniLM-L6-v2.json")));
        JsonElement expected = scores.RootElement.GetProperty("avg");
        using SentenceEncoder encoder = SentenceEncoder.Load(RepositoryPaths.Shared("models", "all-MiniLM-L6-v2"));
        StsTask task = StsSuite.Load(RepositoryPaths.Shared("data"), "STSB-dev").Tasks[0];
        EmbeddingMatrix vectors = encoder.Encode(task.Sentences, TestContext.Current.CancellationToken);

        Assert.Equal(expected.GetProperty("STSB-dev").GetProperty("all").GetDouble(), task.Score(vectors).All, 0.01);
        EmbeddingAnalysis analysis = EmbeddingAnalysis.Of(task, vectors);
        JsonElement geometry = expected.GetProperty("align_uniform_STSB-dev");
        Assert.Equal(geometry[0].GetDouble(), analysis.Alignment, 1e-4);
        Assert.Equal(geometry[1].GetDouble(), analysis.Uniformity, 1e-3);
        Assert.Equal(geometry[2].GetInt32(), analysis.PositivePairs);
        Assert.Equal(geometry[3].GetInt32(), analysis.Sentences);
        Assert.Equal(384, analysis.SingularValues.Count);
        TestContext.Current.SendDiagnosticMessage($"{task.Score(vectors).All:F4} {analysis with { SingularValues = [] }}");
    }
}
