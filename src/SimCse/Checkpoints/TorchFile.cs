using System.Text;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Checkpoints;

/// <summary>
/// A dictionary of tensors as <c>torch.save</c> writes it since PyTorch 1.6: a zip file with a pickle, <c>data.pkl</c>, that tells of the tensors, and their numbers in
/// <c>data/KEY</c>. The pickle is read by <see cref="TensorUnpickler"/>; every view it tells of is checked against the entry it looks into.
/// </summary>
internal sealed class TorchFile : ITensorFile
{
    private const int MaximumPickleLength = 64 << 20;

    /// <summary>PyTorch's own limit of sizes in a shape.</summary>
    private const int MaximumRank = 64;

    /// <summary>What a file of PyTorch before 1.6 starts with: the pickle of its magic number, 0x1950a86a20f9469cfc6c.</summary>
    private static readonly byte[] s_oldMagic = [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, (TorchView View, long DataOffset)> _byName;

    private TorchFile(string path, SafeFileHandle handle, List<TensorEntry> tensors, Dictionary<string, (TorchView View, long DataOffset)> byName)
    {
        Path = path;
        _handle = handle;
        Tensors = tensors;
        _byName = byName;
    }

    public string Path { get; }

    public IReadOnlyList<TensorEntry> Tensors { get; }

    /// <summary>Opens a file and checks all that its table of contents and its pickle say.</summary>
    /// <exception cref="InvalidDataException">It is not such a file, or not a sound one, or its pickle asks for anything that tensors do not need.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static TorchFile Open(string path)
    {
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess);
        TorchFile? file = null;
        try
        {
            file = Read(path, handle);
            return file;
        }
        finally
        {
            if (file is null)
            {
                handle.Dispose();
            }
        }
    }

    public void Read(TensorEntry tensor, Span<float> destination)
    {
        (TorchView view, long dataOffset) = _byName[tensor.Name];
        if (IsContiguous(view))
        {
            TensorBytes.ReadFloats(_handle, Path, dataOffset + (view.Offset * tensor.Type.Size()), tensor.Type, destination);
        }
        else
        {
            FloatConversion.ToSingle(tensor.Type, Gather(tensor, view, dataOffset), destination);
        }
    }

    public void CopyTo(TensorEntry tensor, Stream destination)
    {
        (TorchView view, long dataOffset) = _byName[tensor.Name];
        int size = tensor.Type.Size();
        if (IsContiguous(view))
        {
            TensorBytes.Copy(_handle, Path, dataOffset + (view.Offset * size), tensor.Count * size, destination);
        }
        else
        {
            destination.Write(Gather(tensor, view, dataOffset));
        }
    }

    public void Dispose() => _handle.Dispose();

    private static TorchFile Read(string path, SafeFileHandle handle)
    {
        byte[] start = new byte[Math.Min(s_oldMagic.Length, RandomAccess.GetLength(handle))];
        TensorBytes.ReadExactly(handle, path, 0, start);
        if (start.AsSpan().SequenceEqual(s_oldMagic))
        {
            throw new InvalidDataException($"{path}: is in the form of PyTorch before 1.6, which is not read; expected model.safetensors, or a pytorch_model.bin saved by a newer PyTorch");
        }

        Dictionary<string, (long Offset, long Length)> entries = ZipDirectory.Read(handle, path);
        const string PickleName = "/data.pkl";
        string[] pickles = [.. entries.Keys.Where(name => name.EndsWith(PickleName, StringComparison.Ordinal) && name.IndexOf('/', StringComparison.Ordinal) == name.Length - PickleName.Length)];
        string root = pickles is [string one] ? one[..^PickleName.Length] : throw new InvalidDataException($"{path}: holds {pickles.Length} files NAME/data.pkl, expected one");
        if (entries.ContainsKey(root + "/byteorder") && Encoding.UTF8.GetString(ReadEntry(root + "/byteorder", 16)) is not "little")
        {
            throw new InvalidDataException($"{path}: byteorder is not 'little', the only one that is read");
        }

        List<TensorEntry> tensors = [];
        Dictionary<string, (TorchView View, long DataOffset)> byName = new(StringComparer.Ordinal);
        foreach ((string name, TorchView view) in TensorUnpickler.Read(path, ReadEntry(root + PickleName, MaximumPickleLength)))
        {
            TorchStorage storage = view.Storage;
            if (!entries.TryGetValue($"{root}/data/{storage.Key}", out (long Offset, long Length) data))
            {
                throw new InvalidDataException($"{path}: tensor {JsonFields.Quote(name)} lies in data/{JsonFields.Quote(storage.Key)}, which is missing");
            }

            if ((Int128)storage.Count * storage.Type.Size() != data.Length)
            {
                throw new InvalidDataException($"{path}: data/{JsonFields.Quote(storage.Key)} is said to hold {storage.Count} elements of {storage.Type.ToName()}, but it has {data.Length} bytes");
            }

            CheckView(path, name, view);
            tensors.Add(new TensorEntry(name, storage.Type, view.Shape));
            byName.Add(name, (view, data.Offset));
        }

        return new TorchFile(path, handle, tensors, byName);

        byte[] ReadEntry(string name, int maximumLength)
        {
            (long offset, long length) = entries[name];
            if (length > maximumLength)
            {
                throw new InvalidDataException($"{path}: {JsonFields.Quote(name)} is {length} bytes long, expected at most {maximumLength}");
            }

            byte[] bytes = new byte[length];
            TensorBytes.ReadExactly(handle, path, offset, bytes);
            return bytes;
        }
    }

    /// <summary>No element lies outside the storage, and there are no more elements than the storage has: a stride of 0 would make many of one.</summary>
    private static void CheckView(string path, string name, TorchView view)
    {
        string quoted = JsonFields.Quote(name);
        if (view.Shape.Length != view.Strides.Length || view.Shape.Length > MaximumRank)
        {
            throw new InvalidDataException($"{path}: tensor {quoted} has {view.Shape.Length} sizes and {view.Strides.Length} strides, expected as many of both and at most {MaximumRank}");
        }

        long? count = TensorBytes.Count(view.Shape, view.Storage.Type.Size());
        Int128 last = view.Offset;
        for (int d = 0; d < view.Shape.Length && count > 0 && last <= long.MaxValue; d++)
        {
            last += (Int128)(view.Shape[d] - 1) * view.Strides[d];
        }

        if (count is null || count > view.Storage.Count || view.Offset < 0 || view.Offset > view.Storage.Count || (count > 0 && last >= view.Storage.Count))
        {
            throw new InvalidDataException($"{path}: tensor {quoted} of shape {TensorTypes.Show(view.Shape)}, strides {TensorTypes.Show(view.Strides)}, offset {view.Offset} does not lie inside the {view.Storage.Count} elements of its storage");
        }
    }

    /// <summary>Whether the elements lie in the order of rows, one after the other.</summary>
    private static bool IsContiguous(TorchView view)
    {
        long expected = 1;
        for (int d = view.Shape.Length - 1; d >= 0; d--)
        {
            if (view.Shape[d] != 1 && view.Strides[d] != expected)
            {
                return false;
            }

            expected *= view.Shape[d];
        }

        return true;
    }

    /// <summary>The elements, in the order of rows, of a view that has them in another (a transposed one).</summary>
    private byte[] Gather(TensorEntry tensor, TorchView view, long dataOffset)
    {
        if (tensor.Count == 0)
        {
            return [];
        }

        int size = tensor.Type.Size();
        long span = 1;
        for (int d = 0; d < view.Shape.Length; d++)
        {
            span += (view.Shape[d] - 1) * view.Strides[d];
        }

        if (span * size > Array.MaxLength)
        {
            throw new InvalidDataException($"{Path}: tensor {JsonFields.Quote(tensor.Name)} is not contiguous and larger than an array of .NET holds");
        }

        byte[] region = new byte[span * size];
        TensorBytes.ReadExactly(_handle, Path, dataOffset + (view.Offset * size), region);
        byte[] gathered = new byte[tensor.Count * size];
        long[] index = new long[view.Shape.Length];
        long from = 0;
        for (int to = 0; to < gathered.Length; to += size)
        {
            region.AsSpan((int)from * size, size).CopyTo(gathered.AsSpan(to));
            for (int d = index.Length - 1; d >= 0; d--)
            {
                from += view.Strides[d];
                if (++index[d] < view.Shape[d])
                {
                    break;
                }

                from -= index[d] * view.Strides[d];
                index[d] = 0;
            }
        }

        return gathered;
    }
}
