using System.Globalization;
using System.Text;
using OxyPlot;
using OxyPlot.Axes;
using OxyPlot.Legends;
using SimCse.Data;

namespace SimCse.Evaluation.Plots;

/// <summary>A finished plot as SVG.</summary>
public sealed class Plot
{
    /// <summary>Okabe and Ito's colours, which people with any colour vision tell apart.</summary>
    private static readonly OxyColor[] s_colours =
    [
        OxyColor.FromRgb(0, 114, 178), OxyColor.FromRgb(213, 94, 0), OxyColor.FromRgb(0, 158, 115),
        OxyColor.FromRgb(204, 121, 167), OxyColor.FromRgb(230, 159, 0), OxyColor.FromRgb(86, 180, 233),
    ];

    private Plot(string svg) => Svg = svg;

    /// <summary>The SVG document.</summary>
    public string Svg { get; }

    /// <summary>Writes the document beside its place and renames it into it.</summary>
    /// <exception cref="DirectoryNotFoundException">The folder is not there.</exception>
    public void Save(string path)
    {
        using PendingFile file = new(path);
        file.Stream.Write(Encoding.UTF8.GetBytes(Svg));
        file.Commit();
    }

    internal static OxyColor Colour(int index) => s_colours[index % s_colours.Length];

    internal static PlotModel NewModel(string title, string? subtitle = null) => new()
    {
        Title = title,
        Subtitle = subtitle,
        TitleFontSize = 16,
        TitleFontWeight = FontWeights.Bold,
        SubtitleFontSize = 12,
        DefaultFont = "Arial",
        DefaultFontSize = 12,
        Background = OxyColors.White,
        PlotAreaBorderColor = OxyColors.Gray,
        TitlePadding = 10,
        Padding = new OxyThickness(10, 8, 18, 8),
        Culture = CultureInfo.InvariantCulture,
    };

    internal static T Styled<T>(T axis, string title)
        where T : Axis
    {
        axis.Title = title;
        axis.AxisTitleDistance = 12;
        axis.TitleFontSize = 13;
        axis.MajorGridlineStyle = LineStyle.Solid;
        axis.MajorGridlineColor = OxyColor.FromRgb(228, 228, 228);
        axis.TicklineColor = OxyColors.Gray;
        return axis;
    }

    internal static Legend NewLegend(LegendPlacement placement, LegendPosition position) => new()
    {
        LegendPlacement = placement,
        LegendPosition = position,
        LegendOrientation = placement == LegendPlacement.Outside ? LegendOrientation.Horizontal : LegendOrientation.Vertical,
        LegendBackground = OxyColor.FromAColor(220, OxyColors.White),
        LegendBorder = placement == LegendPlacement.Inside ? OxyColors.LightGray : OxyColors.Undefined,
        LegendFontSize = 12,
        LegendPadding = 10,
        LegendItemSpacing = 28,
        LegendLineSpacing = 4,
    };

    internal static Plot Render(PlotModel model, int width, int height)
    {
        SvgExporter exporter = new()
        {
            Width = width,
            Height = height,
            UseVerticalTextAlignmentWorkaround = true,
            TextMeasurer = new WideTextMeasure(model),
        };
        return new Plot(exporter.ExportToString(model));
    }

    /// <summary>
    /// Measures text wider and higher than Arial is: where a reader has no Arial, what stands in for it (DejaVu Sans) takes more room, and texts must
    /// not run into each other there.
    /// </summary>
    private sealed class WideTextMeasure(PlotModel model) : PdfRenderContext(1000, 1000, model.Background)
    {
        public override OxySize MeasureText(string text, string fontFamily, double fontSize, double fontWeight)
        {
            // 0.64 em a character is what DejaVu Sans takes on average; a line takes 1.2 em.
            OxySize size = base.MeasureText(text, fontFamily, fontSize, fontWeight);
            return new OxySize(Math.Max(size.Width, (text?.Length ?? 0) * 0.64 * fontSize), Math.Max(size.Height, 1.2 * fontSize));
        }
    }
}
