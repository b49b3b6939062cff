using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace SimCse.Training.Kernels;

/// <summary>
/// The innermost piece of a bfloat16 matrix product with float32 sums, C[r, 0…31] (+)= Σ_k A[r, 2k] · B[2k, 0…31] + A[r, 2k+1] · B[2k+1, 0…31] for 12, 4 or 1 rows r. Pairs of
/// neighbouring k stand in one 32-bit word, the even one low; so strides and depth count words, and everything around it is as for <see cref="Fp32Tile"/>.
/// </summary>
/// <remarks>
/// .NET 10 has no intrinsic for VDPBF16PS (AVX512_BF16), the instruction that does it, so the tile's machine code is written here, at first use, into memory of its own: the loop of
/// <see cref="Fp32Tile"/> with the one instruction exchanged. Encodings: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, section 2.7 (EVEX).
/// </remarks>
internal static unsafe partial class Bf16Tile
{
    private const int Rax = 0, Rcx = 1, Rdx = 2, Rsi = 6, Rdi = 7, R8 = 8, R9 = 9, R10 = 10, R11 = 11;
    private const int LeftB = 24, RightB = 25, Broadcast = 26; // the vector registers behind the 24 sums

    private static readonly delegate* unmanaged<Call*, void> s_rows12, s_rows4, s_rows1;

#pragma warning disable CA1810, S3963 // the three depend on one another's memory
    static Bf16Tile()
#pragma warning restore CA1810, S3963
    {
        if (!HasInstruction || !(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS()) || RuntimeInformation.ProcessArchitecture != Architecture.X64)
        {
            return;
        }

        byte[][] codes = [Code(12), Code(4), Code(1)];
        byte* memory = ExecutableMemory.Of([.. codes.SelectMany(c => c)]);
        if (memory is not null)
        {
            s_rows12 = (delegate* unmanaged<Call*, void>)memory;
            s_rows4 = (delegate* unmanaged<Call*, void>)(memory + codes[0].Length);
            s_rows1 = (delegate* unmanaged<Call*, void>)(memory + codes[0].Length + codes[1].Length);
        }
    }

    /// <summary>Whether the processor has VDPBF16PS and its vector registers are switched on.</summary>
    public static bool HasInstruction { get; } = Avx512F.IsSupported && X86Base.IsSupported && X86Base.CpuId(0, 0).Eax >= 7 && (X86Base.CpuId(7, 1).Eax & (1 << 5)) != 0;

    /// <summary>Whether tiles can be multiplied here: the instruction, a calling convention that the code is written for, and a system that lets a process write code.</summary>
    public static bool IsSupported => s_rows12 is not null;

    /// <summary>One tile; the parameters are those of <see cref="Fp32Tile.Multiply"/>, in words of two.</summary>
    public static void Multiply(int rows, float* a, nint rowStride, nint depthStride, float* b, nint bStride, nint depth, float* c, nint cStride, bool accumulate)
    {
        Call call = new()
        {
            A = a,
            RowStride = rowStride * sizeof(float),
            DepthStride = depthStride * sizeof(float),
            B = b,
            BStride = bStride * sizeof(float),
            Depth = depth,
            C = c,
            CStride = cStride * sizeof(float),
            Accumulate = accumulate ? 1 : 0,
        };
        (rows == 12 ? s_rows12 : rows == 4 ? s_rows4 : s_rows1)(&call);
    }

    /// <summary>The code of a tile of that many rows, for the System V calling convention: the address of a <see cref="Call"/> in rdi.</summary>
    internal static byte[] Code(int rows)
    {
        MachineCode code = new();
        int[] bases = [Rax, Rcx, Rdx, Rsi]; // rows 0, 3, 6, 9 of A; the two rows behind each are reached by the index register
        code.Load(bases[0], Rdi, 0);
        code.Load(R8, Rdi, 8);
        code.Load(R9, Rdi, 16);
        code.Load(R10, Rdi, 24);
        code.Load(R11, Rdi, 32);
        int groups = (rows + 2) / 3;
        for (int group = 1; group < groups; group++)
        {
            code.Move(bases[group], bases[group - 1]);
            code.Add(bases[group], R8);
            code.Add(bases[group], R8);
            code.Add(bases[group], R8);
        }

        for (int sum = 0; sum < 2 * rows; sum++)
        {
            code.Xor(sum);
        }

        code.Push(Rdi);
        code.Load(Rdi, Rdi, 40);
        int loop = code.Length;
        code.LoadVector(LeftB, R10, 0);
        code.LoadVector(RightB, R10, 1);
        for (int row = 0; row < rows; row++)
        {
            int word = Broadcast + (row % 4);
            code.BroadcastWord(word, bases[row / 3], row % 3 == 0 ? null : R8, row % 3);
            code.DotPairs(2 * row, LeftB, word);
            code.DotPairs((2 * row) + 1, RightB, word);
        }

        for (int group = 0; group < groups; group++)
        {
            code.Add(bases[group], R9);
        }

        code.Add(R10, R11);
        code.DecrementAndLoop(Rdi, loop);
        code.Pop(Rdi);
        code.Load(Rax, Rdi, 48);
        code.Load(Rcx, Rdi, 56);
        code.Load(Rdx, Rdi, 64);
        int toStore = code.JumpIfZero(Rdx);
        code.Move(Rsi, Rax);
        for (int row = 0; row < rows; row++)
        {
            code.AddFrom(2 * row, Rsi, 0);
            code.AddFrom((2 * row) + 1, Rsi, 1);
            code.Add(Rsi, Rcx);
        }

        code.Land(toStore);
        for (int row = 0; row < rows; row++)
        {
            code.StoreVector(2 * row, Rax, 0);
            code.StoreVector((2 * row) + 1, Rax, 1);
            code.Add(Rax, Rcx);
        }

        code.Return();
        return code.ToArray();
    }

    /// <summary>What the code reads; strides in bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Call
    {
        public float* A;
        public nint RowStride, DepthStride;
        public float* B;
        public nint BStride, Depth;
        public float* C;
        public nint CStride, Accumulate;
    }

    /// <summary>The few instructions that a tile needs.</summary>
    private sealed class MachineCode
    {
        private const int Map0F = 1, Map0F38 = 2, NoPrefix = 0, Prefix66 = 1, PrefixF3 = 2;

        private readonly List<byte> _bytes = [];

        public int Length => _bytes.Count;

        public byte[] ToArray() => [.. _bytes];

        // mov register, [from + offset]
        public void Load(int register, int from, byte offset) => _bytes.AddRange([(byte)(0x48 | (register >> 3 << 2)), 0x8B, (byte)(0x40 | ((register & 7) << 3) | from), offset]);

        public void Move(int to, int from) => Plain(0x89, to, from);

        public void Add(int to, int value) => Plain(0x01, to, value);

        public void Push(int register) => _bytes.Add((byte)(0x50 | register));

        public void Pop(int register) => _bytes.Add((byte)(0x58 | register));

        // dec register; jnz target
        public void DecrementAndLoop(int register, int target)
        {
            _bytes.AddRange([0x48, 0xFF, (byte)(0xC8 | register), 0x0F, 0x85]);
            _bytes.AddRange(BitConverter.GetBytes(target - (Length + 4)));
        }

        // test register, register; jz …, to be landed
        public int JumpIfZero(int register)
        {
            _bytes.AddRange([0x48, 0x85, (byte)(0xC0 | (register << 3) | register), 0x0F, 0x84, 0, 0, 0, 0]);
            return Length;
        }

        public void Land(int jump)
        {
            byte[] distance = BitConverter.GetBytes(Length - jump);
            for (int i = 0; i < 4; i++)
            {
                _bytes[jump - 4 + i] = distance[i];
            }
        }

        // vzeroupper; ret
        public void Return() => _bytes.AddRange([0xC5, 0xF8, 0x77, 0xC3]);

        // vpxord z, z, z
        public void Xor(int vector)
        {
            Evex(Map0F, Prefix66, vector, vector, (vector >> 3) & 1, vector >> 4, 0xEF);
            _bytes.Add((byte)(0xC0 | ((vector & 7) << 3) | (vector & 7)));
        }

        // vdpbf16ps sum, pairs, word
        public void DotPairs(int sum, int pairs, int word)
        {
            Evex(Map0F38, PrefixF3, sum, pairs, (word >> 3) & 1, word >> 4, 0x52);
            _bytes.Add((byte)(0xC0 | ((sum & 7) << 3) | (word & 7)));
        }

        // vmovups z, [from + 64 · place]
        public void LoadVector(int vector, int from, byte place) => WithMemory(NoPrefix, vector, 0, 0x10, from, place);

        public void StoreVector(int vector, int to, byte place) => WithMemory(NoPrefix, vector, 0, 0x11, to, place);

        // vaddps z, z, [from + 64 · place]
        public void AddFrom(int vector, int from, byte place) => WithMemory(NoPrefix, vector, vector, 0x58, from, place);

        // vpbroadcastd z, [start + index · scale]
        public void BroadcastWord(int vector, int start, int? index, int scale)
        {
            Evex(Map0F38, Prefix66, vector, 0, start >> 3, (index ?? 0) >> 3, 0x58);
            if (index is not { } i)
            {
                _bytes.Add((byte)(((vector & 7) << 3) | (start & 7)));
            }
            else
            {
                _bytes.AddRange([(byte)(((vector & 7) << 3) | 4), (byte)((scale == 2 ? 0x40 : 0) | ((i & 7) << 3) | (start & 7))]);
            }
        }

        private void WithMemory(int prefix, int vector, int second, byte opcode, int address, byte place)
        {
            Evex(Map0F, prefix, vector, second, address >> 3, 0, opcode);
            _bytes.AddRange([(byte)(0x40 | ((vector & 7) << 3) | (address & 7)), place]); // an 8-bit offset counts whole vectors
        }

        // The EVEX prefix for 512 bits without masking, and the opcode; the register bits stand inverted in it.
        private void Evex(int map, int prefix, int register, int second, int b, int x, byte opcode) => _bytes.AddRange(
        [
            0x62,
            (byte)((Inverted(register >> 3) << 7) | (Inverted(x) << 6) | (Inverted(b) << 5) | (Inverted(register >> 4) << 4) | map),
            (byte)(((~second & 15) << 3) | 4 | prefix),
            (byte)(0x40 | (Inverted(second >> 4) << 3)),
            opcode,
        ]);

        private void Plain(byte opcode, int to, int from) =>
            _bytes.AddRange([(byte)(0x48 | (from >> 3 << 2) | (to >> 3)), opcode, (byte)(0xC0 | ((from & 7) << 3) | (to & 7))]);

        private static int Inverted(int bit) => ~bit & 1;
    }

    /// <summary>Memory of the system that holds code: written first, then made executable and read-only.</summary>
    private static partial class ExecutableMemory
    {
        private const int Read = 1, Write = 2, Execute = 4, Private = 2;

        /// <summary>The address of the code; null where the system does not allow it.</summary>
        public static byte* Of(byte[] code)
        {
            int anonymous = OperatingSystem.IsMacOS() ? 0x1000 : 0x20;
            nint memory = Map(0, (nuint)code.Length, Read | Write, Private | anonymous, -1, 0);
            if (memory == -1)
            {
                return null;
            }

            code.CopyTo(new Span<byte>((void*)memory, code.Length));
            if (Protect(memory, (nuint)code.Length, Read | Execute) != 0)
            {
                _ = Unmap(memory, (nuint)code.Length);
                return null;
            }

            return (byte*)memory;
        }

        [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        private static partial nint Map(nint address, nuint length, int protection, int flags, int file, long offset);

        [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        private static partial int Protect(nint address, nuint length, int protection);

        [LibraryImport("libc", EntryPoint = "munmap", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        private static partial int Unmap(nint address, nuint length);
    }
}
