using System.Buffers.Binary;
using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

/// <summary>Pickles byte by byte: opcodes as CPython's Lib/pickletools.py names them.</summary>
internal sealed class PickleWriter
{
    private readonly List<byte> _bytes = [0x80, 2];

    public byte[] Stop() => [.. _bytes, (byte)'.'];

    public PickleWriter Raw(params ReadOnlySpan<byte> bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }

    public PickleWriter Op(char opcode) => Raw((byte)opcode);

    public PickleWriter Global(string module, string name) => Op('c').Raw(Encoding.UTF8.GetBytes($"{module}\n{name}\n"));

    public PickleWriter Text(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return Op('X').Raw(BitConverter.GetBytes(utf8.Length)).Raw(utf8);
    }

    public PickleWriter Number(long value)
    {
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, value);
        return Raw(0x8a, 8).Raw(bytes);
    }

    public PickleWriter Numbers(IEnumerable<long> values)
    {
        Op('(');
        foreach (long value in values)
        {
            Number(value);
        }

        return Op('t');
    }

    /// <summary>A storage by its persistent id.</summary>
    public PickleWriter Storage(string type, string key, long count) =>
        Op('(').Text("storage").Global("torch", type).Text(key).Text("cpu").Number(count).Op('t').Op('Q');

    /// <summary>A call of _rebuild_tensor_v2 with a storage of its own.</summary>
    public PickleWriter Tensor(string type, string key, long count, long offset, long[] shape, long[] strides) =>
        Global("torch._utils", "_rebuild_tensor_v2").Op('(').Storage(type, key, count).Number(offset).Numbers(shape).Numbers(strides)
            .Raw(0x89).Global("collections", "OrderedDict").Op(')').Op('R').Op('t').Op('R');
}

/// <summary>Files as torch.save writes them: a zip file of stored entries.</summary>
internal static class TorchArchive
{
    public static void Write(string path, IEnumerable<(TensorEntry Tensor, float[] Values)> tensors)
    {
        PickleWriter pickle = new PickleWriter().Op('}').Op('(');
        List<(string Key, byte[] Bytes)> storages = [];
        foreach ((TensorEntry tensor, float[] values) in tensors)
        {
            string key = $"{storages.Count}";
            pickle.Text(tensor.Name).Tensor("FloatStorage", key, values.Length, 0, tensor.Shape, Strides(tensor.Shape));
            storages.Add((key, MemoryMarshal.AsBytes(values.AsSpan()).ToArray()));
        }

        Write(path, pickle.Op('u').Stop(), storages);
    }

    public static void Write(string path, byte[] pickle, IEnumerable<(string Key, byte[] Bytes)> storages, CompressionLevel compression = CompressionLevel.NoCompression)
    {
        using FileStream stream = File.Create(path);
        using ZipArchive zip = new(stream, ZipArchiveMode.Create);
        foreach ((string name, byte[] bytes) in storages.Select(s => ($"archive/data/{s.Key}", s.Bytes)).Prepend(("archive/data.pkl", pickle)).Append(("archive/byteorder", "little"u8.ToArray())))
        {
            using Stream entry = zip.CreateEntry(name, compression).Open();
            entry.Write(bytes);
        }
    }

    private static long[] Strides(long[] shape)
    {
        long[] strides = new long[shape.Length];
        long step = 1;
        for (int d = shape.Length - 1; d >= 0; d--)
        {
            strides[d] = step;
            step *= shape[d];
        }

        return strides;
    }
}
