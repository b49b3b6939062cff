using System.Net;
using Microsoft.AspNetCore.Http;

namespace SimCse.Server.Security;

/// <summary>
/// The names by which the server may be called. Without this a page of any site could give its own name the address 127.0.0.1 (DNS rebinding), and then read from a server without keys what it likes.
/// </summary>
internal sealed class HostNames(EmbeddingServerOptions options)
{
    private readonly IReadOnlyList<string> _names = options.AllowedHosts.Count > 0 ? options.AllowedHosts
        : IPAddress.IsLoopback(options.ListenAddress) ? ["localhost", "127.0.0.1", "[::1]", .. options.ListenAddress is { AddressFamily: System.Net.Sockets.AddressFamily.InterNetwork } address ? [address.ToString()] : Array.Empty<string>()]
        : [];

    /// <exception cref="RequestException">The request calls it by another: 421.</exception>
    public void Require(HttpContext context)
    {
        if (_names.Count > 0 && !_names.Contains(context.Request.Host.Host, StringComparer.OrdinalIgnoreCase))
        {
            throw RequestException.Invalid($"the request is for the host '{context.Request.Host.Host}'; expected {string.Join(", ", _names)} (the server's --allowed-host adds names)", status: StatusCodes.Status421MisdirectedRequest);
        }
    }
}
