using System.Numerics;
using System.Runtime.InteropServices;

namespace SimCse.Search;

/// <summary>CRC-32C (Castagnoli; RFC 3720, appendix B.4), which processors compute themselves.</summary>
internal static class Checksum
{
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        foreach (ulong word in MemoryMarshal.Cast<byte, ulong>(bytes))
        {
            crc = BitOperations.Crc32C(crc, word);
        }

        foreach (byte last in bytes[(bytes.Length & ~7)..])
        {
            crc = BitOperations.Crc32C(crc, last);
        }

        return ~crc;
    }
}
