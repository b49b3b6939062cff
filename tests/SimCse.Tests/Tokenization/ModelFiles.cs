using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace SimCse.Tests.Tokenization;

/// <summary>Variants of a model's tokenizer files, in new directories.</summary>
internal static class ModelFiles
{
    private static readonly string[] s_names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt"];

    /// <summary>A copy of the tokenizer's files.</summary>
    public static string Copy(string directory, [CallerMemberName] string test = "")
    {
        string copy = RepositoryPaths.NewTemporaryDirectory(test);
        foreach (string name in s_names.Where(name => File.Exists(Path.Combine(directory, name))))
        {
            File.Copy(Path.Combine(directory, name), Path.Combine(copy, name));
        }

        return copy;
    }

    /// <summary>A copy that has the vocabulary files only, and the configuration.</summary>
    public static string WithoutTokenizerJson(string directory, [CallerMemberName] string test = "")
    {
        string copy = Copy(directory, test);
        File.Delete(Path.Combine(copy, "tokenizer.json"));
        return copy;
    }

    /// <summary>What tokenizer.json alone says, where the vocabulary files could not say the same.</summary>
    public static void DeleteVocabularyFiles(string directory)
    {
        foreach (string name in s_names[3..])
        {
            File.Delete(Path.Combine(directory, name));
        }
    }

    /// <summary>A copy whose tokenizer.json, or another file, is edited.</summary>
    public static string Edited(string directory, Action<JsonObject> edit, string name = "tokenizer.json", [CallerMemberName] string test = "")
    {
        string copy = Copy(directory, test);
        string path = Path.Combine(copy, name);
        JsonObject root = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        edit(root);
        File.WriteAllText(path, root.ToJsonString());
        return copy;
    }
}
