using System.Diagnostics;
using System.Text.Json;
using SimCse.Bench.Training;

namespace SimCse.Bench.Tests;

/// <summary>The peer of <c>train-small-debian</c> gives what the reference repository's code gave on PyTorch; needs eng/debian-pytorch/setup.</summary>
public sealed class DebianPeerTests
{
    [Theory]
    [InlineData("unsup_cls")]
    [InlineData("pair_cls")]
    [InlineData("triplet_cls_alpha1")]
    public void Loss_and_gradient_norms_of_Debians_PyTorch_equal_the_reference(string name)
    {
        Assert.SkipUnless(DebianBenchmark.HasPeer, "needs Debian's python3-torch (eng/debian-pytorch/setup)");
        string model = RepositoryPaths.Fixture("tiny-bert"), cases = Path.Combine(model, "goldens.json");
        using Process peer = Process.Start(new ProcessStartInfo(
            "/usr/bin/python3", [Path.Combine(RepositoryPaths.Root, "bench", "peers", "debian-pytorch", "side.py"), "--goldens", model, Path.Combine(model, "goldens.safetensors"), cases, name])
        {
            RedirectStandardOutput = true,
        })!;
        using JsonDocument found = JsonDocument.Parse(peer.StandardOutput.ReadToEnd()), goldens = JsonDocument.Parse(File.ReadAllText(cases));
        JsonElement expected = goldens.RootElement.GetProperty("cases").GetProperty(name);

        AssertNear(expected.GetProperty("loss"), found.RootElement.GetProperty("loss"));
        foreach (JsonProperty norm in expected.GetProperty("grad_norms").EnumerateObject())
        {
            AssertNear(norm.Value, found.RootElement.GetProperty("grad_norms").GetProperty(norm.Name));
        }

        static void AssertNear(JsonElement expected, JsonElement found) => Assert.Equal(expected.GetDouble(), found.GetDouble(), 1e-6 + (1e-4 * expected.GetDouble()));
    }
}
