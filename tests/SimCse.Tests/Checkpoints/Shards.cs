using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

/// <summary>A checkpoint in three shards and an index, as save_pretrained names them when a model is too large for one file.</summary>
internal static class Shards
{
    public static ModelCopy Of(Checkpoint source, string name, string ending, [CallerMemberName] string test = "")
    {
        ModelCopy copy = ModelCopy.Of(Path.GetFileName(source.Directory), ["config.json"], test);
        JsonObject map = [];
        for (int shard = 0; shard < 3; shard++)
        {
            string file = $"{name}-0000{shard + 1}-of-00003{ending}";
            TensorEntry[] tensors = [.. source.Tensors.Where((_, i) => i % 3 == shard)];
            if (ending is ".bin")
            {
                TorchArchive.Write(copy.PathOf(file), tensors.Select(t => (t, source.ReadTensor(t.Name))));
            }
            else
            {
                SafetensorsFile.Write(copy.PathOf(file), tensors.Select(t => source.Unchanged(t.Name)));
            }

            foreach (TensorEntry tensor in tensors)
            {
                map[tensor.Name] = file;
            }
        }

        JsonObject index = new() { ["metadata"] = new JsonObject { ["total_size"] = source.Tensors.Sum(t => t.Count * 4) }, ["weight_map"] = map };
        return copy.Text($"{name}{ending}.index.json", index.ToJsonString());
    }
}
