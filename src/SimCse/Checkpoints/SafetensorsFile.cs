using System.Buffers.Binary;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

namespace SimCse.Checkpoints;

/// <summary>
/// A file in the safetensors format: 8 bytes of header length, a JSON header (name → dtype, shape, data_offsets), then the tensors' bytes.
/// Everything that the header says is checked against the file's size when it is opened; values are read, and converted, on request. Reads are thread-safe.
/// </summary>
/// <remarks>Format: <c>https://github.com/huggingface/safetensors</c>, README 'Format'.</remarks>
public sealed class SafetensorsFile : ITensorFile
{
    /// <summary>The reference library's own limit.</summary>
    private const int MaximumHeaderLength = 100_000_000;

    private readonly SafeFileHandle _handle;
    private readonly Dictionary<string, (TensorEntry Entry, long Offset)> _byName;

    private SafetensorsFile(string path, SafeFileHandle handle, List<(TensorEntry Entry, long Offset)> tensors, IReadOnlyDictionary<string, string> metadata)
    {
        Path = path;
        _handle = handle;
        Tensors = [.. tensors.Select(t => t.Entry)];
        _byName = tensors.ToDictionary(t => t.Entry.Name, StringComparer.Ordinal);
        Metadata = metadata;
    }

    /// <summary>The file, as it was given to <see cref="Open"/>.</summary>
    public string Path { get; }

    /// <summary>All tensors, in the order of their bytes.</summary>
    public IReadOnlyList<TensorEntry> Tensors { get; }

    /// <summary>The header's <c>__metadata__</c>; <c>format</c> = <c>pt</c> in Hugging Face's files.</summary>
    public IReadOnlyDictionary<string, string> Metadata { get; }

    /// <summary>Opens a file and checks its header: lengths, types, shapes, offsets without hole or overlap, to the last byte.</summary>
    /// <exception cref="InvalidDataException">The file is not safetensors, or lies about a length, type, shape or offset.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public static SafetensorsFile Open(string path)
    {
        SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read, FileOptions.RandomAccess);
        SafetensorsFile? file = null;
        try
        {
            file = ReadHeader(path, handle);
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

    /// <summary>The tensor of that name, null where there is none.</summary>
    public TensorEntry? Find(string name) => _byName.TryGetValue(name, out (TensorEntry Entry, long Offset) found) ? found.Entry : null;

    /// <summary>Reads a tensor's values as float32, row-major.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is not of a float type (F32, F16, BF16, F64).</exception>
    public float[] ReadFloats(string name)
    {
        TensorEntry tensor = Require(name);
        TensorBytes.RequireFloat(Path, tensor);
        float[] values = TensorBytes.NewArray(Path, tensor);
        ((ITensorFile)this).Read(tensor, values);
        return values;
    }

    /// <summary>Reads a tensor of integers (I64, I32, U8 or Bool), row-major.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is not of one of those types.</exception>
    public long[] ReadIntegers(string name)
    {
        TensorEntry tensor = Require(name);
        byte[] bytes = ReadBytes(name);
        long[] values = new long[tensor.Count];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = tensor.Type switch
            {
                TensorType.I64 => BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(i * 8)),
                TensorType.I32 => BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(i * 4)),
                TensorType.U8 or TensorType.Bool => bytes[i],
                _ => throw new InvalidDataException($"{Path}: tensor {JsonFields.Quote(name)} has type {tensor.Type.ToName()}, expected I64, I32, U8 or BOOL"),
            };
        }

        return values;
    }

    /// <summary>Reads a tensor's bytes as they are stored.</summary>
    /// <exception cref="InvalidDataException">No tensor has that name, or it is larger than an array can be.</exception>
    public byte[] ReadBytes(string name)
    {
        TensorEntry tensor = Require(name);
        long length = tensor.Count * tensor.Type.Size();
        if (length > Array.MaxLength)
        {
            throw new InvalidDataException($"{Path}: tensor {JsonFields.Quote(name)} has {length} bytes, more than an array of .NET holds");
        }

        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)length);
        TensorBytes.ReadExactly(_handle, Path, _byName[name].Offset, bytes);
        return bytes;
    }

    /// <summary>
    /// Writes a file beside <paramref name="path"/> and renames it into place. Tensors are asked for their bytes one after the other, in the order that the reference
    /// library gives them (widest type first, then by name), so that at most one is in memory.
    /// </summary>
    /// <param name="path">Where the file shall be.</param>
    /// <param name="tensors">What it shall hold; names differ.</param>
    /// <param name="metadata">The header's <c>__metadata__</c>; null writes Hugging Face's <c>{"format":"pt"}</c>.</param>
    /// <exception cref="ArgumentException">Two tensors have one name.</exception>
    /// <exception cref="InvalidDataException">A value is finite but too large for the type it is to be stored in.</exception>
    public static void Write(string path, IEnumerable<TensorToWrite> tensors, IReadOnlyDictionary<string, string>? metadata = null)
    {
        ArgumentNullException.ThrowIfNull(tensors);
        TensorToWrite[] ordered = [.. tensors.OrderByDescending(t => t.Entry.Type).ThenBy(t => t.Entry.Name, StringComparer.Ordinal)];
        byte[] header = BuildHeader(ordered, metadata ?? new Dictionary<string, string>(StringComparer.Ordinal) { ["format"] = "pt" });
        AtomicFile.Write(path, stream =>
        {
            Span<byte> length = stackalloc byte[8];
            BinaryPrimitives.WriteInt64LittleEndian(length, header.Length);
            stream.Write(length);
            stream.Write(header);
            foreach (TensorToWrite tensor in ordered)
            {
                long before = stream.Position;
                tensor.WriteTo(stream);
                long written = stream.Position - before;
                long expected = tensor.Entry.Count * tensor.Entry.Type.Size();
                if (written != expected)
                {
                    throw new ArgumentException($"tensor {JsonFields.Quote(tensor.Entry.Name)} of shape {TensorTypes.Show(tensor.Entry.Shape)} gave {written} bytes, expected {expected}", nameof(tensors));
                }
            }
        });
    }

    /// <inheritdoc/>
    public void Dispose() => _handle.Dispose();

    void ITensorFile.Read(TensorEntry tensor, Span<float> destination) =>
        TensorBytes.ReadFloats(_handle, Path, _byName[tensor.Name].Offset, tensor.Type, destination);

    void ITensorFile.CopyTo(TensorEntry tensor, Stream destination) =>
        TensorBytes.Copy(_handle, Path, _byName[tensor.Name].Offset, tensor.Count * tensor.Type.Size(), destination);

    private static SafetensorsFile ReadHeader(string path, SafeFileHandle handle)
    {
        long fileLength = RandomAccess.GetLength(handle);
        if (fileLength < 10)
        {
            throw new InvalidDataException($"{path}: {fileLength} bytes long, too short for safetensors");
        }

        Span<byte> lengthBytes = stackalloc byte[8];
        TensorBytes.ReadExactly(handle, path, 0, lengthBytes);
        ulong headerLength = BinaryPrimitives.ReadUInt64LittleEndian(lengthBytes);
        ulong limit = (ulong)Math.Min(fileLength - 8, MaximumHeaderLength);
        if (headerLength < 2 || headerLength > limit)
        {
            throw new InvalidDataException($"{path}: the header says it is {headerLength} bytes long, expected 2 to {limit} in a file of {fileLength} bytes");
        }

        byte[] header = new byte[headerLength];
        TensorBytes.ReadExactly(handle, path, 8, header);
        JsonFields root = JsonFields.Object(JsonFields.Parse(header, path), path);
        long dataStart = 8 + (long)headerLength;
        long dataLength = fileLength - dataStart;
        List<(TensorEntry Entry, long Offset)> tensors = [];
        Dictionary<string, string> metadata = new(StringComparer.Ordinal);
        foreach (JsonProperty property in root.Element.EnumerateObject())
        {
            if (property.NameEquals("__metadata__"))
            {
                JsonFields pairs = JsonFields.Object(property.Value, path, "__metadata__");
                foreach (JsonProperty pair in pairs.Element.EnumerateObject())
                {
                    metadata.Add(pair.Name, pairs.RequiredText(pair.Name));
                }
            }
            else
            {
                tensors.Add(ReadEntry(path, property, dataStart, dataLength));
            }
        }

        // No byte belongs to two tensors or to none.
        tensors.Sort((a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : End(a).CompareTo(End(b)));
        long at = dataStart;
        foreach ((TensorEntry Entry, long Offset) tensor in tensors)
        {
            if (tensor.Offset != at)
            {
                throw new InvalidDataException($"{path}: tensor {JsonFields.Quote(tensor.Entry.Name)} begins at {tensor.Offset - dataStart} of the data, expected {at - dataStart}, where the one before it ends");
            }

            at = End(tensor);
        }

        return at == fileLength
            ? new SafetensorsFile(path, handle, tensors, metadata)
            : throw new InvalidDataException($"{path}: the tensors end at {at - dataStart} of the data, expected {dataLength}, the file's end");
    }

    private static long End((TensorEntry Entry, long Offset) tensor) => tensor.Offset + (tensor.Entry.Count * tensor.Entry.Type.Size());

    private static (TensorEntry Entry, long Offset) ReadEntry(string path, JsonProperty property, long dataStart, long dataLength)
    {
        string name = property.Name;
        string quoted = JsonFields.Quote(name);
        JsonFields fields = JsonFields.Object(property.Value, path, $"tensor {quoted}");
        TensorType type = TensorTypes.Find(fields.RequiredText("dtype")) ?? throw fields.Wrong("dtype", "a type of safetensors, such as F32");
        long[] shape = ReadNumbers(fields, "shape") ?? throw new InvalidDataException($"{path}: tensor {quoted} has no shape");
        long[] offsets = ReadNumbers(fields, "data_offsets") is [_, _] pair ? pair : throw new InvalidDataException($"{path}: tensor {quoted} has no pair of data_offsets");
        (long begin, long end) = (offsets[0], offsets[1]);
        if (begin > end || end > dataLength)
        {
            throw new InvalidDataException($"{path}: tensor {quoted} has data_offsets [{begin}, {end}], expected them ascending and at most {dataLength}, the length of the data");
        }

        if (TensorBytes.Count(shape, type.Size()) is not { } count || count * type.Size() != end - begin)
        {
            throw new InvalidDataException($"{path}: tensor {quoted} of type {type.ToName()} has shape {TensorTypes.Show(shape)}, which does not fit its {end - begin} bytes");
        }

        return (new TensorEntry(name, type, shape), dataStart + begin);
    }

    private static long[]? ReadNumbers(JsonFields fields, string name)
    {
        if (fields.Array(name) is not { } array)
        {
            return null;
        }

        long[] numbers = new long[array.GetArrayLength()];
        int i = 0;
        foreach (JsonElement item in array.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Number || !item.TryGetInt64(out numbers[i]) || numbers[i] < 0)
            {
                throw fields.Wrong(name, "integers from 0 to 2^63 − 1");
            }

            i++;
        }

        return numbers;
    }

    private static byte[] BuildHeader(TensorToWrite[] tensors, IReadOnlyDictionary<string, string> metadata)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (metadata.Count > 0)
            {
                json.WriteStartObject("__metadata__");
                foreach ((string key, string value) in metadata)
                {
                    json.WriteString(key, value);
                }

                json.WriteEndObject();
            }

            long offset = 0;
            HashSet<string> names = new(StringComparer.Ordinal);
            foreach (TensorEntry entry in tensors.Select(t => t.Entry))
            {
                if (!names.Add(entry.Name))
                {
                    throw new ArgumentException($"two tensors are named {JsonFields.Quote(entry.Name)}", nameof(tensors));
                }

                json.WriteStartObject(entry.Name);
                json.WriteString("dtype", entry.Type.ToName());
                json.WriteStartArray("shape");
                foreach (long size in entry.Shape)
                {
                    json.WriteNumberValue(size);
                }

                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(offset);
                offset += entry.Count * entry.Type.Size();
                json.WriteNumberValue(offset);
                json.WriteEndArray();
                json.WriteEndObject();
            }

            json.WriteEndObject();
        }

        while (stream.Length % 8 != 0)
        {
            stream.WriteByte((byte)' '); // the data then begins at a multiple of 8, as the reference library has it
        }

        return stream.ToArray();
    }

    private TensorEntry Require(string name) => Find(name) ?? throw new InvalidDataException($"{Path}: tensor {JsonFields.Quote(name)} is missing");
}
