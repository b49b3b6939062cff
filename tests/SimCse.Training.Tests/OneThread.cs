using System.Runtime.CompilerServices;
using TorchSharp;

namespace SimCse.Training.Tests;

internal static class OneThread
{
    /// <summary>Test projects run side by side, and libtorch's threads wait for one another by spinning: on few cores one thread each is faster, and always the same.</summary>
    [ModuleInitializer]
    internal static void Set() => torch.set_num_threads(1);
}

/// <summary>Tests that change the number of threads, which is the process's own, run when nothing else does.</summary>
[CollectionDefinition(nameof(ThreadCount), DisableParallelization = true)]
public sealed class ThreadCount;
