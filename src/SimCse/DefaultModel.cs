namespace SimCse;

/// <summary>The model that is used where none is named: it comes in a package of its own, SimCse.Model.Small, which puts it beside the application.</summary>
public static class DefaultModel
{
    /// <summary>What the model is called, and its folder.</summary>
    public const string Name = "simcse-small";

    /// <summary>Where it lies: <c>models/simcse-small</c> beside the application.</summary>
    /// <exception cref="DirectoryNotFoundException">It is not there: how to get it.</exception>
    public static string Find()
    {
        string directory = Path.Combine(AppContext.BaseDirectory, "models", Name);
        return Directory.Exists(directory) ? directory : throw new DirectoryNotFoundException(
            $"there is no default model at {directory}; add it to the project (dotnet add package SimCse.Model.Small), or load a model directory of your own (SentenceEncoder.Load)");
    }
}
