using System.CommandLine;
using SimCse.Cli.Commands;

namespace SimCse.Cli;

/// <summary>The root of the command line: its commands, in the order in which help lists them.</summary>
internal static class SimCseCommand
{
    public static RootCommand Create()
    {
        RootCommand root = new("Train, judge, ship and use sentence embeddings, without Python.")
        {
            QuickstartCommand.Create(),
            TrainCommand.Create(),
            PretrainCommand.Create(),
            CorpusCommand.Create(),
            EvaluateCommand.Create(),
            AnalyzeCommand.Create(),
            AblateCommand.Create(),
            EmbedCommand.Create(),
            SimilarityCommand.Create(),
            IndexCommand.Create(),
            SearchCommand.Create(),
            MineCommand.Create(),
            TokenizeCommand.Create(),
            PostprocessCommand.Create(),
            ExportCommand.Create(),
            ServeCommand.Create(),
        };
        CommandHelp.Replace(root);
        return root;
    }
}
