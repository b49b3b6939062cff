using System.Buffers.Binary;
using SimCse.Checkpoints;

namespace SimCse.Tests.Checkpoints;

/// <summary>
/// A thousand damaged files of each kind: every one opens with legal tensors (damage that leaves the file sound, such as another epsilon, cannot be told) or is refused in
/// one line; nothing else is thrown, and nothing is allocated that the files' size does not justify.
/// </summary>
public sealed class MutatedFilesTests(ITestOutputHelper output)
{
    private const int Cases = 1000;

    [Fact]
    public void Of_model_safetensors() => Run(ModelCopy.Bert(), "model.safetensors", Mutation.Safetensors, 950);

    [Fact]
    public void Of_a_sharded_index()
    {
        using Checkpoint original = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        Run(Shards.Of(original, "model", ".safetensors"), "model.safetensors.index.json", Mutation.Json, 700);
    }

    [Fact]
    public void Of_pytorch_model_bin() => Run(ModelCopy.Of("tiny-bert", ["config.json", "pytorch_model.bin"]), "pytorch_model.bin", DamagePickleOrZip, 700);

    [Fact]
    public void Of_config_json() => Run(ModelCopy.Bert(), "config.json", Mutation.Json, 600);

    [Fact]
    public void Of_a_pooling_configuration() => Run(ModelCopy.SentenceTransformer(), "1_Pooling/config.json", Mutation.Json, 600);

    [Fact]
    public void Of_modules_json() => Run(ModelCopy.SentenceTransformer(), "modules.json", Mutation.Json, 600);

    [Fact]
    public void Of_a_dense_layers_safetensors() => Run(ModelCopy.SentenceTransformer(), "2_Dense/model.safetensors", Mutation.Safetensors, 950);

    /// <summary>data.pkl is the first entry; damage that changes its length is made good by moving what follows, as a file made so on purpose would have it.</summary>
    private static byte[] DamagePickleOrZip(byte[] zip, Random random)
    {
        if (random.Next(3) == 0)
        {
            return Mutation.Zip(zip, random);
        }

        int start = 30 + BinaryPrimitives.ReadUInt16LittleEndian(zip.AsSpan(26)) + BinaryPrimitives.ReadUInt16LittleEndian(zip.AsSpan(28));
        int directory = zip.AsSpan().IndexOf("PK\x01\x02"u8);
        int length = BinaryPrimitives.ReadInt32LittleEndian(zip.AsSpan(directory + 24));
        byte[] pickle = Mutation.Pickle(zip[start..(start + length)], random);
        if (pickle.Length > length)
        {
            pickle = pickle[..length];
        }

        // A shorter pickle leaves a gap behind it, which zip allows: only its own two lengths change.
        byte[] damaged = [.. zip];
        pickle.CopyTo(damaged, start);
        foreach (int at in (int[])[18, 22, directory + 20, directory + 24])
        {
            BinaryPrimitives.WriteInt32LittleEndian(damaged.AsSpan(at), pickle.Length);
        }

        return damaged;
    }

    private void Run(ModelCopy copy, string file, Func<byte[], Random, byte[]> mutate, int atLeastRefused)
    {
        copy.Open().Dispose(); // sound before the damage; and what .NET allocates once is allocated now
        byte[] sound = File.ReadAllBytes(copy.PathOf(file));
        (int refused, int same, int different, long most) = (0, 0, 0, 0);
        Dictionary<string, float[]> original = ReadAll(copy);
        for (int seed = 0; seed < Cases; seed++)
        {
            TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
            byte[] damaged = mutate(sound, new Random(seed));
            File.WriteAllBytes(copy.PathOf(file), damaged);
            long size = Directory.EnumerateFiles(copy.Directory, "*", SearchOption.AllDirectories).Sum(f => new FileInfo(f).Length);
            long before = GC.GetAllocatedBytesForCurrentThread();
            try
            {
                Dictionary<string, float[]> read = ReadAll(copy);
                bool equal = read.Count == original.Count && read.All(t => original.TryGetValue(t.Key, out float[]? values) && values.AsSpan().SequenceEqual(t.Value));
                (same, different) = equal ? (same + 1, different) : (same, different + 1);
            }
            catch (Exception e) when (e is InvalidDataException or IOException)
            {
                refused++;
                Assert.StartsWith(copy.Directory, e.Message, StringComparison.Ordinal);
                Assert.True(!e.Message.Contains('\n', StringComparison.Ordinal) && e.Message.Length < 1000, $"seed {seed}: {e.Message}");
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                Assert.Fail($"{file}, seed {seed}: {e}");
            }

            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            most = Math.Max(most, allocated);
            Assert.True(allocated < (3 * size) + 500_000, $"{file}, seed {seed}: {allocated} bytes allocated for files of {size}");
        }

        output.WriteLine($"{file}: {refused} refused, {same} read as before, {different} read with other sound contents; at most {most} bytes allocated (sound file: {sound.Length} bytes)");
        Assert.True(refused >= atLeastRefused, $"only {refused} refused");
    }

    /// <summary>Opens the model and reads all of the encoder, checking that every tensor is what the configuration calls for.</summary>
    private static Dictionary<string, float[]> ReadAll(ModelCopy copy)
    {
        using Checkpoint checkpoint = copy.Open();
        Dictionary<string, float[]> tensors = new(StringComparer.Ordinal);
        foreach (TensorEntry tensor in EncoderTensors.For(checkpoint.Config))
        {
            float[] values = checkpoint.ReadEncoderTensor(tensor.Name);
            Assert.Equal(tensor.Count, values.Length);
            tensors.Add(tensor.Name, values);
        }

        if (checkpoint.ReadMaskedLanguageHead() is { } head)
        {
            Assert.Equal(checkpoint.Config.VocabularySize, head.DecoderBias.Length);
            tensors.Add("head", head.DenseWeight);
        }

        if (checkpoint.Modules?.Head is { } dense)
        {
            Assert.Equal((long)dense.InFeatures * dense.OutFeatures, dense.Weight.Length);
            tensors.Add("dense", dense.Weight);
        }

        return tensors;
    }
}
