using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

/// <summary>A fixture's model in a temporary directory of its own, to be changed there.</summary>
internal sealed class ModelCopy
{
    private ModelCopy(string directory) => Directory = directory;

    public string Directory { get; }

    public static ModelCopy Of(string fixture, string[] files, [CallerMemberName] string test = "")
    {
        string directory = RepositoryPaths.NewTemporaryDirectory(test);
        foreach (string file in files)
        {
            string target = Path.Combine(directory, file);
            System.IO.Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(RepositoryPaths.Fixture([.. fixture.Split('/'), .. file.Split('/')]), target);
        }

        return new ModelCopy(directory);
    }

    /// <summary>tiny-bert's configuration and safetensors.</summary>
    public static ModelCopy Bert([CallerMemberName] string test = "") => Of("tiny-bert", ["config.json", "model.safetensors"], test);

    /// <summary>A whole directory as sentence-transformers 6 wrote it.</summary>
    public static ModelCopy SentenceTransformer([CallerMemberName] string test = "") => Of(
        "sentence-transformers-6/bert-cls-dense",
        ["config.json", "model.safetensors", "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json", "1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"],
        test);

    public string PathOf(string name) => Path.Combine(Directory, name);

    public ModelCopy Json(string file, Action<JsonNode> change)
    {
        JsonNode node = JsonNode.Parse(File.ReadAllText(PathOf(file)))!;
        change(node);
        return Text(file, node.ToJsonString());
    }

    public ModelCopy Text(string file, string text)
    {
        System.IO.Directory.CreateDirectory(Path.GetDirectoryName(PathOf(file))!);
        File.WriteAllBytes(PathOf(file), Encoding.UTF8.GetBytes(text));
        return this;
    }

    public ModelCopy Without(string file)
    {
        File.Delete(PathOf(file));
        return this;
    }

    /// <summary>Replaces model.safetensors by what <paramref name="change"/> makes of its tensors.</summary>
    public ModelCopy Tensors(Func<IEnumerable<TensorToWrite>, IEnumerable<TensorToWrite>> change)
    {
        TensorToWrite[] tensors;
        using (SafetensorsFile file = SafetensorsFile.Open(PathOf("model.safetensors")))
        {
            tensors = [.. change([.. file.Tensors.Select(t => TensorToWrite.FromBytes(t, file.ReadBytes(t.Name)))])];
        }

        SafetensorsFile.Write(PathOf("model.safetensors"), tensors);
        return this;
    }

    public Checkpoint Open() => Checkpoint.Open(Directory);

    /// <summary>The message, without the directory, of the refusal that opening must end in.</summary>
    public string Refusal()
    {
        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => Checkpoint.Open(Directory).Dispose());
        Assert.StartsWith(Directory, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
        return refusal.Message[(Directory.Length + 1)..];
    }
}

internal static class TensorChanges
{
    public static IEnumerable<TensorToWrite> Renamed(this IEnumerable<TensorToWrite> tensors, Func<string, string> rename) =>
        tensors.Select(t => TensorToWrite.FromBytes(t.Entry with { Name = rename(t.Entry.Name) }, t.Bytes()));

    public static byte[] Bytes(this TensorToWrite tensor)
    {
        using MemoryStream stream = new();
        tensor.WriteTo(stream);
        return stream.ToArray();
    }
}
