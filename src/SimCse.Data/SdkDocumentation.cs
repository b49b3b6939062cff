using System.Text;
using System.Xml;
using System.Xml.Linq;

namespace SimCse.Data;

/// <summary>A text of the .NET SDK's API documentation.</summary>
/// <param name="Member">The member's documentation id without its kind and parameters, such as <c>System.IO.File.ReadLines</c>.</param>
/// <param name="IsType">Whether it is a type.</param>
/// <param name="Kind">The element it stands in: <c>summary</c>, <c>returns</c>, <c>param</c>, <c>remarks</c>, …</param>
/// <param name="Text">Plain text: references by their names, white space folded.</param>
public sealed record ApiText(string Member, bool IsType, string Kind, string Text)
{
    /// <summary>The member's type and name, such as <c>File.ReadLines</c>; of a type, and of its constructors, the type's name.</summary>
    public string ShortName
    {
        get
        {
            string type = Member.Replace(".#ctor", "", StringComparison.Ordinal).Replace(".#cctor", "", StringComparison.Ordinal);
            return string.Join('.', type.Split('.').TakeLast(IsType || type.Length < Member.Length ? 1 : 2).Select(WithoutArity));
        }
    }

    internal static string WithoutArity(string name) => name.IndexOf('`', StringComparison.Ordinal) is var at and >= 0 ? name[..at] : name;
}

/// <summary>The API documentation (XML) that ships with every .NET SDK: English sentences of one field, on every machine that can build this project.</summary>
public static class SdkDocumentation
{
    /// <summary>The packs folder of the SDK that runs this program.</summary>
    /// <exception cref="DirectoryNotFoundException">There is none: a runtime without an SDK.</exception>
    public static string FindPacks()
    {
        // …/shared/Microsoft.NETCore.App/10.0.0/System.Private.CoreLib.dll
        string? root = Path.GetDirectoryName(typeof(object).Assembly.Location);
        for (int up = 0; up < 3 && root is not null; up++)
        {
            root = Path.GetDirectoryName(root);
        }

        foreach (string? candidate in new[] { root, Environment.GetEnvironmentVariable("DOTNET_ROOT") })
        {
            if (candidate is not null && Directory.Exists(Path.Combine(candidate, "packs")))
            {
                return Path.Combine(candidate, "packs");
            }
        }

        throw new DirectoryNotFoundException($"no 'packs' folder in {root ?? "the runtime's folder"}: the API documentation comes with the .NET SDK, not with the runtime alone; install the SDK or set DOTNET_ROOT to its folder");
    }

    /// <summary>Every text of the newest reference packs, file by file in the order of their names; empty ones left out.</summary>
    /// <param name="packs">The packs folder.</param>
    /// <param name="cancellationToken">Checked between files.</param>
    /// <exception cref="InvalidDataException">No documentation there, or a file that is not XML.</exception>
    public static IEnumerable<ApiText> Read(string packs, CancellationToken cancellationToken = default)
    {
        string[] files = [.. Directory.GetDirectories(packs, "*.Ref").Order(StringComparer.Ordinal).SelectMany(NewestFiles)];
        if (files.Length == 0)
        {
            throw new InvalidDataException($"{packs}: no documentation; expected NAME.Ref/VERSION/ref/FRAMEWORK/*.xml");
        }

        foreach (string file in files)
        {
            cancellationToken.ThrowIfCancellationRequested();
            foreach (ApiText text in ReadFile(file))
            {
                yield return text;
            }
        }
    }

    private static IEnumerable<string> NewestFiles(string pack)
    {
        string? newest = Directory.GetDirectories(pack).MaxBy(d => Version.TryParse(Path.GetFileName(d).Split('-')[0], out Version? v) ? v : new Version());
        string reference = Path.Combine(newest ?? pack, "ref");
        return Directory.Exists(reference) ? Directory.GetFiles(reference, "*.xml", SearchOption.AllDirectories).Order(StringComparer.Ordinal) : [];
    }

    private static List<ApiText> ReadFile(string file)
    {
        XDocument document;
        try
        {
            using XmlReader reader = XmlReader.Create(file, new XmlReaderSettings { DtdProcessing = DtdProcessing.Prohibit });
            document = XDocument.Load(reader);
        }
        catch (XmlException e)
        {
            throw new InvalidDataException($"{file}:{e.LineNumber}:{e.LinePosition}: not XML: {e.Message}", e);
        }

        List<ApiText> texts = [];
        foreach (XElement member in document.Descendants("member"))
        {
            string id = member.Attribute("name")?.Value ?? "";
            string name = id.Length > 2 && id[1] == ':' ? id[2..] : id;
            name = name.IndexOf('(', StringComparison.Ordinal) is var open and >= 0 ? name[..open] : name;
            foreach (XElement element in member.Elements())
            {
                string text = Plain(element);
                if (text.Length > 0)
                {
                    texts.Add(new ApiText(name, id.StartsWith("T:", StringComparison.Ordinal), element.Name.LocalName, text));
                }
            }
        }

        return texts;
    }

    private static string Plain(XElement element)
    {
        StringBuilder text = new();
        Append(element, text);
        return string.Join(' ', text.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }

    private static void Append(XElement element, StringBuilder text)
    {
        foreach (XNode node in element.Nodes())
        {
            if (node is XText plain)
            {
                text.Append(plain.Value);
            }
            else if (node is XElement inner)
            {
                string? reference = inner.Attribute("langword")?.Value ?? inner.Attribute("name")?.Value ?? LastName(inner.Attribute("cref")?.Value);
                if (inner.IsEmpty && reference is not null)
                {
                    text.Append(reference);
                }
                else
                {
                    text.Append(inner.Name.LocalName is "para" or "item" or "list" ? " " : "");
                    Append(inner, text);
                    text.Append(inner.Name.LocalName is "para" or "item" or "list" or "br" ? " " : "");
                }
            }
        }
    }

    /// <summary>The simple name behind a reference such as <c>M:System.IO.File.Open(System.String)</c>: Open.</summary>
    private static string? LastName(string? reference)
    {
        if (reference is null)
        {
            return null;
        }

        string name = reference.IndexOf('(', StringComparison.Ordinal) is var open and >= 0 ? reference[..open] : reference;
        return ApiText.WithoutArity(name[(name.LastIndexOfAny(['.', ':']) + 1)..]);
    }
}
