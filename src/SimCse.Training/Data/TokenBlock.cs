using System.Buffers.Binary;
using SimCse.Tokenization;

namespace SimCse.Training.Data;

/// <summary>
/// The token ids of up to <see cref="Rows"/> rows as they lie in a token file: the place of each text's first id, counted in ids from the block's first, then the place after the
/// last (uint32 each), then the ids of the rows, text after text.
/// </summary>
/// <param name="Bytes">As written, little-endian.</param>
/// <param name="Count">The rows in it.</param>
/// <param name="Columns">The texts of each.</param>
/// <param name="Truncated">How many of their texts were cut.</param>
internal sealed record TokenBlock(byte[] Bytes, int Count, int Columns, int Truncated)
{
    /// <summary>Rows of every block but the last.</summary>
    public const int Rows = 256;

    /// <summary>Bytes of a place.</summary>
    public const int PlaceBytes = 4;

    /// <summary>Tokenizes rows, each of as many texts as the first.</summary>
    public static TokenBlock Encode(IReadOnlyList<IReadOnlyList<string>> rows, Tokenizer tokenizer, int maxLength)
    {
        TokenizedText[] texts = [.. rows.SelectMany(row => row).Select(text => tokenizer.Encode(text, maxLength))];
        int idBytes = IdBytes(tokenizer.VocabularySize), head = PlaceBytes * (texts.Length + 1);
        byte[] bytes = new byte[checked(head + (idBytes * texts.Sum(t => t.Ids.Length)))];
        uint place = 0;
        for (int t = 0; t <= texts.Length; t++)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(PlaceBytes * t), place);
            foreach (int id in t < texts.Length ? texts[t].Ids : [])
            {
                Span<byte> to = bytes.AsSpan(head + (int)(idBytes * place++));
                if (idBytes == sizeof(ushort))
                {
                    BinaryPrimitives.WriteUInt16LittleEndian(to, (ushort)id);
                }
                else
                {
                    BinaryPrimitives.WriteInt32LittleEndian(to, id);
                }
            }
        }

        return new TokenBlock(bytes, rows.Count, rows[0].Count, texts.Count(t => t.Truncated));
    }

    /// <summary>The smallest integer that holds every id of a vocabulary, in bytes.</summary>
    public static int IdBytes(int vocabularySize) => vocabularySize <= ushort.MaxValue + 1 ? sizeof(ushort) : sizeof(int);
}
