using SimCse.Checkpoints;
using SimCse.Training.Modeling;

namespace SimCse.Training.Distribution;

/// <summary>
/// The sum of the gradients of all ranks, in one bucket a layer: a bucket's sum starts when the backward has left its layer, and goes on while the layers below compute theirs.
/// </summary>
internal sealed unsafe class GradientSum : IDisposable
{
    private readonly Communicator _ranks;
    private readonly SimCseModel _model;
    private readonly bool[] _started;
    private readonly List<PendingOperation> _pending = [];

    /// <summary>Sums of one step, whose gradients have been cleared.</summary>
    public GradientSum(Communicator ranks, SimCseModel model)
    {
        _ranks = ranks;
        _model = model;
        _started = new bool[model.Config.Layers + 1];
    }

    /// <summary>Starts the sum of a layer, 1 … layers.</summary>
    public void Start(int layer)
    {
        _started[layer] = true;
        Start(Begin(layer), layer == _model.Config.Layers ? EndOfEncoder() : Begin(layer + 1));
    }

    /// <summary>Starts what has not been started, and waits for all.</summary>
    public void Complete()
    {
        for (int layer = _model.Config.Layers; layer > 0; layer--)
        {
            if (!_started[layer])
            {
                Start(layer);
            }
        }

        Start(EndOfEncoder(), _model.Parameters.FlatGradients.numel());
        Start(0, Begin(1));
        while (_pending.Count > 0)
        {
            PendingOperation next = _pending[0];
            _pending.RemoveAt(0);
            next.Wait();
        }
    }

    /// <summary>Waits for what a failure has left under way: the memory must not go before.</summary>
    public void Dispose()
    {
        foreach (PendingOperation operation in _pending)
        {
            try
            {
                operation.Wait();
            }
            catch (IOException)
            {
                // what is thrown already says why
            }
        }
    }

    private void Start(long from, long to)
    {
        if (to > from)
        {
            _pending.Add(_ranks.StartAllReduceSum(_model.Parameters.FlatGradients.Address() + (nint)(from * sizeof(float)), to - from));
        }
    }

    private long Begin(int layer) => _model.Parameters.GradientStart(EncoderTensors.LayerPrefix(layer - 1) + "attention.self.query.weight");

    /// <summary>Where the heads begin, which were added behind the encoder.</summary>
    private long EndOfEncoder()
    {
        TensorEntry last = EncoderTensors.For(_model.Config).Last();
        int next = _model.Parameters.Names.ToList().IndexOf(last.Name) + 1;
        return next < _model.Parameters.Names.Count ? _model.Parameters.GradientStart(_model.Parameters.Names[next]) : _model.Parameters.FlatGradients.numel();
    }
}
