using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace SimCse.Tests.Checkpoints;

/// <summary>Seeded damage to a file: what disks, transfers and attackers do to it.</summary>
internal static partial class Mutation
{
    private static readonly string[] s_numbers =
    [
        "-1", "0", "1", "31", "33", "64", "1000", "2147483647", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "1e400", "0.5", "-0", "1e2",
    ];

    private static readonly string[] s_values = ["null", "true", "false", "7", "-3.5", "\"x\"", "\"\"", "[]", "{}", "[1,2]", "{\"a\":1}", "\"\\ud800\"", "\"../../etc/passwd\"", "\"a\\nb\""];

    /// <summary>Damages JSON text: half of the time as text, half of the time as the structure it is.</summary>
    public static byte[] Json(byte[] json, Random random)
    {
        string text = Encoding.UTF8.GetString(json);
        switch (random.Next(9))
        {
            case 0:
                return FlipBit(json, random);
            case 1:
                return json[..random.Next(json.Length)];
            case 2:
                return Insert(json, random);
            case 3:
                return Remove(json, random);
            case 4 or 5:
                return Replace(text, NumberPattern().Matches(text), random, old => random.Next(3) switch
                {
                    0 => s_numbers[random.Next(s_numbers.Length)],
                    1 => (decimal.Parse(old, NumberStyles.Float, CultureInfo.InvariantCulture) + random.Next(-2, 3)).ToString(CultureInfo.InvariantCulture),
                    _ => old + random.Next(10),
                });
            case 6: // a key twice
                return Replace(text, PairPattern().Matches(text), random, old => $"{old},{old}");
            case 7: // a value of another kind
                return Replace(text, ValuePattern().Matches(text), random, _ => s_values[random.Next(s_values.Length)]);
            default: // a key of another name
                return Replace(text, KeyPattern().Matches(text), random, old => $"\"{(char)random.Next('a', 'z')}{old[1..]}");
        }
    }

    /// <summary>Damages the length, the header or the size of a safetensors file; half of the time the header's length is made to fit again, so that the damage lies deeper.</summary>
    public static byte[] Safetensors(byte[] file, Random random)
    {
        int headerLength = (int)BinaryPrimitives.ReadInt64LittleEndian(file);
        switch (random.Next(8))
        {
            case 0:
                byte[] length = [.. file];
                BinaryPrimitives.WriteInt64LittleEndian(length, random.Next(4) switch { 0 => random.NextInt64(), 1 => headerLength + random.Next(-64, 64), 2 => -random.Next(100), _ => 1L << random.Next(63) });
                return length;
            case 1:
                return file[..random.Next(file.Length)];
            case 2:
                return [.. file, .. new byte[random.Next(1, 100)]];
            default:
                byte[] header = Json(file[8..(8 + headerLength)], random);
                byte[] damaged = [.. file[..8], .. header, .. file[(8 + headerLength)..]];
                if (random.Next(4) != 0)
                {
                    BinaryPrimitives.WriteInt64LittleEndian(damaged, header.Length);
                }

                return damaged;
        }
    }

    /// <summary>Damages a pickle: opcodes, globals, numbers, length.</summary>
    public static byte[] Pickle(byte[] pickle, Random random)
    {
        byte[] damaged = [.. pickle];
        switch (random.Next(7))
        {
            case 0:
                return FlipBit(pickle, random);
            case 1:
                return pickle[..random.Next(pickle.Length)];
            case 2:
                return Insert(pickle, random);
            case 3:
                return Remove(pickle, random);
            case 4: // one byte becomes an opcode
                ReadOnlySpan<byte> opcodes = "(.0123FGIJKLMNPQRSTUVX]abcdeghijlopqrstu})\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95"u8;
                damaged[random.Next(damaged.Length)] = opcodes[random.Next(opcodes.Length)];
                return damaged;
            case 5: // a global of another name
                string latin = Encoding.Latin1.GetString(pickle);
                string[] foreign = ["cos\nsystem\n", "cbuiltins\neval\n", "ctorch\nload\n", "ctorch\nLongStorage\n", "ctorch\nHalfStorage\n", "ccollections\nOrderedDict\n", "ctorch._utils\n_rebuild_parameter\n"];
                return Encoding.Latin1.GetBytes(ReplaceOne(latin, GlobalPattern().Matches(latin), random, _ => foreign[random.Next(foreign.Length)]));
            default: // a number: of a size, a stride, an offset, a length, a place in the memo
                int[] places = [.. Enumerable.Range(0, pickle.Length - 5).Where(i => pickle[i] is (byte)'K' or (byte)'M' or (byte)'J' or (byte)'X' or (byte)'h' or (byte)'q')];
                damaged[places[random.Next(places.Length)] + random.Next(1, 5)] = (byte)random.Next(256);
                return damaged;
        }
    }

    /// <summary>Damages the frame of a zip file: its directory, its end, the headers before its entries, its length.</summary>
    public static byte[] Zip(byte[] zip, Random random)
    {
        byte[] damaged = [.. zip];
        int end = zip.AsSpan().LastIndexOf("PK\x05\x06"u8);
        int directory = zip.AsSpan().IndexOf("PK\x01\x02"u8);
        switch (random.Next(6))
        {
            case 0:
                return zip[..random.Next(zip.Length)];
            case 1:
                return Insert(zip, random);
            case 2:
                return Remove(zip, random);
            case 3: // the end records
                damaged[random.Next(end - 76, zip.Length)] = (byte)random.Next(256);
                return damaged;
            case 4: // one field of the directory
                int entry = directory;
                for (int i = random.Next(60); i > 0 && zip.AsSpan(entry + 4, end - entry - 4).IndexOf("PK\x01\x02"u8) is >= 0 and var step; i--)
                {
                    entry += 4 + step;
                }

                damaged[entry + random.Next(46)] ^= (byte)random.Next(1, 256);
                return damaged;
            default: // one field of the pickle's own header
                damaged[random.Next(30)] ^= (byte)random.Next(1, 256);
                return damaged;
        }
    }

    private static byte[] FlipBit(byte[] bytes, Random random)
    {
        byte[] damaged = [.. bytes];
        damaged[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
        return damaged;
    }

    private static byte[] Insert(byte[] bytes, Random random)
    {
        byte[] junk = new byte[random.Next(1, 20)];
        random.NextBytes(junk);
        int at = random.Next(bytes.Length);
        return [.. bytes[..at], .. junk, .. bytes[at..]];
    }

    private static byte[] Remove(byte[] bytes, Random random)
    {
        int at = random.Next(bytes.Length);
        int to = Math.Min(bytes.Length, at + random.Next(1, 20));
        return [.. bytes[..at], .. bytes[to..]];
    }

    private static byte[] Replace(string text, MatchCollection matches, Random random, Func<string, string> with) => Encoding.UTF8.GetBytes(ReplaceOne(text, matches, random, with));

    private static string ReplaceOne(string text, MatchCollection matches, Random random, Func<string, string> with)
    {
        if (matches.Count == 0)
        {
            return text[1..];
        }

        Match match = matches[random.Next(matches.Count)];
        return text[..match.Index] + with(match.Value) + text[(match.Index + match.Length)..];
    }

    [GeneratedRegex("""(?<=[:\[,]\s*)-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex NumberPattern();

    [GeneratedRegex(""""[^"]*":\s*("[^"]*"|[-0-9.eE+]+|true|false|null|\[[^\[\]]*\])"""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex PairPattern();

    [GeneratedRegex("""(?<=:\s*)("[^"]*"|[-0-9.eE+]+|true|false|null|\[[^\[\]]*\])""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex ValuePattern();

    [GeneratedRegex(""""[^"]*"(?=:)"""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex KeyPattern();

    [GeneratedRegex("c[a-z._]+\n[A-Za-z0-9_]+\n", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex GlobalPattern();
}
