using System.IO.Compression;
using System.Runtime.InteropServices;
using System.Text;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

public sealed class TorchFileTests
{
    private static readonly float[] s_six = [0, 1, 2, 3, 4, 5];

    [Theory]
    [InlineData(0, new long[] { 2, 3 }, new long[] { 3, 1 }, new float[] { 0, 1, 2, 3, 4, 5 })]
    [InlineData(0, new long[] { 3, 2 }, new long[] { 1, 3 }, new float[] { 0, 3, 1, 4, 2, 5 })]
    [InlineData(1, new long[] { 2, 2 }, new long[] { 3, 1 }, new float[] { 1, 2, 4, 5 })]
    [InlineData(5, new long[] { }, new long[] { }, new float[] { 5 })]
    [InlineData(2, new long[] { 1, 2 }, new long[] { 77, 2 }, new float[] { 2, 4 })]
    [InlineData(6, new long[] { 0, 9 }, new long[] { 9, 1 }, new float[] { })]
    [InlineData(0, new long[] { 2, 1, 3 }, new long[] { 1, 5, 2 }, new float[] { 0, 2, 4, 1, 3, 5 })]
    public void A_view_is_read_by_its_offset_and_strides(long offset, long[] shape, long[] strides, float[] expected)
    {
        using TorchFile file = Open(new PickleWriter().Op('}').Text("x").Tensor("FloatStorage", "0", 6, offset, shape, strides).Op('s').Stop());

        TensorEntry tensor = Assert.Single(file.Tensors);
        float[] values = new float[tensor.Count];
        file.Read(tensor, values);
        using MemoryStream stored = new();
        file.CopyTo(tensor, stored);

        Assert.Equal(expected, values);
        Assert.Equal(MemoryMarshal.AsBytes(expected.AsSpan()).ToArray(), stored.ToArray());
    }

    [Fact]
    public void A_state_dictionary_with_parameters_metadata_and_the_opcodes_of_protocol_4_is_read()
    {
        byte[] pickle = new PickleWriter().Raw(0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0)
            .Raw(0x8c, 11).Raw("collections"u8).Raw(0x94, 0x8c, 11).Raw("OrderedDict"u8).Raw(0x94, 0x93, 0x94).Op(')').Op('R').Raw(0x94)
            .Op('(').Text("x").Global("torch._utils", "_rebuild_parameter").Op('(').Tensor("FloatStorage", "0", 6, 0, [6], [1]).Raw(0x88).Raw((byte)'h', 2).Op(')').Op('R').Op('t').Op('R').Op('u')
            .Op('}').Text("_metadata").Raw((byte)'h', 2).Op(')').Op('R').Op('(').Text("").Op('}').Text("version").Raw((byte)'K', 1).Op('s').Op('u').Op('s').Op('b').Stop();

        using TorchFile file = Open(pickle);

        Assert.Equal("x", Assert.Single(file.Tensors).Name);
    }

    [Theory]
    [InlineData("HalfStorage", TensorType.F16, 2)]
    [InlineData("BFloat16Storage", TensorType.BF16, 2)]
    [InlineData("DoubleStorage", TensorType.F64, 8)]
    [InlineData("LongStorage", TensorType.I64, 8)]
    [InlineData("BoolStorage", TensorType.Bool, 1)]
    public void Storage_types_give_tensor_types(string storage, TensorType type, int size)
    {
        using TorchFile file = Open(new PickleWriter().Op('}').Text("x").Tensor(storage, "0", 24 / size, 0, [24 / size], [1]).Op('s').Stop());

        Assert.Equal(type, Assert.Single(file.Tensors).Type);
    }

    [Theory]
    [InlineData(0, 6, new long[] { 7 }, new long[] { 1 }, "does not lie inside the 6 elements")]
    [InlineData(1, 6, new long[] { 6 }, new long[] { 1 }, "does not lie inside the 6 elements")]
    [InlineData(0, 6, new long[] { 2, 2 }, new long[] { 5, 1 }, "does not lie inside the 6 elements")]
    [InlineData(0, 6, new long[] { 1_000_000_000 }, new long[] { 0 }, "does not lie inside the 6 elements")]
    [InlineData(0, 6, new long[] { long.MaxValue, long.MaxValue }, new long[] { 1, 1 }, "does not lie inside the 6 elements")]
    [InlineData(0, 6, new long[] { 2, 2, 1 }, new long[] { long.MaxValue, long.MaxValue, 1 }, "does not lie inside the 6 elements")]
    [InlineData(long.MaxValue, 6, new long[] { 2 }, new long[] { 1 }, "does not lie inside the 6 elements")]
    [InlineData(-1, 6, new long[] { 2 }, new long[] { 1 }, "does not lie inside the 6 elements")]
    [InlineData(0, 6, new long[] { -2 }, new long[] { 1 }, "a size or stride that is not a number of at least 0")]
    [InlineData(0, 6, new long[] { 2 }, new long[] { 1, 1 }, "has 1 sizes and 2 strides")]
    [InlineData(0, 7, new long[] { 6 }, new long[] { 1 }, "data/'0' is said to hold 7 elements of F32, but it has 24 bytes")]
    [InlineData(0, long.MaxValue, new long[] { 6 }, new long[] { 1 }, "data/'0' is said to hold 9223372036854775807 elements of F32, but it has 24 bytes")]
    [InlineData(0, -1, new long[] { 6 }, new long[] { 1 }, "a persistent id that is not")]
    public void A_view_that_leaves_its_storage_is_refused(long offset, long count, long[] shape, long[] strides, string message) =>
        Assert.Contains(message, Refusal(new PickleWriter().Op('}').Text("x").Tensor("FloatStorage", "0", count, offset, shape, strides).Op('s').Stop()), StringComparison.Ordinal);

    public static TheoryData<string, byte[], string> Attacks => new()
    {
        { "os.system", new PickleWriter().Global("os", "system").Text("id").Raw(0x85).Op('R').Stop(), "'os.system'" },
        { "posix.system", new PickleWriter().Global("posix", "system").Text("id").Raw(0x85).Op('R').Stop(), "'posix.system'" },
        { "builtins.eval", new PickleWriter().Global("builtins", "eval").Text("1").Raw(0x85).Op('R').Stop(), "'builtins.eval'" },
        { "__builtin__.exec", new PickleWriter().Global("__builtin__", "exec").Stop(), "'__builtin__.exec'" },
        { "torch.load", new PickleWriter().Global("torch", "load").Stop(), "'torch.load'" },
        { "a dotted name", new PickleWriter().Global("torch._utils", "_rebuild_tensor_v2.__globals__").Stop(), "'torch._utils._rebuild_tensor_v2.__globals__'" },
        { "INST", new PickleWriter().Op('(').Raw((byte)'i').Raw("os\nsystem\n"u8).Stop(), "'os.system'" },
        { "STACK_GLOBAL", new PickleWriter().Text("subprocess").Text("Popen").Raw(0x93).Stop(), "'subprocess.Popen'" },
        { "STACK_GLOBAL of numbers", new PickleWriter().Number(1).Number(2).Raw(0x93).Stop(), "'?.?'" },
        { "OBJ", new PickleWriter().Op('(').Global("collections", "OrderedDict").Op('o').Stop(), "opcode 0x6f (OBJ)" },
        { "NEWOBJ", new PickleWriter().Global("collections", "OrderedDict").Op(')').Raw(0x81).Stop(), "opcode 0x81 (NEWOBJ)" },
        { "NEWOBJ_EX", new PickleWriter().Global("collections", "OrderedDict").Op(')').Op('}').Raw(0x92).Stop(), "opcode 0x92 (NEWOBJ_EX)" },
        { "EXT1", new PickleWriter().Raw(0x82, 1).Stop(), "opcode 0x82 (EXT" },
        { "EXT2", new PickleWriter().Raw(0x83, 1, 0).Stop(), "opcode 0x83 (EXT" },
        { "EXT4", new PickleWriter().Raw(0x84, 1, 0, 0, 0).Stop(), "opcode 0x84 (EXT" },
        { "PERSID", new PickleWriter().Op('P').Raw("x\n"u8).Stop(), "opcode 0x50 (PERSID)" },
        { "a persistent id of another kind", new PickleWriter().Text("module").Op('Q').Stop(), "a persistent id that is not" },
        { "BUILD of a tensor's attributes", new PickleWriter().Tensor("FloatStorage", "0", 6, 0, [6], [1]).Op('}').Text("data").Op('N').Op('s').Op('b').Stop(), "BUILD" },
        { "BUILD of other attributes", new PickleWriter().Global("collections", "OrderedDict").Op(')').Op('R').Op('}').Text("__class__").Op('N').Op('s').Op('b').Stop(), "BUILD" },
        { "a call of a storage type", new PickleWriter().Global("torch", "FloatStorage").Op(')').Op('R').Stop(), "a call of" },
        { "a call of a string", new PickleWriter().Text("system").Op(')').Op('R').Stop(), "a call of" },
        { "OrderedDict with arguments", new PickleWriter().Global("collections", "OrderedDict").Number(1).Raw(0x85).Op('R').Stop(), "a call of" },
        { "a memo that was never put", new PickleWriter().Raw((byte)'h', 9).Stop(), "memo 9, which was never put" },
        { "an empty stack", new PickleWriter().Op('R').Stop(), "2 values, but there are 0 on the stack" },
        { "what lies under a mark", new PickleWriter().Op('}').Op('(').Text("x").Op('s').Stop(), "2 values, but there are 1 on the stack" },
        { "two values left", new PickleWriter().Op('}').Op('}').Stop(), "an end with 2 values left" },
        { "no dictionary", new PickleWriter().Op(')').Stop(), "holds no dictionary of tensors" },
        { "no tensor", new PickleWriter().Op('}').Text("epoch").Number(3).Op('s').Stop(), "'epoch' is no tensor" },
        { "a key that is no string", new PickleWriter().Op('}').Number(3).Number(3).Op('s').Stop(), "key that is not a string" },
        { "a key twice", new PickleWriter().Op('}').Text("x").Number(3).Op('s').Text("x").Number(3).Op('s').Stop(), "'x' a second time" },
        { "a string that is longer than the file", new PickleWriter().Op('X').Raw(0xFF, 0xFF, 0xFF, 0xFF).Stop(), "ends in the middle" },
        { "an integer of 255 bytes", new PickleWriter().Raw(0x8a, 255).Raw(new byte[255]).Stop(), "an integer of 255 bytes" },
        { "LONG4", new PickleWriter().Raw(0x8b, 255, 255, 255, 127).Stop(), "opcode 0x8b" },
        { "BINBYTES8", new PickleWriter().Raw(0x8e, 255, 255, 255, 255, 255, 255, 255, 127).Stop(), "opcode 0x8e" },
        { "a frame that is too long", new PickleWriter().Raw(0x95, 255, 255, 255, 255, 255, 255, 255, 255).Stop(), "a frame" },
        { "protocol 0", new PickleWriter().Raw(0x80, 0).Stop(), "pickle protocol 0" },
        { "a line break in a name", new PickleWriter().Text("os\nrm -rf").Text("x").Raw(0x93).Stop(), "'os\uFFFDrm -rf.x'" },
        { "nothing", [], "ends in the middle" },
        { "a name without an end", [0x80, 2, (byte)'c', (byte)'o', (byte)'s'], "a name without an end" },
    };

    [Theory]
    [MemberData(nameof(Attacks))]
    public void A_pickle_that_asks_for_anything_else_is_refused_and_the_message_names_it(string what, byte[] pickle, string message)
    {
        string refusal = Refusal(pickle);

        Assert.True(refusal.Contains(message, StringComparison.Ordinal), $"{what}: {refusal}");
        Assert.DoesNotContain('\n', refusal);
        Assert.Contains("pytorch_model.bin: ", refusal, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData('}')]
    [InlineData('(')]
    [InlineData('N')]
    public void A_long_row_of_one_opcode_takes_memory_in_proportion(char opcode)
    {
        byte[] pickle = new PickleWriter().Raw(Encoding.ASCII.GetBytes(new string(opcode, 4_000_000))).Stop();

        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Throws<InvalidDataException>(() => TensorUnpickler.Read("pytorch_model.bin", pickle));

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 12 * pickle.Length);
    }

    [Fact]
    public void A_memo_bomb_costs_no_more_than_its_bytes()
    {
        // Each tuple holds the one before it twice: 2^20000 leaves, were anyone to walk them.
        PickleWriter bomb = new PickleWriter().Op(')').Raw((byte)'q', 0);
        for (int i = 0; i < 20_000; i++)
        {
            bomb.Raw((byte)'h', 0, 0x86, (byte)'q', 0);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        byte[] pickle = bomb.Stop();
        long building = GC.GetAllocatedBytesForCurrentThread() - before;
        Assert.Contains("holds no dictionary", Assert.Throws<InvalidDataException>(() => TensorUnpickler.Read("pytorch_model.bin", pickle)).Message, StringComparison.Ordinal);

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before - building, 0, 40 * pickle.Length);
    }

    [Fact]
    public void Compressed_entries_are_refused()
    {
        string path = NewPath();
        byte[] pickle = new PickleWriter().Op('}').Text("x").Tensor("FloatStorage", "0", 1 << 20, 0, [1 << 20], [1]).Op('s').Stop();
        TorchArchive.Write(path, pickle, [("0", new byte[4 << 20])], CompressionLevel.SmallestSize);

        InvalidDataException refusal = Assert.Throws<InvalidDataException>(() => TorchFile.Open(path));

        Assert.Contains("is compressed or encrypted", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Layers_that_share_one_small_storage_are_refused()
    {
        // A thousand layers out of the bytes of one: each view is legal by itself.
        ModelCopy copy = ModelCopy.Of("tiny-bert", ["config.json"]).Json("config.json", j => j["num_hidden_layers"] = 900);
        EncoderConfig config = EncoderConfig.Load(copy.PathOf("config.json"));
        PickleWriter pickle = new PickleWriter().Op('}').Op('(');
        foreach (TensorEntry tensor in EncoderTensors.For(config))
        {
            pickle.Text(tensor.Name).Tensor("FloatStorage", "0", 64000, 0, tensor.Shape, tensor.Shape is [_, long columns] ? [columns, 1] : [1]);
        }

        TorchArchive.Write(copy.PathOf("pytorch_model.bin"), pickle.Op('u').Stop(), [("0", new byte[256000])]);

        Assert.Contains("they share storage", copy.Refusal(), StringComparison.Ordinal);
    }

    [Fact]
    public void The_old_form_and_other_files_are_refused_as_what_they_are()
    {
        string path = NewPath();
        File.WriteAllBytes(path, [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e, 0x80, 0x02, 0x4d, 0xe9, 0x03, 0x2e]);
        Assert.Contains("is in the form of PyTorch before 1.6", Assert.Throws<InvalidDataException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);

        File.WriteAllText(path, "version https://git-lfs.github.com/spec/v1\n");
        Assert.Contains("not a whole zip file: it has no end record", Assert.Throws<InvalidDataException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);

        File.WriteAllBytes(path, []);
        Assert.Contains("not a whole zip file", Assert.Throws<InvalidDataException>(() => TorchFile.Open(path)).Message, StringComparison.Ordinal);
    }

    private static string NewPath() => Path.Combine(RepositoryPaths.NewTemporaryDirectory("torch"), "pytorch_model.bin");

    private static TorchFile Open(byte[] pickle)
    {
        string path = NewPath();
        TorchArchive.Write(path, pickle, [("0", MemoryMarshal.AsBytes(s_six.AsSpan()).ToArray())]);
        return TorchFile.Open(path);
    }

    private static string Refusal(byte[] pickle) => Assert.Throws<InvalidDataException>(() => Open(pickle).Dispose()).Message;
}
