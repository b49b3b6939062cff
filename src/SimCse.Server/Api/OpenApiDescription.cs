using System.Text.Json.Nodes;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.OpenApi;
using SimCse.Search;

namespace SimCse.Server.Api;

/// <summary>The server's description of itself: OpenAPI 3.1, made from the routes and the records that they take and give.</summary>
internal static class OpenApiDescription
{
    private const string Document = "v1", Key = "apiKey";

    public static void AddTo(IServiceCollection services, ServerJson json)
    {
        services.ConfigureHttpJsonOptions(http =>
        {
            http.SerializerOptions.TypeInfoResolver = json;
            http.SerializerOptions.PropertyNamingPolicy = json.Options.PropertyNamingPolicy;
        });
        services.AddOpenApi(Document, options =>
        {
            options.AddDocumentTransformer((document, _, _) =>
            {
                document.Info = new OpenApiInfo
                {
                    Title = "SimCSE for .NET",
                    Version = typeof(OpenApiDescription).Assembly.GetName().Version!.ToString(3),
                    Description = "Sentence vectors and search. /v1 is OpenAI's API; /embed, /similarity, /tokenize and /info are those of text-embeddings-inference.",
                };
                document.Servers = []; // wherever this document comes from
                document.Components ??= new OpenApiComponents();
                document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>(StringComparer.Ordinal)
                {
                    [Key] = new OpenApiSecurityScheme { Type = SecuritySchemeType.Http, Scheme = "bearer", Description = "Where the server was started with keys." },
                };
                document.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(Key, document)] = [] }, []];
                return Task.CompletedTask;
            });

            // The kinds that are read and written by hand.
            options.AddSchemaTransformer((schema, context, _) =>
            {
                if (context.JsonTypeInfo.Type == typeof(TextInputs))
                {
                    schema.AnyOf =
                    [
                        new OpenApiSchema { Type = JsonSchemaType.String },
                        ArrayOf(new OpenApiSchema { Type = JsonSchemaType.String }),
                        ArrayOf(new OpenApiSchema { Type = JsonSchemaType.Integer }),
                        ArrayOf(ArrayOf(new OpenApiSchema { Type = JsonSchemaType.Integer })),
                    ];
                    schema.Examples = [JsonValue.Create("How do I read a file line by line?")];
                }
                else if (context.JsonTypeInfo.Type == typeof(EmbeddingValue))
                {
                    schema.AnyOf = [ArrayOf(new OpenApiSchema { Type = JsonSchemaType.Number }), new OpenApiSchema { Type = JsonSchemaType.String, Format = "byte" }];
                }
                else if (context.JsonTypeInfo.Type == typeof(MetadataValue))
                {
                    schema.AnyOf = [new OpenApiSchema { Type = JsonSchemaType.String }, new OpenApiSchema { Type = JsonSchemaType.Number }, new OpenApiSchema { Type = JsonSchemaType.Boolean }];
                }

                return Task.CompletedTask;
            });
        });
    }

    public static void Map(IEndpointRouteBuilder routes)
    {
        routes.MapOpenApi().WithMetadata(OpenToAll.Instance);
        routes.MapGet("/openapi", () => TypedResults.Redirect($"/openapi/{Document}.json")).ExcludeFromDescription().WithMetadata(OpenToAll.Instance);
    }

    private static OpenApiSchema ArrayOf(OpenApiSchema items) => new() { Type = JsonSchemaType.Array, Items = items };
}
