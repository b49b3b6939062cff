using System.Globalization;
using System.Security.Cryptography;

namespace SimCse.Bench.Distribution;

/// <summary>The sum of gradients over two ranks on this machine, against Open MPI's own.</summary>
internal sealed class AllReduceBenchmark : Benchmark
{
    private static readonly string[] s_ranks = ["-n", "2", "--oversubscribe", "-x", "TERM=dumb"]; // a terminal would be set up ahead of the replies

    public override string Name => "all-reduce";

    public override string Summary => "sums of 90 MB and 440 MB of float32 over 2 ranks against MPI_Allreduce";

    public override string Unit => "GB/s";

    public override bool OneThread => true;

    public override IReadOnlyList<string> Prepare(string folder, BenchmarkOptions options)
    {
        Environment.SetEnvironmentVariable("OMPI_ALLOW_RUN_AS_ROOT", "1");
        Environment.SetEnvironmentVariable("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        return ["the vector of a rank is summed in place; GB/s are its bytes over the time of one sum, and milliseconds follow from them"];
    }

    public override IReadOnlyList<string> CommandOf(SideName side, string folder, BenchmarkOptions options) =>
        ["mpirun", .. s_ranks, SideProcess.DotnetHost, typeof(AllReduceBenchmark).Assembly.Location, "--side", side.ToString(), Name, folder];

    public override Side Open(SideName side, string folder, BenchmarkOptions options) => new AllReduceSide(isOurs: side == SideName.Ours);

    public override string Compare(string oursCheck, string peerCheck)
    {
        byte[] ours = File.ReadAllBytes(oursCheck), peer = File.ReadAllBytes(peerCheck);
        return ours.AsSpan().SequenceEqual(peer) // of two ranks there is but one order to add in
            ? string.Create(CultureInfo.InvariantCulture, $"{ours.Length / sizeof(float)} sums have the same bits on both sides (SHA-256 {Convert.ToHexString(SHA256.HashData(ours))[..16]}…)")
            : throw new InvalidDataException("the two sides' sums differ");
    }
}
