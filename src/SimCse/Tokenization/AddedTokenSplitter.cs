using System.Buffers;
using System.Text;

namespace SimCse.Tokenization;

/// <summary>An added token to look for. A class: generic code over it is the framework's own, compiled ahead, where that over a tuple would be compiled whenever a process starts.</summary>
/// <param name="Pattern">The token's content, normalised or not.</param>
/// <param name="Token">How it is looked for.</param>
/// <param name="Id">Its id.</param>
internal sealed record AddedPattern(string Pattern, AddedToken Token, int Id);

/// <summary>Cuts a text at the added tokens in it: leftmost first, the longest where several begin.</summary>
internal sealed class AddedTokenSplitter
{
    private readonly SearchValues<char> _firstCharacters;
    private readonly AddedPattern[] _tokens;

    /// <param name="tokens">What to look for. Of two with one pattern the first counts.</param>
    public AddedTokenSplitter(IEnumerable<AddedPattern> tokens)
    {
        _tokens = [.. tokens.OrderByDescending(t => t.Pattern.Length)];
        _firstCharacters = SearchValues.Create([.. _tokens.Select(t => t.Pattern[0])]);
    }

    public bool IsEmpty => _tokens.Length == 0;

    public Pieces Split(ReadOnlySpan<char> text) => new(this, text);

    private int LongestAt(ReadOnlySpan<char> text)
    {
        for (int i = 0; i < _tokens.Length; i++)
        {
            if (text.StartsWith(_tokens[i].Pattern, StringComparison.Ordinal))
            {
                return i;
            }
        }

        return -1;
    }

    /// <summary>The pieces of a text in order: stretches of plain text, and added tokens.</summary>
    public ref struct Pieces
    {
        private readonly AddedTokenSplitter _splitter;
        private readonly ReadOnlySpan<char> _text;
        private int _searchFrom;
        private int _done;
        private int _pendingToken;

        internal Pieces(AddedTokenSplitter splitter, ReadOnlySpan<char> text)
        {
            _splitter = splitter;
            _text = text;
            _pendingToken = -1;
        }

        /// <summary>The plain text of this piece; empty for a token.</summary>
        public ReadOnlySpan<char> Text { get; private set; }

        /// <summary>The id of this piece's token, −1 for plain text.</summary>
        public int TokenId { get; private set; }

        public bool MoveNext()
        {
            if (_pendingToken >= 0)
            {
                Text = default;
                TokenId = _pendingToken;
                _pendingToken = -1;
                return true;
            }

            while (true)
            {
                int found = _searchFrom < _text.Length ? _text[_searchFrom..].IndexOfAny(_splitter._firstCharacters) : -1;
                if (found < 0)
                {
                    return MoveToRest();
                }

                int start = _searchFrom + found;
                int match = _splitter.LongestAt(_text[start..]);
                if (match < 0)
                {
                    _searchFrom = start + 1;
                    continue;
                }

                (string pattern, AddedToken token, int id) = _splitter._tokens[match];
                int stop = start + pattern.Length;
                _searchFrom = stop;
                if (token.SingleWord && (EndsWithWord(_text[..start]) || StartsWithWord(_text[stop..])))
                {
                    continue;
                }

                if (token.LeftStrip)
                {
                    start = Math.Max(_text[..start].TrimEnd().Length, _done);
                }

                if (token.RightStrip)
                {
                    stop = _text.Length - _text[stop..].TrimStart().Length;
                }

                ReadOnlySpan<char> before = _done < start ? _text[_done..start] : default;
                _done = stop;
                if (before.IsEmpty)
                {
                    Text = default;
                    TokenId = id;
                }
                else
                {
                    Text = before;
                    TokenId = -1;
                    _pendingToken = id;
                }

                return true;
            }
        }

        private bool MoveToRest()
        {
            _searchFrom = _text.Length;
            if (_done >= _text.Length)
            {
                return false;
            }

            Text = _text[_done..];
            TokenId = -1;
            _done = _text.Length;
            return true;
        }

        private static bool EndsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeLastFromUtf16(text, out Rune last, out _) == OperationStatus.Done && ReferenceUnicode.IsWordCharacter(last.Value);

        private static bool StartsWithWord(ReadOnlySpan<char> text) =>
            Rune.DecodeFromUtf16(text, out Rune first, out _) == OperationStatus.Done && ReferenceUnicode.IsWordCharacter(first.Value);
    }
}
