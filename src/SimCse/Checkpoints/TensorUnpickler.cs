using System.Buffers.Binary;
using System.Text;

namespace SimCse.Checkpoints;

/// <summary>A block of numbers in the archive: <c>data/KEY</c>, <paramref name="Count"/> elements.</summary>
internal sealed record TorchStorage(TensorType Type, string Key, long Count);

/// <summary>A tensor as a pickle tells of it: element (i, j, …) is element Offset + i·Strides[0] + j·Strides[1] + … of the storage.</summary>
internal sealed record TorchView(TorchStorage Storage, long Offset, long[] Shape, long[] Strides);

/// <summary>
/// An interpreter of Python's pickles that knows what a dictionary of tensors needs and nothing else: some thirty opcodes, and the globals <c>collections.OrderedDict</c>,
/// <c>torch._utils._rebuild_tensor_v2</c>, <c>torch._utils._rebuild_parameter</c> and the storage types. Nothing is looked up, imported or run: a global is a value of
/// an enumeration here. Anything else ends in an <see cref="InvalidDataException"/> that names it. Time and memory are linear in the pickle's length: there is no
/// opcode that repeats or copies, and none that recurses.
/// </summary>
/// <remarks>Opcodes: CPython's Lib/pickletools.py. The set is within that of PyTorch's own torch/_weights_only_unpickler.py, but for protocol 4's way to write the same.</remarks>
internal sealed class TensorUnpickler
{
    /// <summary>Python puts a dictionary's items on the stack by the thousand.</summary>
    private const int MaximumStack = 1 << 16;

    private readonly string _file;
    private readonly byte[] _pickle;
    private readonly List<object?> _stack = [];
    private readonly List<int> _marks = [];
    private readonly Dictionary<uint, object?> _memo = [];
    private int _at;

    private TensorUnpickler(string file, byte[] pickle)
    {
        _file = file;
        _pickle = pickle;
    }

    private enum Callable
    {
        OrderedDictionary,
        RebuildTensor,
        RebuildParameter,
    }

    /// <summary>The tensors of a pickled dictionary, by name.</summary>
    /// <param name="file">What messages call it.</param>
    /// <param name="pickle">The bytes of <c>data.pkl</c>.</param>
    /// <exception cref="InvalidDataException">It is anything but a dictionary of tensors.</exception>
    public static Dictionary<string, TorchView> Read(string file, byte[] pickle)
    {
        TensorUnpickler unpickler = new(file, pickle);
        if (unpickler.Run() is not Dict root)
        {
            throw new InvalidDataException($"{file}: holds no dictionary of tensors");
        }

        Dictionary<string, TorchView> tensors = new(StringComparer.Ordinal);
        foreach ((string name, object? value) in root.Items ?? [])
        {
            tensors.Add(name, value as TorchView ?? throw new InvalidDataException($"{file}: {JsonFields.Quote(name)} is no tensor; expected a dictionary of tensors, as save_pretrained writes it"));
        }

        return tensors;
    }

    private object? Run()
    {
        while (true)
        {
            int start = _at;
            byte opcode = Bytes(1)[0];
            switch (opcode)
            {
                case 0x80: // PROTO
                    if (Bytes(1)[0] is var protocol && protocol is < 2 or > 5)
                    {
                        throw Refused(start, $"pickle protocol {protocol}, expected 2 to 5");
                    }

                    break;
                case 0x95: // FRAME: the length of what follows, for readers of streams
                    if (BinaryPrimitives.ReadUInt64LittleEndian(Bytes(8)) > (ulong)(_pickle.Length - _at))
                    {
                        throw Refused(start, "a frame that is longer than the pickle");
                    }

                    break;
                case (byte)'.': // STOP
                    return _stack.Count == 1 && _marks.Count == 0 ? _stack[0] : throw Refused(start, $"an end with {_stack.Count} values left");
                case (byte)'(': // MARK
                    _marks.Add(_stack.Count);
                    break;
                case (byte)'N': // NONE
                    Push(null);
                    break;
                case 0x88: // NEWTRUE
                    Push(true);
                    break;
                case 0x89: // NEWFALSE
                    Push(false);
                    break;
                case (byte)'K': // BININT1
                    Push((long)Bytes(1)[0]);
                    break;
                case (byte)'M': // BININT2
                    Push((long)BinaryPrimitives.ReadUInt16LittleEndian(Bytes(2)));
                    break;
                case (byte)'J': // BININT
                    Push((long)BinaryPrimitives.ReadInt32LittleEndian(Bytes(4)));
                    break;
                case 0x8a: // LONG1
                    Push(ReadLong(start));
                    break;
                case (byte)'X': // BINUNICODE
                    Push(ReadText(BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))));
                    break;
                case 0x8c: // SHORT_BINUNICODE
                    Push(ReadText(Bytes(1)[0]));
                    break;
                case (byte)'}': // EMPTY_DICT
                    Push(new Dict(ordered: false));
                    break;
                case (byte)')': // EMPTY_TUPLE
                    Push(Array.Empty<object?>());
                    break;
                case 0x85 or 0x86 or 0x87: // TUPLE1, TUPLE2, TUPLE3
                    Push(PopMany(start, opcode - 0x84));
                    break;
                case (byte)'t': // TUPLE
                    Push(PopMany(start, CountSinceMark(start)));
                    break;
                case (byte)'s': // SETITEM
                    SetItems(start, PopMany(start, 2));
                    break;
                case (byte)'u': // SETITEMS
                    SetItems(start, PopMany(start, CountSinceMark(start)));
                    break;
                case (byte)'q': // BINPUT
                    _memo[Bytes(1)[0]] = Peek(start);
                    break;
                case (byte)'r': // LONG_BINPUT
                    _memo[BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))] = Peek(start);
                    break;
                case 0x94: // MEMOIZE
                    _memo[(uint)_memo.Count] = Peek(start);
                    break;
                case (byte)'h': // BINGET
                    Push(Recall(start, Bytes(1)[0]));
                    break;
                case (byte)'j': // LONG_BINGET
                    Push(Recall(start, BinaryPrimitives.ReadUInt32LittleEndian(Bytes(4))));
                    break;
                case (byte)'c': // GLOBAL
                    Push(Global(start, ReadLine(start), ReadLine(start)));
                    break;
                case 0x93: // STACK_GLOBAL
                    object?[] names = PopMany(start, 2);
                    Push(Global(start, names[0] as string ?? "?", names[1] as string ?? "?"));
                    break;
                case (byte)'Q': // BINPERSID
                    Push(Storage(start, PopMany(start, 1)[0]));
                    break;
                case (byte)'R': // REDUCE
                    object?[] call = PopMany(start, 2);
                    Push(Call(start, call[0], call[1] as object?[]));
                    break;
                case (byte)'b': // BUILD
                    // PyTorch hangs each module's version, _metadata, on the dictionary: nothing that a tensor needs.
                    object?[] build = PopMany(start, 2);
                    if (build is not [Dict { Ordered: true } target, Dict { Items: { Count: 1 } state }] || !state.ContainsKey("_metadata"))
                    {
                        throw Refused(start, "BUILD of something else than a dictionary's _metadata");
                    }

                    Push(target);
                    break;
                case (byte)'i': // INST: a global and a call in one; named so that the message tells what was tried
                    throw Foreign(start, ReadLine(start), ReadLine(start));
                default:
                    throw Refused(start, $"opcode 0x{opcode:x2}{Name(opcode)}");
            }
        }
    }

    /// <summary>Names, for messages, of what an attack would use.</summary>
    private static string Name(byte opcode) => opcode switch
    {
        0x81 => " (NEWOBJ)",
        0x82 or 0x83 or 0x84 => " (EXT: a registered extension)",
        0x92 => " (NEWOBJ_EX)",
        (byte)'o' => " (OBJ)",
        (byte)'P' => " (PERSID)",
        (byte)'0' => " (POP)",
        (byte)'2' => " (DUP)",
        _ => "",
    };

    private object Global(int start, string module, string name) => (module, name) switch
    {
        ("collections", "OrderedDict") => Callable.OrderedDictionary,
        ("torch._utils", "_rebuild_tensor_v2") => Callable.RebuildTensor,
        ("torch._utils", "_rebuild_parameter") => Callable.RebuildParameter,
        ("torch", "FloatStorage") => TensorType.F32,
        ("torch", "HalfStorage") => TensorType.F16,
        ("torch", "BFloat16Storage") => TensorType.BF16,
        ("torch", "DoubleStorage") => TensorType.F64,
        ("torch", "LongStorage") => TensorType.I64,
        ("torch", "IntStorage") => TensorType.I32,
        ("torch", "ShortStorage") => TensorType.I16,
        ("torch", "CharStorage") => TensorType.I8,
        ("torch", "ByteStorage") => TensorType.U8,
        ("torch", "BoolStorage") => TensorType.Bool,
        _ => throw Foreign(start, module, name),
    };

    private TorchStorage Storage(int start, object? id) =>
        id is object?[] and ["storage", TensorType type, string key, string, long and >= 0 and var count]
            ? new TorchStorage(type, key, count)
            : throw Refused(start, "a persistent id that is not ('storage', type, key, location, number of elements)");

    private object Call(int start, object? callable, object?[]? arguments)
    {
        switch (callable, arguments)
        {
            case (Callable.OrderedDictionary, []):
                return new Dict(ordered: true);
            case (Callable.RebuildTensor, [TorchStorage storage, long offset, object?[] size, object?[] stride, bool, Dict or null]):
            case (Callable.RebuildTensor, [TorchStorage, long, object?[], object?[], bool, Dict or null, Dict or null]):
                return new TorchView((TorchStorage)arguments[0]!, (long)arguments[1]!, Numbers(start, (object?[])arguments[2]!), Numbers(start, (object?[])arguments[3]!));
            case (Callable.RebuildParameter, [TorchView view, bool, Dict or null]):
                return view;
            default:
                throw Refused(start, $"a call of {(callable is Callable known ? known.ToString() : "something that is no function of PyTorch's")} with arguments that PyTorch does not give");
        }
    }

    private long[] Numbers(int start, object?[] tuple)
    {
        long[] numbers = new long[tuple.Length];
        for (int i = 0; i < tuple.Length; i++)
        {
            numbers[i] = tuple[i] is long and >= 0 and var number ? number : throw Refused(start, "a size or stride that is not a number of at least 0");
        }

        return numbers;
    }

    private void SetItems(int start, object?[] pairs)
    {
        if (Peek(start) is not Dict target || pairs.Length % 2 != 0)
        {
            throw Refused(start, "items that are put into something else than a dictionary");
        }

        for (int i = 0; i < pairs.Length; i += 2)
        {
            if (pairs[i] is not string key)
            {
                throw Refused(start, "a dictionary's key that is not a string");
            }

            if (!target.Add(key, pairs[i + 1]))
            {
                throw Refused(start, $"{JsonFields.Quote(key)} a second time in one dictionary");
            }
        }
    }

    private void Push(object? value)
    {
        if (_stack.Count == MaximumStack)
        {
            throw Refused(_at, $"more than {MaximumStack} values on the stack");
        }

        _stack.Add(value);
    }

    private object? Peek(int start) => _stack.Count > Floor ? _stack[^1] : throw Refused(start, "a value, but there is none on the stack");

    /// <summary>What is under the last mark belongs to what was begun before it.</summary>
    private int Floor => _marks.Count == 0 ? 0 : _marks[^1];

    private object?[] PopMany(int start, int count)
    {
        if (_stack.Count - count < Floor)
        {
            throw Refused(start, $"{count} values, but there are {_stack.Count - Floor} on the stack");
        }

        object?[] values = count == 0 ? [] : [.. _stack[^count..]];
        _stack.RemoveRange(_stack.Count - count, count);
        return values;
    }

    private int CountSinceMark(int start)
    {
        if (_marks.Count == 0)
        {
            throw Refused(start, "a mark, but there is none on the stack");
        }

        int count = _stack.Count - _marks[^1];
        _marks.RemoveAt(_marks.Count - 1);
        return count;
    }

    private object? Recall(int start, uint index) => _memo.TryGetValue(index, out object? value) ? value : throw Refused(start, $"memo {index}, which was never put");

    private ReadOnlySpan<byte> Bytes(long count)
    {
        if (count > _pickle.Length - _at)
        {
            throw new InvalidDataException($"{_file}: the pickle ends in the middle, at byte {_at} of {_pickle.Length}, where {count} more were expected");
        }

        ReadOnlySpan<byte> bytes = _pickle.AsSpan(_at, (int)count);
        _at += (int)count;
        return bytes;
    }

    private long ReadLong(int start)
    {
        int count = Bytes(1)[0];
        if (count > sizeof(long))
        {
            throw Refused(start, $"an integer of {count} bytes");
        }

        ReadOnlySpan<byte> bytes = Bytes(count);
        long value = count > 0 && bytes[^1] >= 0x80 ? -1 : 0;
        for (int i = count - 1; i >= 0; i--)
        {
            value = (value << 8) | bytes[i];
        }

        return value;
    }

    private string ReadText(uint length) => Encoding.UTF8.GetString(Bytes(length));

    private string ReadLine(int start)
    {
        int length = _pickle.AsSpan(_at).IndexOf((byte)'\n');
        if (length < 0)
        {
            throw Refused(start, "a name without an end");
        }

        string line = ReadText((uint)length);
        _at++;
        return line;
    }

    private InvalidDataException Foreign(int start, string module, string name) => Refused(start, $"the global {JsonFields.Quote($"{module}.{name}")}, which no tensor needs");

    private InvalidDataException Refused(int start, string what) => new($"{_file}: refused: at byte {start} the pickle asks for {what}");

    /// <summary>A dictionary of Python; its table is made with its first item.</summary>
    private sealed class Dict(bool ordered)
    {
        public bool Ordered { get; } = ordered;

        public Dictionary<string, object?>? Items { get; private set; }

        public bool Add(string key, object? value) => (Items ??= new Dictionary<string, object?>(StringComparer.Ordinal)).TryAdd(key, value);
    }
}
