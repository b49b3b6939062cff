using System.Security.Cryptography;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Checkpoints;

/// <summary>The file or files of a directory that hold a model's weights, opened, with all their tensors.</summary>
internal sealed class WeightFiles : IDisposable
{
    private const int MaximumIndexLength = 64 << 20;

    private static readonly string[] s_names = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];

    private readonly List<ITensorFile> _files;
    private readonly Dictionary<string, (ITensorFile File, TensorEntry Entry)> _byName = new(StringComparer.Ordinal);

    private WeightFiles(string path, List<ITensorFile> files)
    {
        Path = path;
        _files = files;
        foreach (ITensorFile file in files)
        {
            foreach (TensorEntry entry in file.Tensors)
            {
                if (!_byName.TryAdd(entry.Name, (file, entry)))
                {
                    throw new InvalidDataException($"{file.Path}: tensor {JsonFields.Quote(entry.Name)} is in {System.IO.Path.GetFileName(_byName[entry.Name].File.Path)} too");
                }
            }
        }

        Tensors = [.. files.SelectMany(f => f.Tensors)];
    }

    /// <summary>The file, or the index of the files, as messages name it.</summary>
    public string Path { get; }

    public IReadOnlyList<TensorEntry> Tensors { get; }

    /// <summary>The length of all files together, in bytes.</summary>
    public long TotalLength => _files.Sum(f => LengthOf(f.Path));

    /// <summary>Of the file itself where the path is a link, as in the snapshots of the Hugging Face cache.</summary>
    private static long LengthOf(string path)
    {
        using SafeFileHandle handle = File.OpenHandle(path);
        return RandomAccess.GetLength(handle);
    }

    /// <summary>Whether a directory holds weights.</summary>
    public static bool Exist(string directory) => s_names.Any(name => File.Exists(System.IO.Path.Combine(directory, name)));

    /// <summary>Opens what is there, in the order in which Hugging Face's transformers looks for it.</summary>
    public static WeightFiles Open(string directory)
    {
        foreach (string name in s_names)
        {
            string path = System.IO.Path.Combine(directory, name);
            if (File.Exists(path))
            {
                Func<string, ITensorFile> open = name.StartsWith("model", StringComparison.Ordinal) ? SafetensorsFile.Open : TorchFile.Open;
                return name.EndsWith(".json", StringComparison.Ordinal) ? OpenShards(path, name.StartsWith("model", StringComparison.Ordinal) ? ".safetensors" : ".bin", open) : OpenAll(path, [path], open);
            }
        }

        throw new FileNotFoundException($"{directory}: holds no weights: neither model.safetensors nor pytorch_model.bin, nor an index of their shards");
    }

    public (ITensorFile File, TensorEntry Entry)? Find(string name) => _byName.TryGetValue(name, out (ITensorFile, TensorEntry) found) ? found : null;

    /// <summary>SHA-256, in lower-case hexadecimal, of the file's bytes, or of all shards' bytes in the order of their names.</summary>
    public string Hash(CancellationToken cancellationToken)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] piece = new byte[1 << 16];
        foreach (ITensorFile file in _files)
        {
            using FileStream stream = new(file.Path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
            while (stream.Read(piece) is > 0 and int count)
            {
                cancellationToken.ThrowIfCancellationRequested();
                hash.AppendData(piece, 0, count);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    public void Dispose() => _files.ForEach(f => f.Dispose());

    private static WeightFiles OpenAll(string path, IEnumerable<string> paths, Func<string, ITensorFile> open)
    {
        List<ITensorFile> files = [];
        WeightFiles? opened = null;
        try
        {
            foreach (string each in paths)
            {
                files.Add(open(each));
            }

            opened = new WeightFiles(path, files);
            return opened;
        }
        finally
        {
            if (opened is null)
            {
                files.ForEach(f => f.Dispose());
            }
        }
    }

    /// <summary>An index names the file of each tensor; what it says and what the files hold must be the same.</summary>
    private static WeightFiles OpenShards(string index, string ending, Func<string, ITensorFile> open)
    {
        JsonFields root = JsonFields.Object(JsonFields.ReadDocument(index, MaximumIndexLength), index);
        JsonFields map = root.Fields("weight_map") ?? throw new InvalidDataException($"{index}: weight_map is missing");
        Dictionary<string, string> fileOf = new(StringComparer.Ordinal);
        foreach (JsonProperty property in map.Element.EnumerateObject())
        {
            string name = map.RequiredText(property.Name);
            if (name.AsSpan().ContainsAny("/\\:\0") || !name.EndsWith(ending, StringComparison.Ordinal))
            {
                throw new InvalidDataException($"{index}: tensor {JsonFields.Quote(property.Name)} is said to be in {JsonFields.Quote(name)}, expected the name of a *{ending} file beside the index");
            }

            fileOf.Add(property.Name, name);
        }

        string directory = System.IO.Path.GetDirectoryName(index)!;
        string[] names = [.. fileOf.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        foreach (string name in names)
        {
            if (!File.Exists(System.IO.Path.Combine(directory, name)))
            {
                throw new InvalidDataException($"{index}: names the file {JsonFields.Quote(name)}, which is missing");
            }
        }

        WeightFiles files = OpenAll(index, names.Select(name => System.IO.Path.Combine(directory, name)), open);
        string? wrong = Compare(files, fileOf);
        if (wrong is not null)
        {
            files.Dispose();
            throw new InvalidDataException($"{index}: {wrong}");
        }

        return files;
    }

    private static string? Compare(WeightFiles files, Dictionary<string, string> fileOf)
    {
        foreach ((string name, string file) in fileOf)
        {
            if (files.Find(name) is not { } found || !string.Equals(System.IO.Path.GetFileName(found.File.Path), file, StringComparison.Ordinal))
            {
                return $"tensor {JsonFields.Quote(name)} is said to be in {JsonFields.Quote(file)}, which does not hold it";
            }
        }

        TensorEntry? extra = files.Tensors.FirstOrDefault(t => !fileOf.ContainsKey(t.Name));
        return extra is null ? null : $"tensor {JsonFields.Quote(extra.Name)}, which a shard holds, is missing in weight_map";
    }
}
