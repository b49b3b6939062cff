using SimCse.Data;

namespace SimCse.Tests;

public class SdkDocumentationTests
{
    [Fact]
    public void Texts_are_plain_and_members_are_named_as_a_reader_would()
    {
        string packs = Pack("""
            <doc><members>
              <member name="T:System.IO.File"><summary>Provides static
                methods.</summary></member>
              <member name="M:System.IO.File.ReadLines(System.String)">
                <summary>Reads the lines of a file; see <see cref="M:System.IO.File.ReadAllLines(System.String)" />.</summary>
                <param name="path">The <paramref name="path" /> or <see langword="null" />.</param>
              </member>
              <member name="M:System.Collections.Generic.List`1.#ctor"><summary>Initializes a <see cref="T:System.Collections.Generic.List`1">list</see>.</summary><remarks /></member>
            </members></doc>
            """);
        ApiText[] texts = [.. SdkDocumentation.Read(packs, TestContext.Current.CancellationToken)];
        Assert.Equal(
            [
                ("File", "summary", "Provides static methods."),
                ("File.ReadLines", "summary", "Reads the lines of a file; see ReadAllLines."),
                ("File.ReadLines", "param", "The path or null."),
                ("List", "summary", "Initializes a list."),
            ],
            texts.Select(t => (t.ShortName, t.Kind, t.Text)));
    }

    [Fact]
    public void Only_the_newest_version_of_a_pack_is_read()
    {
        string packs = Pack("<doc><members><member name=\"T:A\"><summary>new</summary></member></members></doc>", "10.0.2");
        string old = Path.Combine(packs, "X.Ref", "9.0.11", "ref", "net9.0");
        Directory.CreateDirectory(old);
        File.WriteAllText(Path.Combine(old, "X.xml"), "<doc><members><member name=\"T:A\"><summary>old</summary></member></members></doc>");
        Assert.Equal("new", Assert.Single(SdkDocumentation.Read(packs, TestContext.Current.CancellationToken)).Text);
    }

    [Fact]
    public void A_file_that_is_no_XML_is_named_with_line_and_column()
    {
        string packs = Pack("<doc>\n<members>\n<");
        string message = Assert.Throws<InvalidDataException>(() => SdkDocumentation.Read(packs, TestContext.Current.CancellationToken).ToList()).Message;
        Assert.Contains("X.xml:3:", message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_running_SDK_brings_tens_of_thousands_of_texts()
    {
        ApiText[] texts = [.. SdkDocumentation.Read(SdkDocumentation.FindPacks(), TestContext.Current.CancellationToken)];
        Assert.True(texts.Select(t => t.Text).Distinct(StringComparer.Ordinal).Count() > 50_000);
        Assert.Contains(texts, t => t is { ShortName: "File.ReadLines", Kind: "summary", Text: "Reads the lines of a file." });
    }

    private static string Pack(string xml, string version = "10.0.0", [System.Runtime.CompilerServices.CallerMemberName] string test = "")
    {
        string packs = RepositoryPaths.NewTemporaryDirectory(test);
        string folder = Path.Combine(packs, "X.Ref", version, "ref", "net10.0");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "X.xml"), xml);
        return packs;
    }
}
