using System.Text.Json;

namespace SimCse.Tests.Inference;

/// <summary>What sentence-transformers 6.2 gives for the directories of tests/fixtures/sentence-transformers-6.</summary>
internal static class SentenceTransformersVectors
{
    public static (string[] Sentences, float[] Vectors) Read(string name)
    {
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(RepositoryPaths.Fixture("sentence-transformers-6", "vectors.json")));
        return ([.. json.RootElement.GetProperty("sentences").EnumerateArray().Select(sentence => sentence.GetString()!)],
            [.. json.RootElement.GetProperty("vectors").GetProperty(name).EnumerateArray().SelectMany(row => row.EnumerateArray()).Select(value => value.GetSingle())]);
    }
}
