namespace SimCse.Tests.Inference;

internal static class VectorAssert
{
    /// <summary>Every component within <paramref name="tolerance"/>, that is 1e-5 as the reference values promise.</summary>
    public static void Close(ReadOnlySpan<float> expected, ReadOnlySpan<float> actual, float tolerance = 1e-5f)
    {
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"value {i}: expected {expected[i]}, found {actual[i]}");
        }
    }
}
