namespace SimCse.Tokenization;

/// <summary>The words of a normalised text as Hugging Face's BertPreTokenizer cuts them: at white space, and each punctuation character by itself.</summary>
internal ref struct BertWords(ReadOnlySpan<char> text)
{
    private const byte Space = 1;
    private const byte Punctuation = 2;
    private const byte Surrogate = 3;

    private static readonly byte[] s_classes = BuildClasses();

    private readonly ReadOnlySpan<char> _text = text;
    private int _next;

    /// <summary>The word found last.</summary>
    public ReadOnlySpan<char> Current { get; private set; }

    public bool MoveNext()
    {
        byte[] classes = s_classes;
        int start = _next;
        while (start < _text.Length && classes[_text[start]] == Space)
        {
            start++;
        }

        int end = start;
        while (end < _text.Length)
        {
            int kind = classes[_text[end]];
            if (kind == 0)
            {
                end++;
                continue;
            }

            int length = kind == Surrogate ? 2 : 1;
            if (kind == Surrogate && !ReferenceUnicode.IsPunctuation(char.ConvertToUtf32(_text[end], _text[end + 1])))
            {
                end += length;
                continue;
            }

            if (end == start)
            {
                end += length; // punctuation; white space cannot stand here
            }

            break;
        }

        _next = end;
        Current = _text[start..end];
        return end > start;
    }

    private static byte[] BuildClasses()
    {
        byte[] classes = new byte[0x10000];
        for (int c = 0; c < classes.Length; c++)
        {
            classes[c] = char.IsSurrogate((char)c) ? Surrogate
                : ReferenceUnicode.IsWhiteSpace(c) ? Space
                : ReferenceUnicode.IsPunctuation(c) ? Punctuation
                : (byte)0;
        }

        return classes;
    }
}
