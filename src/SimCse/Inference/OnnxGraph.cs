using System.Globalization;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Google.Protobuf;
using Microsoft.ML.OnnxRuntime;
using Onnx;

namespace SimCse.Inference;

/// <summary>A constant of a graph: row-major values that stay outside the ONNX message.</summary>
/// <param name="Name">The name that nodes know it by.</param>
/// <param name="Values">float[] or sbyte[], as many as the shape says; handed to ONNX Runtime where they lie.</param>
/// <param name="Shape">The sizes of its axes.</param>
/// <param name="IsHalf">Whether float16 holds every value: then that is how a file stores them.</param>
internal sealed record GraphWeight(string Name, Array Values, long[] Shape, bool IsHalf = false)
{
    /// <summary>The element type as ONNX has it.</summary>
    public TensorProto.Types.DataType Type => Values switch
    {
        float[] => TensorProto.Types.DataType.Float,
        sbyte[] => TensorProto.Types.DataType.Int8,
        _ => throw Unknown(),
    };

    /// <summary>The bytes of the values in a file.</summary>
    public long Length => Values.LongLength * (Type == TensorProto.Types.DataType.Int8 ? sizeof(sbyte) : IsHalf ? 2 : sizeof(float));

    /// <summary>The values as a file has them, little-endian.</summary>
    public ByteString ToBytes()
    {
        switch (Values)
        {
            case float[] values when IsHalf:
                Half[] halves = new Half[values.Length];
                TensorPrimitives.ConvertToHalf(values, halves);
                return ByteString.CopyFrom(MemoryMarshal.AsBytes<Half>(halves));
            case float[] values:
                return ByteString.CopyFrom(MemoryMarshal.AsBytes<float>(values));
            case sbyte[] values:
                return ByteString.CopyFrom(MemoryMarshal.AsBytes<sbyte>(values));
            default:
                throw Unknown();
        }
    }

    /// <summary>The values where they lie, as ONNX Runtime takes them.</summary>
    public OrtValue ToOrtValue() => Values switch
    {
        float[] values => OrtValue.CreateTensorValueFromMemory(values, Shape),
        sbyte[] values => OrtValue.CreateTensorValueFromMemory(values, Shape),
        _ => throw Unknown(),
    };

    private InvalidOperationException Unknown() => new($"{Name}: weights of type {Values.GetType()} are not written by this graph");
}

/// <summary>
/// An ONNX graph in the making: every call adds one node (or constant) and returns the name of what it gives, so that a model is
/// written as a chain of calls. Weights are declared as external data and kept beside the message: an ONNX message cannot
/// exceed 2 GB, and weights need not be copied into one.
/// </summary>
internal sealed class OnnxGraph
{
    /// <summary>The domain of ONNX Runtime's fused transformer operators.</summary>
    public const string Contrib = "com.microsoft";

    // ONNX Runtime looks whether the place of external data exists before it takes the values it was handed (SessionOptions.AddInitializer) in
    // their stead, and never opens it; the working directory always exists.
    private const string WeightsLocation = ".";

    // What protobuf can read back: 2 GB, less what the message needs beside the weights.
    private const long LargestFile = int.MaxValue - (1 << 20);

    // Under this length storing half precision saves nothing worth a node.
    private const int ShortestHalf = 4096;

    private readonly GraphProto _graph = new() { Name = "SimCse" };
    private readonly List<GraphWeight> _weights = [];
    private readonly bool _halfWeights;

    /// <summary>An empty graph.</summary>
    /// <param name="halfWeights">Whether float32 weights are rounded to float16, and a file stores them so: they are widened when it is opened.</param>
    public OnnxGraph(bool halfWeights = false) => _halfWeights = halfWeights;

    public IReadOnlyList<GraphWeight> Weights => _weights;

    public string Input(string name, params string[] axes)
    {
        _graph.Input.Add(Value(name, TensorProto.Types.DataType.Int64, axes));
        return name;
    }

    public void Output(string name, params string[] axes) => _graph.Output.Add(Value(name, TensorProto.Types.DataType.Float, axes));

    /// <summary>A float32 constant.</summary>
    public string Weight(string name, float[] values, params long[] shape)
    {
        if (!_halfWeights || values.Length < ShortestHalf)
        {
            return Declare(new GraphWeight(name, values, shape));
        }

        Half[] halves = new Half[values.Length];
        TensorPrimitives.ConvertToHalf(values, halves);
        int large = Array.FindIndex(halves, Half.IsInfinity);
        if (large >= 0 && float.IsFinite(values[large]))
        {
            throw new InvalidDataException($"{name}: the value {values[large]} is too large for float16 (at most 65504)");
        }

        float[] rounded = new float[values.Length];
        TensorPrimitives.ConvertToSingle(halves, rounded);
        return Declare(new GraphWeight(name, rounded, shape, IsHalf: true));
    }

    /// <summary>An 8-bit integer constant.</summary>
    public string Weight(string name, sbyte[] values, params long[] shape) => Declare(new GraphWeight(name, values, shape));

    /// <summary>A constant list of integers, such as axes or bounds.</summary>
    public string Integers(string name, params long[] values)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)TensorProto.Types.DataType.Int64 };
        tensor.Dims.Add(values.Length);
        tensor.Int64Data.AddRange(values);
        _graph.Initializer.Add(tensor);
        return name;
    }

    /// <summary>One 32-bit integer without axes.</summary>
    public string Scalar(string name, int value)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)TensorProto.Types.DataType.Int32 };
        tensor.Int32Data.Add(value);
        _graph.Initializer.Add(tensor);
        return name;
    }

    /// <summary>One float32 number without axes.</summary>
    public string Scalar(string name, float value)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)TensorProto.Types.DataType.Float };
        tensor.FloatData.Add(value);
        _graph.Initializer.Add(tensor);
        return name;
    }

    /// <summary>One unsigned 8-bit integer without axes.</summary>
    public string Scalar(string name, byte value)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)TensorProto.Types.DataType.Uint8 };
        tensor.Int32Data.Add(value);
        _graph.Initializer.Add(tensor);
        return name;
    }

    /// <summary>Adds a node with one output, named <paramref name="output"/>. An input left out is the empty string.</summary>
    public string Node(string output, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes) =>
        Node("", [output], operation, inputs, attributes);

    /// <summary>Adds a node with one of ONNX Runtime's own operators.</summary>
    public string ContribNode(string output, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes) =>
        Node(Contrib, [output], operation, inputs, attributes);

    /// <summary>Adds a node of ONNX itself that has several outputs.</summary>
    public string[] Node(string[] outputs, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes)
    {
        Node("", outputs, operation, inputs, attributes);
        return outputs;
    }

    /// <summary>The model with its weights outside, to be handed over by <see cref="Weights"/>.</summary>
    public ModelProto ToModel()
    {
        ModelProto model = new() { IrVersion = 8, ProducerName = "SimCse", Graph = _graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = 17 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = Contrib, Version = 1 });
        return model;
    }

    /// <summary>Writes the model as one ONNX file, weights inside.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="metadata">Names and values that the file carries beside the graph.</param>
    /// <exception cref="InvalidDataException">The weights exceed the 2 GB that one file can hold.</exception>
    public void Write(Stream stream, IEnumerable<KeyValuePair<string, string>> metadata)
    {
        long bytes = _weights.Sum(weight => weight.Length);
        if (bytes > LargestFile)
        {
            throw new InvalidDataException($"the model has {bytes} bytes of weights; one ONNX file holds at most {LargestFile}: export with a smaller precision");
        }

        ModelProto model = ToModel().Clone();
        Dictionary<string, GraphWeight> weights = _weights.ToDictionary(weight => weight.Name, StringComparer.Ordinal);
        foreach (TensorProto tensor in model.Graph.Initializer)
        {
            if (weights.TryGetValue(tensor.Name, out GraphWeight? weight))
            {
                tensor.ExternalData.Clear();
                tensor.DataLocation = TensorProto.Types.DataLocation.Default;
                tensor.RawData = weight.ToBytes();
                if (weight.IsHalf)
                {
                    tensor.Name = $"{weight.Name}.half";
                    tensor.DataType = (int)TensorProto.Types.DataType.Float16;
                    model.Graph.Node.Insert(0, MakeNode("", [weight.Name], "Cast", [tensor.Name], [("to", (int)TensorProto.Types.DataType.Float)])); // computed once, when the file is opened
                }
            }
        }

        foreach ((string key, string value) in metadata)
        {
            model.MetadataProps.Add(new StringStringEntryProto { Key = key, Value = value });
        }

        model.WriteTo(stream);
    }

    private string Declare(GraphWeight weight)
    {
        TensorProto tensor = new() { Name = weight.Name, DataType = (int)weight.Type, DataLocation = TensorProto.Types.DataLocation.External };
        tensor.Dims.AddRange(weight.Shape);
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = WeightsLocation });
        _graph.Initializer.Add(tensor);
        _weights.Add(weight);
        return weight.Name;
    }

    private static ValueInfoProto Value(string name, TensorProto.Types.DataType type, string[] axes)
    {
        TypeProto.Types.Tensor tensor = new() { ElemType = (int)type, Shape = new TensorShapeProto() };
        foreach (string axis in axes)
        {
            tensor.Shape.Dim.Add(long.TryParse(axis, NumberStyles.None, CultureInfo.InvariantCulture, out long size)
                ? new TensorShapeProto.Types.Dimension { DimValue = size }
                : new TensorShapeProto.Types.Dimension { DimParam = axis });
        }

        return new ValueInfoProto { Name = name, Type = new TypeProto { TensorType = tensor } };
    }

    private string Node(string domain, string[] outputs, string operation, IEnumerable<string> inputs, (string Name, object Value)[] attributes)
    {
        _graph.Node.Add(MakeNode(domain, outputs, operation, inputs, attributes));
        return outputs[0];
    }

    private static NodeProto MakeNode(string domain, string[] outputs, string operation, IEnumerable<string> inputs, (string Name, object Value)[] attributes)
    {
        NodeProto node = new() { Name = outputs[0], OpType = operation, Domain = domain };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        foreach ((string name, object value) in attributes)
        {
            node.Attribute.Add(value switch
            {
                long[] numbers => Integers(name, numbers),
                int number => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Int, I = number },
                float number => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Float, F = number },
                string text => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(text) },
                _ => throw new ArgumentException($"an attribute of type {value.GetType()} is not written by this graph", nameof(attributes)),
            });
        }

        return node;

        static AttributeProto Integers(string name, long[] numbers)
        {
            AttributeProto attribute = new() { Name = name, Type = AttributeProto.Types.AttributeType.Ints };
            attribute.Ints.AddRange(numbers);
            return attribute;
        }
    }
}
