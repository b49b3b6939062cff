using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Onnx;
using SimCse.Checkpoints;
using SimCse.Inference;

namespace SimCse.Tests.Inference;

public sealed class EncoderGraphTests
{
    [Theory]
    [InlineData("tiny-bert")]
    [InlineData("tiny-roberta")]
    [InlineData("all-MiniLM-L6-v2")]
    public void Hidden_states_equal_the_reference(string model)
    {
        using Goldens goldens = Goldens.Open(model);
        using Checkpoint checkpoint = Checkpoint.Open(goldens.ModelDirectory);
        OnnxGraph graph = EncoderGraph.Build(checkpoint, Pooling.Avg, head: null, normalize: false);
        string[] names = [.. Enumerable.Range(0, checkpoint.Config.Layers + 1).Select(EncoderGraph.HiddenState)];
        long[] shape = goldens.Shape("hidden.0"); // (B, T, H); of MiniLM the first six sentences
        int rows = (int)shape[0], width = (int)shape[1], h = (int)shape[2];
        long[] mask = goldens.Integers("batch.attention_mask")[..(rows * width)];

        float[][] found = Run(graph, names, goldens.Integers("batch.input_ids")[..(rows * width)], mask, width);

        for (int layer = 0; layer < names.Length; layer++)
        {
            float[] expected = goldens.Floats(names[layer]);
            for (int token = 0; token < mask.Length; token++)
            {
                if (mask[token] == 1)
                {
                    VectorAssert.Close(expected.AsSpan(token * h, h), found[layer].AsSpan(token * h, h));
                }
            }
        }
    }

    [Fact]
    public void A_pad_id_among_RoBERTas_tokens_has_the_pad_position_and_the_count_goes_on_after_it()
    {
        // transformers, create_position_ids_from_input_ids: cumsum(id != pad) * (id != pad) + pad.
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-roberta"));
        OnnxGraph graph = EncoderGraph.Build(checkpoint, Pooling.Avg, head: null, normalize: false);

        using InferenceSession session = Session(graph, [("positions", TensorProto.Types.DataType.Int32)], out List<OrtValue> weights);
        using OrtValue ids = OrtValue.CreateTensorValueFromMemory(new long[] { 0, 50, 1, 60, 2, 1, 1 }, [1, 7]);
        using OrtValue mask = OrtValue.CreateTensorValueFromMemory(new long[] { 1, 1, 1, 1, 1, 0, 0 }, [1, 7]);
        using RunOptions options = new();
        using IDisposableReadOnlyCollection<OrtValue> outputs = session.Run(options, [EncoderGraph.InputIds, EncoderGraph.AttentionMask], [ids, mask], ["positions"]);

        Assert.Equal([2, 3, 1, 4, 5, 1, 1], outputs[0].GetTensorDataAsSpan<int>());
        weights.ForEach(weight => weight.Dispose());
    }

    [Fact]
    public void Weights_stay_outside_the_message()
    {
        using Checkpoint checkpoint = Checkpoint.Open(RepositoryPaths.Fixture("tiny-bert"));
        OnnxGraph graph = EncoderGraph.Build(checkpoint, Pooling.ClsBeforePooler, head: null, normalize: true);

        Assert.InRange(graph.ToModel().CalculateSize(), 1, 20_000);
        Assert.Equal(graph.Weights.Count, graph.Weights.DistinctBy(weight => weight.Name, StringComparer.Ordinal).Count());
        Assert.All(graph.Weights, weight => Assert.Equal(weight.Values.LongLength, weight.Shape.Aggregate(1L, (a, b) => a * b)));
    }

    private static float[][] Run(OnnxGraph graph, string[] outputNames, long[] ids, long[] mask, int width)
    {
        using InferenceSession session = Session(graph, outputNames.Select(name => (name, TensorProto.Types.DataType.Float)), out List<OrtValue> weights);
        using OrtValue idsValue = OrtValue.CreateTensorValueFromMemory(ids, [ids.Length / width, width]);
        using OrtValue maskValue = OrtValue.CreateTensorValueFromMemory(mask, [ids.Length / width, width]);
        using RunOptions options = new();
        using IDisposableReadOnlyCollection<OrtValue> outputs = session.Run(options, [EncoderGraph.InputIds, EncoderGraph.AttentionMask], [idsValue, maskValue], outputNames);
        float[][] values = [.. outputs.Select(output => output.GetTensorDataAsSpan<float>().ToArray())];
        weights.ForEach(weight => weight.Dispose());
        return values;
    }

    private static InferenceSession Session(OnnxGraph graph, IEnumerable<(string Name, TensorProto.Types.DataType Type)> outputs, out List<OrtValue> weights)
    {
        ModelProto model = graph.ToModel();
        foreach ((string name, TensorProto.Types.DataType type) in outputs)
        {
            model.Graph.Output.Add(new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = new TypeProto.Types.Tensor { ElemType = (int)type } } });
        }

        using SessionOptions options = new();
        weights = [];
        foreach (GraphWeight weight in graph.Weights)
        {
            OrtValue value = weight.ToOrtValue();
            weights.Add(value);
            options.AddInitializer(weight.Name, value);
        }

        return new InferenceSession(model.ToByteArray(), options);
    }
}
