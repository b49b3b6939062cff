using System.Reflection;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Routing;
using Microsoft.Net.Http.Headers;
using SimCse.Server.Api;

namespace SimCse.Server.Page;

/// <summary>The page's files, out of the assembly.</summary>
internal static class PageFiles
{
    private const string Prefix = "page/", Start = "index.html";

    public static void Map(IEndpointRouteBuilder routes)
    {
        Dictionary<string, PageFile> files = Read();
        routes.MapGet("/", (HttpContext context) => files[Start].Answer(context)).ExcludeFromDescription().WithMetadata(OpenToAll.Instance);
        routes.MapGet("/page/{name}", (string name, HttpContext context) => files.TryGetValue(name, out PageFile? file) ? file.Answer(context) : throw RequestException.NotFound($"the page has no file '{name}'"))
            .ExcludeFromDescription().WithMetadata(OpenToAll.Instance);
    }

    private static Dictionary<string, PageFile> Read()
    {
        Assembly assembly = typeof(PageFiles).Assembly;
        Dictionary<string, PageFile> files = new(StringComparer.Ordinal);
        foreach (string resource in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Prefix, StringComparison.Ordinal)))
        {
            using Stream stream = assembly.GetManifestResourceStream(resource)!;
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            files.Add(resource[Prefix.Length..], new PageFile(bytes, TypeOf(resource), new EntityTagHeaderValue($"\"{Convert.ToHexStringLower(SHA256.HashData(bytes)[..8])}\"")));
        }

        return files;
    }

    private static string TypeOf(string name) => Path.GetExtension(name) switch
    {
        ".html" => "text/html; charset=utf-8",
        ".css" => "text/css; charset=utf-8",
        ".js" => "text/javascript; charset=utf-8",
        ".svg" => "image/svg+xml",
        string other => throw new NotSupportedException($"the page has a file of type {other}"),
    };

    private sealed record PageFile(byte[] Bytes, string Type, EntityTagHeaderValue Tag)
    {
        public FileContentHttpResult Answer(HttpContext context)
        {
            context.Response.Headers.CacheControl = "no-cache"; // asked for again, and not sent again where it is the same
            return TypedResults.Bytes(Bytes, Type, entityTag: Tag);
        }
    }
}
