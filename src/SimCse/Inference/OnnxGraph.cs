using System.Globalization;
using Google.Protobuf;
using Onnx;

namespace SimCse.Inference;

/// <summary>A float32 constant of a graph: row-major values that stay outside the ONNX message.</summary>
/// <param name="Name">The name that nodes know it by.</param>
/// <param name="Values">As many as the shape says; handed to ONNX Runtime where they lie.</param>
/// <param name="Shape">The sizes of its axes.</param>
internal sealed record GraphWeight(string Name, float[] Values, long[] Shape);

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

    private readonly GraphProto _graph = new() { Name = "SimCse" };
    private readonly List<GraphWeight> _weights = [];

    public IReadOnlyList<GraphWeight> Weights => _weights;

    public string Input(string name, params string[] axes)
    {
        _graph.Input.Add(Value(name, TensorProto.Types.DataType.Int64, axes));
        return name;
    }

    public void Output(string name, params string[] axes) => _graph.Output.Add(Value(name, TensorProto.Types.DataType.Float, axes));

    public string Weight(string name, float[] values, params long[] shape)
    {
        TensorProto tensor = new() { Name = name, DataType = (int)TensorProto.Types.DataType.Float, DataLocation = TensorProto.Types.DataLocation.External };
        tensor.Dims.AddRange(shape);
        tensor.ExternalData.Add(new StringStringEntryProto { Key = "location", Value = WeightsLocation });
        _graph.Initializer.Add(tensor);
        _weights.Add(new GraphWeight(name, values, shape));
        return name;
    }

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

    /// <summary>Adds a node with one output, named <paramref name="output"/>. An input left out is the empty string.</summary>
    public string Node(string output, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes) =>
        Node("", [output], operation, inputs, attributes);

    /// <summary>Adds a node with one of ONNX Runtime's own operators.</summary>
    public string ContribNode(string output, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes) =>
        Node(Contrib, [output], operation, inputs, attributes);

    /// <summary>Adds a node with one of ONNX Runtime's own operators that has several outputs; returns the first.</summary>
    public string ContribNode(string[] outputs, string operation, IEnumerable<string> inputs, params (string Name, object Value)[] attributes) =>
        Node(Contrib, outputs, operation, inputs, attributes);

    public ModelProto ToModel()
    {
        ModelProto model = new() { IrVersion = 8, ProducerName = "SimCse", Graph = _graph };
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = "", Version = 17 });
        model.OpsetImport.Add(new OperatorSetIdProto { Domain = Contrib, Version = 1 });
        return model;
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
        NodeProto node = new() { Name = outputs[0], OpType = operation, Domain = domain };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        foreach ((string name, object value) in attributes)
        {
            node.Attribute.Add(value switch
            {
                int number => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Int, I = number },
                float number => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.Float, F = number },
                string text => new AttributeProto { Name = name, Type = AttributeProto.Types.AttributeType.String, S = ByteString.CopyFromUtf8(text) },
                _ => throw new ArgumentException($"an attribute of type {value.GetType()} is not written by this graph", nameof(attributes)),
            });
        }

        _graph.Node.Add(node);
        return outputs[0];
    }
}
