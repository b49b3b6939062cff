using System.Buffers.Binary;
using System.Text;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class SafetensorsFileTests
{
    [Theory]
    [InlineData("tiny-bert", "model.safetensors")]
    [InlineData("tiny-roberta", "model.safetensors")]
    [InlineData("tiny-bert", "goldens.safetensors")]
    public void A_rewritten_file_equals_the_reference_librarys_byte_for_byte(string model, string name)
    {
        string original = RepositoryPaths.Fixture(model, name);
        string copy = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "copy.safetensors");
        using SafetensorsFile file = SafetensorsFile.Open(original);

        SafetensorsFile.Write(
            copy,
            file.Tensors.Reverse().Select(t => t.Type == TensorType.F32
                ? TensorToWrite.FromFloats(t.Name, t.Shape, file.ReadFloats(t.Name))
                : TensorToWrite.FromBytes(t, file.ReadBytes(t.Name))),
            file.Metadata);

        Assert.Equal(File.ReadAllBytes(original), File.ReadAllBytes(copy));
    }

    [Fact]
    public void Values_come_back_as_they_were_written()
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "x.safetensors");
        float[] values = [0, -0f, 1.5f, float.Epsilon, float.MaxValue, float.NegativeInfinity];

        SafetensorsFile.Write(path, [
            TensorToWrite.FromFloats("zwölf \"x\"", [2, 3], values),
            TensorToWrite.FromFloats("scalar", [], new[] { 7f }),
            TensorToWrite.FromFloats("nothing", [0, 5], Array.Empty<float>()),
            TensorToWrite.FromFloats("halves", [2], new[] { 1.5f, -2f }, TensorType.F16),
            TensorToWrite.FromIntegers("ids", [3], new long[] { -1, 0, long.MaxValue }),
            TensorToWrite.FromBytes(new TensorEntry("flags", TensorType.Bool, [3]), new byte[] { 1, 0, 1 }),
        ]);

        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.Equal(values, file.ReadFloats("zwölf \"x\""));
        Assert.Equal([2, 3], file.Find("zwölf \"x\"")!.Shape);
        Assert.Equal([7f], file.ReadFloats("scalar"));
        Assert.Empty(file.ReadFloats("nothing"));
        Assert.Equal([1.5f, -2f], file.ReadFloats("halves"));
        Assert.Equal([-1, 0, long.MaxValue], file.ReadIntegers("ids"));
        Assert.Equal([1, 0, 1], file.ReadIntegers("flags"));
        Assert.Equal("pt", file.Metadata["format"]);
        Assert.Null(file.Find("absent"));
        byte[] bytes = File.ReadAllBytes(path);
        Assert.Equal(0, BinaryPrimitives.ReadInt64LittleEndian(bytes) % 8);
        Assert.Equal("x.safetensors", Path.GetFileName(Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!))));
    }

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, null)]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}   """, 8, null)]
    [InlineData("""{}""", 0, null)]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 12, "the tensors end at 8 of the data, expected 12")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 4, "tensor 'a' has data_offsets [0, 8], expected them ascending and at most 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "tensor 'a' has data_offsets [8, 0]")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "tensor 'a' of type F32 has shape [3], which does not fit its 8 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "shape is an array, expected integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,0]}}""", 0, "shape [4294967296, 4294967296, 4], which does not fit its 0 bytes")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,0]}}""", 0, "which does not fit its 0 bytes")]
    [InlineData("""{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}""", 8, "tensor 'a'.dtype is 'F31', expected a type of safetensors")]
    [InlineData("""{"a":{"shape":[2],"data_offsets":[0,8]}}""", 8, "tensor 'a'.dtype is missing")]
    [InlineData("""{"a":{"dtype":"F32","data_offsets":[0,8]}}""", 8, "tensor 'a' has no shape")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}}""", 8, "tensor 'a' has no pair of data_offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8.0]}}""", 8, "data_offsets is an array, expected integers")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "tensor 'b' begins at 0 of the data, expected 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, "tensor 'b' begins at 8 of the data, expected 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "not valid JSON")]
    [InlineData("""{"a":7}""", 0, "tensor 'a' is 7, expected an object")]
    [InlineData("""{"__metadata__":{"format":7}}""", 0, "__metadata__.format is 7, expected a string")]
    [InlineData("""[]""", 0, "the document is an array, expected an object")]
    public void A_header_that_lies_is_refused(string header, int dataLength, string? refusal)
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "x.safetensors");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes((long)header.Length), .. Encoding.ASCII.GetBytes(header), .. new byte[dataLength]]);

        if (refusal is null)
        {
            SafetensorsFile.Open(path).Dispose();
            return;
        }

        InvalidDataException thrown = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path).Dispose());
        Assert.StartsWith($"{path}: ", thrown.Message, StringComparison.Ordinal);
        Assert.Contains(refusal, thrown.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0x7FFF_FFFF_FFFF_FFFF)]
    [InlineData(-1)]
    [InlineData(99_999_999)]
    [InlineData(1)]
    public void A_header_length_that_lies_is_refused_before_anything_is_allocated_for_it(long length)
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "x.safetensors");
        File.WriteAllBytes(path, [.. BitConverter.GetBytes(length), .. "{}      "u8]);

        long before = GC.GetAllocatedBytesForCurrentThread();
        InvalidDataException thrown = Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path).Dispose());

        Assert.Contains($"the header says it is {(ulong)length} bytes long, expected 2 to 8 in a file of 16 bytes", thrown.Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Fact]
    public void A_file_of_nothing_and_a_directory_are_refused_as_such()
    {
        string directory = RepositoryPaths.NewTemporaryDirectory();
        string path = Path.Combine(directory, "x.safetensors");
        File.WriteAllBytes(path, []);

        Assert.Equal($"{path}: 0 bytes long, too short for safetensors", Assert.Throws<InvalidDataException>(() => SafetensorsFile.Open(path)).Message);
        Assert.ThrowsAny<IOException>(() => SafetensorsFile.Open(Path.Combine(directory, "absent.safetensors")));
    }

    [Fact]
    public void A_tensor_of_another_kind_than_was_asked_for_is_refused()
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "x.safetensors");
        SafetensorsFile.Write(path, [TensorToWrite.FromIntegers("ids", [1], new long[] { 5 }), TensorToWrite.FromFloats("x", [1], new[] { 5f })]);
        using SafetensorsFile file = SafetensorsFile.Open(path);

        Assert.Equal($"{path}: tensor 'ids' has type I64, expected F32, F16, BF16 or F64", Assert.Throws<InvalidDataException>(() => file.ReadFloats("ids")).Message);
        Assert.Equal($"{path}: tensor 'x' has type F32, expected I64, I32, U8 or BOOL", Assert.Throws<InvalidDataException>(() => file.ReadIntegers("x")).Message);
        Assert.Equal($"{path}: tensor 'y' is missing", Assert.Throws<InvalidDataException>(() => file.ReadFloats("y")).Message);
    }

    [Fact]
    public void A_failed_write_leaves_the_old_file()
    {
        string path = Path.Combine(RepositoryPaths.NewTemporaryDirectory(), "x.safetensors");
        SafetensorsFile.Write(path, [TensorToWrite.FromFloats("x", [1], new[] { 5f })]);

        Assert.Throws<ArgumentException>(() => SafetensorsFile.Write(path, [TensorToWrite.FromFloats("x", [2], () => new float[1])]));
        Assert.Throws<ArgumentException>(() => SafetensorsFile.Write(path, [TensorToWrite.FromFloats("x", [1], new float[1]), TensorToWrite.FromFloats("x", [1], new float[1])]));
        Assert.Throws<ArgumentException>(() => TensorToWrite.FromFloats("x", [2], new float[1]));
        Assert.Throws<ArgumentException>(() => TensorToWrite.FromFloats("x", [1], new float[1], TensorType.I64));

        using SafetensorsFile file = SafetensorsFile.Open(path);
        Assert.Equal([5f], file.ReadFloats("x"));
        Assert.Single(Directory.GetFiles(Path.GetDirectoryName(path)!));
    }
}
