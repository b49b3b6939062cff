using System.Runtime.ExceptionServices;

namespace SimCse.Training.Distribution;

/// <summary>An exchange between the ranks that goes on while its caller computes.</summary>
public sealed class PendingOperation
{
    private readonly Action _run;
    private readonly object _change = new();
    private volatile bool _isAwaited, _isComplete;
    private Exception? _failure;

    internal PendingOperation(Action run) => _run = run;

    /// <summary>Whether it has ended, well or not; <see cref="Wait"/> then returns at once or throws.</summary>
    public bool IsComplete => _isComplete;

    /// <summary>Whether a thread stands still for it.</summary>
    internal bool IsAwaited => _isAwaited;

    /// <summary>Waits for the end.</summary>
    /// <exception cref="RankFailureException">Another rank failed or died.</exception>
    /// <exception cref="OperationCanceledException">All ranks were asked to stop, and another has stopped.</exception>
    /// <exception cref="IOException">MPI reports an error.</exception>
    public void Wait()
    {
        _isAwaited = true;
        lock (_change)
        {
            while (!_isComplete)
            {
                Monitor.Wait(_change);
            }
        }

        if (_failure is not null)
        {
            ExceptionDispatchInfo.Throw(_failure);
        }
    }

    /// <summary>Runs it, on the communication thread.</summary>
    internal void Run()
    {
        try
        {
            _run();
        }
        catch (Exception e)
        {
            _failure = e; // thrown where it is waited for
        }

        lock (_change)
        {
            _isComplete = true;
            Monitor.PulseAll(_change);
        }
    }
}
