using SimCse.Cli;

return await CommandRunner.RunAsync(args);
