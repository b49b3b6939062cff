using System.Text;
using SimCse.Data;

namespace SimCse.Tests;

public sealed class TextLinesTests : IDisposable
{
    private readonly string _directory = RepositoryPaths.NewTemporaryDirectory();

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("", "")]
    [InlineData("a", "a|")]
    [InlineData("a\n", "a|")]
    [InlineData("\n", "|")]
    [InlineData("a\n\nb\n\n", "a||b||")]
    [InlineData("\uFEFFa\r\n\r\nb\r\n", "a||b|")]
    [InlineData("a\rb\n", "a\rb|")]
    [InlineData("a\u2028b\u0085c\u000Bd\n", "a\u2028b\u0085c\u000Bd|")]
    public void Lines_end_in_LF_or_CRLF_and_empty_ones_are_kept(string content, string expected) =>
        Assert.Equal(expected, string.Concat(TextLines.Read(Stream(content), "x").Select(l => l + "|")));

    [Fact]
    public void Errors_name_the_stream_the_line_and_the_byte()
    {
        using MemoryStream stream = new([.. "ok\na "u8, 0x80]);
        Assert.Equal("standard input:2: byte 0x80 at byte column 3 is not UTF-8; expected a UTF-8 file",
            Assert.Throws<InvalidDataException>(() => TextLines.Read(stream, "standard input").ToList()).Message);
    }

    [Fact]
    public void Texts_as_json_strings_may_hold_line_breaks()
    {
        string path = Path.Combine(_directory, "t.jsonl");
        File.WriteAllText(path, "\"a\\nb\"\n\"\"\n");
        Assert.Equal(["a\nb", ""], TextLines.ReadJson(path), StringComparer.Ordinal);
        foreach ((string content, string message) in new[]
        {
            ("\"a\"\nb\n", ":2:1: not JSON; expected a JSON string such as \"a text\""),
            ("{}\n", ":1:1: found a JSON object; expected a JSON string"),
            ("\"a\"\n\"\\udc00\"\n", ":2:1: the JSON string holds half a surrogate pair and is no text"),
        })
        {
            File.WriteAllText(path, content);
            Assert.Equal(path + message, Assert.Throws<InvalidDataException>(() => TextLines.ReadJson(path).ToList()).Message);
        }
    }

    private static MemoryStream Stream(string content) => new(Encoding.UTF8.GetBytes(content));
}
