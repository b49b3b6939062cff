using SimCse.Training.Distillation;

namespace SimCse.Training.Data;

/// <summary>The batches of a run's steps, the next few made on other threads while a step runs. Step t's batch is a pure function of t.</summary>
/// <param name="corpus">Where the rows are.</param>
/// <param name="order">Which rows a step reads.</param>
/// <param name="teacher">What a teacher says of the texts; null for no teacher.</param>
/// <param name="heldOut">Rows that no step reads; the order is over the others. Null for none.</param>
/// <param name="groups">For each row a number that rows which say the same have in common; null where that is not looked at.</param>
public sealed class StepBatches(TrainingCorpus corpus, EpochOrder order, TeacherTargets? teacher = null, HeldOutRows? heldOut = null, IReadOnlyList<int>? groups = null)
{
    /// <summary>Enough to bridge a slow read; each more costs a batch of token ids.</summary>
    private const int StepsAhead = 4;

    private IEnumerator<ContrastiveBatch>? _ahead;
    private int _next;

    /// <summary>The batch of a step; without a wait where the steps are asked for one after the other.</summary>
    /// <exception cref="InvalidDataException">The token file cannot be read: which row.</exception>
    public ContrastiveBatch At(int step)
    {
        if (_ahead is null || step != _next)
        {
            _ahead = From(step).SelectAhead(StepsAhead, Make).GetEnumerator();
        }

        _next = step + 1;
        _ahead.MoveNext();
        return _ahead.Current;
    }

    private ContrastiveBatch Make(int step)
    {
        int[] rows = order.RowsOf(step);
        for (int i = 0; heldOut is not null && i < rows.Length; i++)
        {
            rows[i] = heldOut.TrainedRow(rows[i]);
        }

        return corpus.Batch(rows, teacher) with { Groups = groups is null ? null : [.. rows.Select(r => groups[r])] };
    }

    private static IEnumerable<int> From(int step)
    {
        while (true)
        {
            yield return step++;
        }
    }
}
