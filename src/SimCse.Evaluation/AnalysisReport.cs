using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace SimCse.Evaluation;

/// <summary>A model and what was measured of it.</summary>
/// <param name="Model">The model's name or directory.</param>
/// <param name="Pooling">The name of its pooling, and what was done to the vectors after it.</param>
/// <param name="Analysis">The figures.</param>
public sealed record AnalyzedModel(string Model, string Pooling, EmbeddingAnalysis Analysis);

/// <summary>The geometry of one model's vectors, or of several side by side.</summary>
/// <param name="Data">The name of the set whose sentences they are.</param>
/// <param name="Models">At least one.</param>
public sealed record AnalysisReport(string Data, IReadOnlyList<AnalyzedModel> Models)
{
    private static readonly (string Name, Func<EmbeddingAnalysis, string> Text)[] s_measures =
    [
        ("alignment", a => Format(a.Alignment, "0.0000")),
        ("uniformity", a => Format(a.Uniformity, "0.0000")),
        ("effective rank", a => Format(a.EffectiveRank, "0.0")),
        ("mean cosine", a => Format(a.MeanCosine, "0.0000")),
        ("length bias", a => Format(a.LengthBias, "0.000")),
        ("hubness", a => Format(a.HubnessSkewness, "0.00")),
    ];

    /// <summary>
    /// One JSON document; of one model <c>{"alignment", "uniformity", "effective_rank", "mean_cosine", "singular_values": […], "positive_pairs", "sentences", "length_bias",
    /// "hubness": {"k", "skewness", "largest"}, "cosine_groups": [{"above", "up_to", "pairs", "mean", "deviation"}, …], "model", "pooling", "data"}</c>, of several
    /// <c>{"models": […]}</c> of such.
    /// </summary>
    public string ToJson()
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter json = new(stream, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }))
        {
            json.WriteStartObject();
            if (Models.Count == 1)
            {
                Write(json, Models[0]);
            }
            else
            {
                json.WriteStartArray("models");
                foreach (AnalyzedModel model in Models)
                {
                    json.WriteStartObject();
                    Write(json, model);
                    json.WriteEndObject();
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Two Markdown tables, a row a model: the measures, and the mean cosine by gold score.</summary>
    public string ToMarkdown()
    {
        StringBuilder text = new();
        Table([.. s_measures.Select(m => m.Name)], model => s_measures.Select(m => m.Text(model.Analysis)));
        text.Append('\n');
        Table([.. Models[0].Analysis.CosineGroups.Select(GroupName)], model => model.Analysis.CosineGroups.Select(GroupText));
        text.Append(CultureInfo.InvariantCulture, $"\n{Data}: {Models[0].Analysis.Sentences} sentences, {Models[0].Analysis.PositivePairs} positive pairs. The second table: mean ± standard deviation of the cosine of pairs by gold score.\n");
        return text.ToString();

        void Table(string[] columns, Func<AnalyzedModel, IEnumerable<string>> cells)
        {
            text.Append("| model | pooling | ").AppendJoin(" | ", columns).Append(" |\n| --- | --- |").Insert(text.Length, " ---: |", columns.Length).Append('\n');
            foreach (AnalyzedModel model in Models)
            {
                text.Append("| ").Append(model.Model.Replace("|", "\\|", StringComparison.Ordinal)).Append(" | ").Append(model.Pooling).Append(" | ").AppendJoin(" | ", cells(model)).Append(" |\n");
            }
        }
    }

    /// <summary>For a terminal: a line a measure, a column a model.</summary>
    public string ToPlainText()
    {
        (string Name, Func<EmbeddingAnalysis, string> Text)[] lines =
        [
            .. s_measures,
            .. Models[0].Analysis.CosineGroups.Select((g, i) => (Name: $"gold {GroupName(g)}", Text: (Func<EmbeddingAnalysis, string>)(a => GroupText(a.CosineGroups[i])))),
            ("largest hub", a => $"{a.LargestHub}"),
            ("components", a => $"{a.SingularValues.Count}"),
        ];
        StringBuilder text = new();
        text.Append(CultureInfo.InvariantCulture, $"{Data}: {Models[0].Analysis.Sentences} sentences, {Models[0].Analysis.PositivePairs} positive pairs\n\n");
        for (int i = 0; i < Models.Count; i++)
        {
            text.Append(Models.Count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"({i + 1})  ")).Append(CultureInfo.InvariantCulture, $"{Models[i].Model} ({Models[i].Pooling})\n");
        }

        text.Append('\n');
        if (Models.Count > 1)
        {
            text.Append(' ', 14).AppendJoin("", Models.Select((_, i) => $"({i + 1})".PadLeft(15))).Append('\n');
        }

        foreach ((string name, Func<EmbeddingAnalysis, string> cell) in lines)
        {
            text.Append(name.PadRight(14)).AppendJoin("", Models.Select(m => cell(m.Analysis).PadLeft(15))).Append('\n');
        }

        return text.ToString();
    }

    private void Write(Utf8JsonWriter json, AnalyzedModel model)
    {
        EmbeddingAnalysis analysis = model.Analysis;
        json.WriteNumber("alignment", Math.Round(analysis.Alignment, 6));
        json.WriteNumber("uniformity", Math.Round(analysis.Uniformity, 6));
        json.WriteNumber("effective_rank", Math.Round(analysis.EffectiveRank, 4));
        json.WriteNumber("mean_cosine", Math.Round(analysis.MeanCosine, 6));
        json.WriteStartArray("singular_values");
        foreach (double value in analysis.SingularValues)
        {
            json.WriteNumberValue((float)value);
        }

        json.WriteEndArray();
        json.WriteNumber("positive_pairs", analysis.PositivePairs);
        json.WriteNumber("sentences", analysis.Sentences);
        json.WriteNumber("length_bias", Math.Round(analysis.LengthBias, 6));
        json.WriteStartObject("hubness");
        json.WriteNumber("k", Math.Min(EmbeddingAnalysis.Neighbours, analysis.Sentences - 1));
        json.WriteNumber("skewness", Math.Round(analysis.HubnessSkewness, 4));
        json.WriteNumber("largest", analysis.LargestHub);
        json.WriteEndObject();
        json.WriteStartArray("cosine_groups");
        foreach (CosineGroup group in analysis.CosineGroups)
        {
            json.WriteStartObject();
            json.WriteNumber("above", group.Above);
            json.WriteNumber("up_to", group.UpTo);
            json.WriteNumber("pairs", group.Cosines.Count);
            json.WriteNumber("mean", Math.Round(group.Mean, 6));
            json.WriteNumber("deviation", Math.Round(group.Deviation, 6));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteString("model", model.Model);
        json.WriteString("pooling", model.Pooling);
        json.WriteString("data", Data);
    }

    private static string GroupName(CosineGroup group) => string.Create(CultureInfo.InvariantCulture, $"{group.Above}–{group.UpTo}");

    private static string GroupText(CosineGroup group) => group.Cosines.Count == 0 ? "–" : string.Create(CultureInfo.InvariantCulture, $"{group.Mean:0.00} ± {group.Deviation:0.00}");

    private static string Format(double value, string format) => value.ToString(format, CultureInfo.InvariantCulture);
}
