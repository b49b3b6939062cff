namespace SimCse.Evaluation.Transfer;

/// <summary>
/// Folds of examples in which every class has its share: scikit-learn's <c>StratifiedKFold(n_splits, shuffle=True, random_state=seed)</c>, fold for fold.
/// </summary>
internal static class StratifiedFolds
{
    /// <summary>Splits rows.</summary>
    /// <param name="rows">The rows to split.</param>
    /// <param name="labels">The class of every row there is, these among them.</param>
    /// <param name="count">The number of folds.</param>
    /// <param name="seed">Of the shuffle.</param>
    /// <returns>A fold each: the rows that it holds back (Test), and the others (Train), in the order given.</returns>
    public static IReadOnlyList<(int[] Train, int[] Test)> Of(int[] rows, int[] labels, int count, uint seed)
    {
        // Classes in the order in which they first come.
        Dictionary<int, int> places = [];
        int[] classes = new int[rows.Length];
        List<int> sizes = [];
        for (int i = 0; i < rows.Length; i++)
        {
            int label = labels[rows[i]];
            if (places.TryAdd(label, sizes.Count))
            {
                sizes.Add(0);
            }

            classes[i] = places[label];
            sizes[classes[i]]++;
        }

        // Of the classes in a row, sorted, fold f takes the places f, f + count, f + 2 count, …; so many of a class are its share.
        MersenneTwister random = new(seed);
        int[] foldOf = new int[rows.Length];
        int start = 0;
        for (int c = 0; c < sizes.Count; c++)
        {
            int end = start + sizes[c];
            int[] folds = [.. Enumerable.Range(0, count).SelectMany(fold => Enumerable.Repeat(fold, CountOfPlaces(end, fold) - CountOfPlaces(start, fold)))];
            random.Shuffle(folds);
            int next = 0;
            for (int i = 0; i < classes.Length; i++)
            {
                if (classes[i] == c)
                {
                    foldOf[i] = folds[next++];
                }
            }

            start = end;
        }

        List<int>[] train = [.. Enumerable.Range(0, count).Select(_ => new List<int>(rows.Length))];
        List<int>[] test = [.. Enumerable.Range(0, count).Select(_ => new List<int>((rows.Length / count) + 1))];
        for (int i = 0; i < rows.Length; i++)
        {
            for (int fold = 0; fold < count; fold++)
            {
                (foldOf[i] == fold ? test : train)[fold].Add(rows[i]);
            }
        }

        return [.. train.Zip(test, (a, b) => (a.ToArray(), b.ToArray()))];

        int CountOfPlaces(int before, int fold) => before > fold ? ((before - fold - 1) / count) + 1 : 0;
    }
}
