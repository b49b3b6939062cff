using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace SimCse.Server.Security;

/// <summary>The keys that let a request in. They are compared by their SHA-256, all of them and in a time that says nothing of them.</summary>
internal sealed class ApiKeys(EmbeddingServerOptions options)
{
    private const string Scheme = "Bearer ";

    private readonly byte[][] _hashes = [.. options.ApiKeys.Select(Hash)];

    /// <exception cref="RequestException">Keys are needed, and the request brings none or a wrong one: 401.</exception>
    public void Require(HttpContext context)
    {
        if (_hashes.Length == 0)
        {
            return;
        }

        StringValues given = context.Request.Headers.Authorization;
        bool known = false;
        if (given is [{ } header] && header.StartsWith(Scheme, StringComparison.OrdinalIgnoreCase))
        {
            byte[] hash = Hash(header[Scheme.Length..].Trim());
            foreach (byte[] key in _hashes)
            {
                known |= CryptographicOperations.FixedTimeEquals(hash, key);
            }
        }

        if (!known)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer";
            throw new RequestException(StatusCodes.Status401Unauthorized, "Authentication", "the request brings no API key that is valid here; expected a header 'Authorization: Bearer KEY'") { Code = "invalid_api_key" };
        }
    }

    private static byte[] Hash(string key) => SHA256.HashData(Encoding.UTF8.GetBytes(key));
}
