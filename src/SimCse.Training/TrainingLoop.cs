using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using SimCse.Checkpoints;
using SimCse.Evaluation;
using SimCse.Training.Distribution;
using SimCse.Training.Modeling;

namespace SimCse.Training;

/// <summary>What one step reports.</summary>
/// <param name="Loss">The objective.</param>
/// <param name="GradientNorm">Before clipping.</param>
/// <param name="LearningRate">η of the step.</param>
/// <param name="Sentences">Rows of the data that the step read.</param>
/// <param name="Alignment">Of the batch, where the objective has positive pairs.</param>
/// <param name="Uniformity">Of the batch, where the objective has positive pairs.</param>
public sealed record StepMetrics(double Loss, double GradientNorm, double LearningRate, int Sentences, double? Alignment = null, double? Uniformity = null);

/// <summary>What an evaluation during training found.</summary>
/// <param name="Score">The figure by which the best weights are chosen, higher is better.</param>
/// <param name="Alignment">mean ‖f(x) − f(x⁺)‖² on held-out positives; null where it was not measured.</param>
/// <param name="Uniformity">log mean exp(−2‖f(x) − f(y)‖²) on held-out texts; null where it was not measured.</param>
/// <param name="EffectiveRank">Of the held-out texts' vectors; null where it was not measured.</param>
public sealed record DevelopmentScore(double Score, double? Alignment = null, double? Uniformity = null, double? EffectiveRank = null);

/// <summary>A report of the loop to whoever watches.</summary>
/// <param name="Step">Steps done.</param>
/// <param name="TotalSteps">Steps in all.</param>
/// <param name="Metrics">The last step's; null in a report of an evaluation at the start.</param>
/// <param name="Development">An evaluation, where one was just made.</param>
/// <param name="Best">The best evaluation so far.</param>
/// <param name="SentencesPerSecond">Over this session, evaluations not counted.</param>
/// <param name="Remaining">An estimate of the time left.</param>
public sealed record TrainingProgress(int Step, int TotalSteps, StepMetrics? Metrics, DevelopmentScore? Development, (int Step, double Score)? Best, double SentencesPerSecond, TimeSpan Remaining);

/// <summary>How a run ended.</summary>
/// <param name="BestStep">The step whose weights the model has.</param>
/// <param name="BestScore">Its score; null where nothing was evaluated.</param>
/// <param name="Steps">Steps in all.</param>
/// <param name="Seconds">Time spent training and evaluating, over all sessions of the run.</param>
/// <param name="SentencesPerSecond">Sentences over the time spent in steps.</param>
public sealed record TrainingResult(int BestStep, double? BestScore, int Steps, double Seconds, double SentencesPerSecond);

/// <summary>
/// The loop around steps of any objective: evaluations, the best weights, <c>metrics.jsonl</c>, a checkpoint from which a killed run goes on to
/// the same bits, and a clean stop when cancelled.
/// </summary>
/// <remarks>
/// While it runs, the output's <c>run</c> folder holds <c>state.safetensors</c> (the checkpoint) and <c>best</c> (the best model so far, a whole model directory). At the end
/// the model moves up, config.json last, so that the output is a model only when all of it is there; <c>trainer_state.json</c> is written and <c>run</c> goes.
/// </remarks>
public sealed class TrainingLoop
{
    internal const string FinishedFile = "trainer_state.json";

    private const string StateFile = "state.safetensors";

    private readonly string _directory;
    private readonly ParameterSet _parameters;
    private readonly AdamW _optimizer;
    private readonly JsonObject _fingerprint;

    /// <summary>A loop over these parameters, kept in <paramref name="directory"/>.</summary>
    /// <param name="directory">The run's output; see the remarks.</param>
    /// <param name="parameters">What learns.</param>
    /// <param name="optimizer">What updates it.</param>
    /// <param name="fingerprint">Everything that decides the arithmetic (options, hashes of data and weights): a run is resumed only where all of it is the same.</param>
    public TrainingLoop(string directory, ParameterSet parameters, AdamW optimizer, JsonObject fingerprint)
    {
        _directory = directory;
        _parameters = parameters;
        _optimizer = optimizer;
        _fingerprint = fingerprint;
        _fingerprint["threads"] = TorchSharp.torch.get_num_threads(); // sums are cut up by thread: other counts round otherwise
    }

    /// <summary>Steps in all.</summary>
    public required int TotalSteps { get; init; }

    /// <summary>An evaluation every so many steps, and after the last.</summary>
    public required int EvaluationSteps { get; init; }

    /// <summary>The resumable state is written every so many steps, and after the last.</summary>
    public required int SaveSteps { get; init; }

    /// <summary>Step t of the run, from 0: updates the parameters through the optimiser.</summary>
    public required Func<int, StepMetrics> Step { get; init; }

    /// <summary>Judges the parameters as they are; null where there is nothing to judge by: then the last weights are kept.</summary>
    public Func<CancellationToken, DevelopmentScore>? Evaluate { get; init; }

    /// <summary>Stops the run when its vectors collapse; null where nobody watches.</summary>
    public CollapseAlarm? Alarm { get; init; }

    /// <summary>Writes the model as it is into this directory, replacing what is there; called whenever it is the best so far.</summary>
    public required Action<string, int, DevelopmentScore?> WriteModel { get; init; }

    /// <summary>
    /// The processes that take the steps together, or null. Rank 0 alone evaluates, writes and reads the directory; the others are given the state that it resumes from.
    /// </summary>
    public Communicator? Ranks { get; init; }

    /// <summary>Called when the run is known to be the one in the directory, or new, before anything else is written.</summary>
    public Action? Started { get; init; }

    /// <summary>Whether a directory holds a run, under way or finished, that a new one would destroy.</summary>
    public static bool Occupies(string directory) =>
        File.Exists(Path.Combine(directory, "run", StateFile)) || File.Exists(Path.Combine(directory, FinishedFile)) || File.Exists(Path.Combine(directory, "config.json"));

    /// <summary>Throws where a new run would destroy what the directory holds.</summary>
    /// <param name="directory">The run's output.</param>
    /// <param name="resume">Whether the run goes on with what is there; then it may.</param>
    /// <exception cref="InvalidDataException">It holds a model or a run.</exception>
    public static void RequireFree(string directory, bool resume)
    {
        if (!resume && Occupies(directory))
        {
            throw new InvalidDataException($"{directory} already holds a model or a training run; go on with the run by --resume, or choose another --output");
        }
    }

    /// <summary>Runs from the beginning, or from the saved state.</summary>
    /// <param name="resume">Whether to go on where the state in the directory stands; without a state the run starts at the beginning.</param>
    /// <param name="progress">Told after every step and every evaluation.</param>
    /// <param name="cancellationToken">Stops after the step under way; the state is saved.</param>
    /// <exception cref="InvalidDataException">The saved state is of another run: which option, data or weights differ.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; the state is on disk.</exception>
    public TrainingResult Run(bool resume, IProgress<TrainingProgress>? progress, CancellationToken cancellationToken)
    {
        if (Agree(resume && File.Exists(Path.Combine(_directory, FinishedFile))))
        {
            return Leads ? Finished() : Followed(new State());
        }

        Directory.CreateDirectory(RunFolder);
        State state = Agree(resume && File.Exists(StatePath)) ? LoadTogether() : new State();
        if (Leads)
        {
            Started?.Invoke();
        }

        using TextWriter metrics = Leads ? OpenMetrics(state.Step) : TextWriter.Null;
        Stopwatch session = Stopwatch.StartNew();
        double secondsBefore = state.Seconds, stepSecondsBefore = state.StepSeconds;
        int startStep = state.Step;
        if (state.Step == 0 && Evaluate is not null && Leads)
        {
            DevelopmentScore untrained = Evaluate(cancellationToken);
            WriteLine(metrics, 0, null, untrained, state);
            Alarm?.AfterEvaluation(untrained); // what comes later is held against it
            progress?.Report(Report(state, null, untrained));
        }

        while (state.Step < TotalSteps)
        {
            if (Ranks?.Any(cancellationToken.IsCancellationRequested) ?? cancellationToken.IsCancellationRequested)
            {
                Ranks?.ThrowIfRankFailed(); // mpirun asks the ranks to stop when one of them has died, too
                Save(state);
                throw new OperationCanceledException($"stopped after step {state.Step} of {TotalSteps}; the run is saved in {_directory}", cancellationToken);
            }

            long began = Stopwatch.GetTimestamp();
            StepMetrics step = Step(state.Step);
            state.StepSeconds += Stopwatch.GetElapsedTime(began).TotalSeconds;
            state.Sentences += step.Sentences;
            state.Step++;
            if (!double.IsFinite(step.Loss) || !double.IsFinite(step.GradientNorm))
            {
                throw new FailedRunException($"{_directory}: the loss is {step.Loss} and the gradient norm {step.GradientNorm} at step {state.Step}; the learning rate {step.LearningRate} may be too high");
            }

            DevelopmentScore? score = null;
            bool last = state.Step == TotalSteps;
            if (!Leads)
            {
                continue;
            }

            if (Evaluate is not null && (state.Step % EvaluationSteps == 0 || last))
            {
                // Cancellation is looked at after the step is complete, so that the state never has a step without its evaluation.
                score = Evaluate(CancellationToken.None);
                if (state.BestScore is null || score.Score > state.BestScore)
                {
                    (state.BestStep, state.BestScore) = (state.Step, score.Score);
                    WriteModel(BestFolder, state.Step, score);
                }
            }
            else if (Evaluate is null && last)
            {
                state.BestStep = state.Step;
                WriteModel(BestFolder, state.Step, null);
            }

            state.Seconds = secondsBefore + session.Elapsed.TotalSeconds;
            WriteLine(metrics, state.Step, step, score, state);
            progress?.Report(Report(state, step, score));
            if ((Alarm?.AfterStep(step.Uniformity) ?? (score is null ? null : Alarm?.AfterEvaluation(score))) is { } reason)
            {
                throw new FailedRunException($"{_directory}: stopped at step {state.Step} of {TotalSteps}: {reason}{(state.BestScore is { } best ? string.Create(CultureInfo.InvariantCulture, $"; the best model so far, of step {state.BestStep} ({best:0.00}), is in {BestFolder}") : "")}");
            }

            if (state.Step % SaveSteps == 0 || last)
            {
                Save(state);
            }
        }

        metrics.Dispose();
        return !Leads ? Followed(state) : Finish(new TrainingResult(state.BestStep, state.BestScore, TotalSteps, state.Seconds, state.Sentences / Math.Max(state.StepSeconds, 1e-9)));

        TrainingProgress Report(State s, StepMetrics? step, DevelopmentScore? score)
        {
            double perStep = s.Step == startStep ? 0 : (s.Seconds - secondsBefore) / (s.Step - startStep);
            return new TrainingProgress(s.Step, TotalSteps, step, score, s.BestScore is { } best ? (s.BestStep, best) : null,
                s.Sentences / Math.Max(s.StepSeconds, 1e-9), TimeSpan.FromSeconds(perStep * (TotalSteps - s.Step)));
        }
    }

    /// <summary>Moves the best model up into the output; what an earlier session of the run has moved already stays.</summary>
    private TrainingResult Finish(TrainingResult result)
    {
        if (Directory.Exists(BestFolder))
        {
            foreach (string file in Directory.GetFiles(BestFolder, "*", SearchOption.AllDirectories).OrderBy(f => string.Equals(Path.GetFileName(f), "config.json", StringComparison.Ordinal)).ThenBy(f => f.Length))
            {
                string place = Path.Combine(_directory, Path.GetRelativePath(BestFolder, file));
                Directory.CreateDirectory(Path.GetDirectoryName(place)!);
                File.Move(file, place, overwrite: true);
            }
        }

        JsonObject finished = new()
        {
            ["best_step"] = result.BestStep,
            ["best_dev"] = result.BestScore,
            ["steps"] = result.Steps,
            ["seconds"] = result.Seconds,
            ["sentences_per_second"] = result.SentencesPerSecond,
            ["run"] = _fingerprint.DeepClone(),
        };
        AtomicFile.Write(Path.Combine(_directory, FinishedFile), stream => stream.Write(JsonSerializer.SerializeToUtf8Bytes(finished)));
        Directory.Delete(RunFolder, recursive: true);
        return result;
    }

    /// <summary>The result of a run that is complete.</summary>
    private TrainingResult Finished()
    {
        string path = Path.Combine(_directory, FinishedFile);
        JsonObject json;
        try
        {
            json = JsonNode.Parse(File.ReadAllBytes(path))!.AsObject();
            RequireSameRun(path, json["run"]!.AsObject());
            if (Directory.Exists(RunFolder))
            {
                Directory.Delete(RunFolder, recursive: true); // the session was killed between the last file and this
            }

            return new TrainingResult(json["best_step"]!.GetValue<int>(), json["best_dev"]?.GetValue<double>(), json["steps"]!.GetValue<int>(),
                json["seconds"]!.GetValue<double>(), json["sentences_per_second"]!.GetValue<double>());
        }
        catch (Exception e) when (e is JsonException or NullReferenceException or InvalidOperationException or FormatException)
        {
            throw new InvalidDataException($"{path}: not the record of a training run: {e.Message}", e);
        }
    }

    /// <summary>Appends to the lines of the steps that the state has; later ones were written by a session that was killed, and come again.</summary>
    private StreamWriter OpenMetrics(int step)
    {
        string path = Path.Combine(_directory, MetricsLog.FileName);
        List<string> kept = [];
        if (step > 0 && File.Exists(path))
        {
            foreach (string line in File.ReadLines(path))
            {
                try
                {
                    if (JsonNode.Parse(line)?["step"]?.GetValue<int>() <= step)
                    {
                        kept.Add(line);
                    }
                }
                catch (JsonException)
                {
                    break; // the line that was being written when the session was killed
                }
            }
        }

        AtomicFile.Write(path, stream =>
        {
            using StreamWriter writer = new(stream, leaveOpen: true) { NewLine = "\n" };
            kept.ForEach(writer.WriteLine);
        });
        return new StreamWriter(path, append: true) { NewLine = "\n", AutoFlush = true };
    }

    private static void WriteLine(TextWriter metrics, int step, StepMetrics? training, DevelopmentScore? score, State state)
    {
        JsonObject line = new() { ["step"] = step };
        if (training is not null)
        {
            line["loss"] = training.Loss;
            line["gradient_norm"] = training.GradientNorm;
            line["learning_rate"] = training.LearningRate;
            Add("batch_alignment", training.Alignment);
            Add("batch_uniformity", training.Uniformity);
            line["sentences_per_second"] = Math.Round(state.Sentences / Math.Max(state.StepSeconds, 1e-9), 2);
            line["seconds"] = Math.Round(state.Seconds, 2);
        }

        if (score is not null)
        {
            line["dev"] = score.Score;
            Add("alignment", score.Alignment);
            Add("uniformity", score.Uniformity);
            Add("effective_rank", score.EffectiveRank);
        }

        metrics.WriteLine(line.ToJsonString());

        void Add(string name, double? value)
        {
            if (value is not null)
            {
                line[name] = value;
            }
        }
    }

    /// <summary>Whether this process speaks for the run: the only one, or rank 0.</summary>
    private bool Leads => Ranks is null or { Rank: 0 };

    /// <summary>What rank 0 has found, at every rank.</summary>
    private bool Agree(bool found) => Ranks?.Any(Leads && found) ?? found;

    /// <summary>The outcome at a rank that does not know it: rank 0 has evaluated.</summary>
    private TrainingResult Followed(State state) => new(TotalSteps, null, TotalSteps, state.Seconds, state.Sentences / Math.Max(state.StepSeconds, 1e-9));

    private string RunFolder => Path.Combine(_directory, "run");

    private string StatePath => Path.Combine(RunFolder, StateFile);

    private string BestFolder => Path.Combine(RunFolder, "best");

    private void Save(State state)
    {
        if (!Leads)
        {
            return;
        }

        JsonObject json = new()
        {
            ["step"] = state.Step,
            ["best_step"] = state.BestStep,
            ["best_score"] = state.BestScore,
            ["seconds"] = state.Seconds,
            ["step_seconds"] = state.StepSeconds,
            ["sentences"] = state.Sentences,
        };
        SafetensorsFile.Write(
            StatePath,
            _parameters.Names.SelectMany(IEnumerable<TensorToWrite> (name) =>
            [
                TensorToWrite.FromFloats("parameter." + name, _parameters[name].shape, () => _parameters.Read(name)),
                TensorToWrite.FromFloats("first." + name, _parameters[name].shape, () => _optimizer.Moments(name).First),
                TensorToWrite.FromFloats("second." + name, _parameters[name].shape, () => _optimizer.Moments(name).Second),
            ]),
            new Dictionary<string, string>(StringComparer.Ordinal) { ["run"] = _fingerprint.ToJsonString(), ["state"] = json.ToJsonString() });
    }

    /// <summary>The saved state, which rank 0 has read, at every rank.</summary>
    private State LoadTogether()
    {
        if (Ranks is null)
        {
            return Load();
        }

        State? own = Ranks.Together(() => Leads ? Load() : null);
        foreach (string name in _parameters.Names)
        {
            float[] values = _parameters.Read(name);
            (float[] first, float[] second) = _optimizer.Moments(name);
            Ranks.Broadcast(values);
            Ranks.Broadcast(first);
            Ranks.Broadcast(second);
            _parameters.Write(name, values);
            _optimizer.SetMoments(name, first, second);
        }

        float[] step = [BitConverter.Int32BitsToSingle(own?.Step ?? 0)];
        Ranks.Broadcast(step);
        int steps = BitConverter.SingleToInt32Bits(step[0]);
        _optimizer.Resume(steps);
        return own ?? new State { Step = steps };
    }

    private State Load()
    {
        using SafetensorsFile file = SafetensorsFile.Open(StatePath);
        if (!file.Metadata.TryGetValue("run", out string? run) || !file.Metadata.TryGetValue("state", out string? saved))
        {
            throw new InvalidDataException($"{StatePath}: not the state of a training run");
        }

        RequireSameRun(StatePath, JsonNode.Parse(run)!.AsObject());
        JsonObject json = JsonNode.Parse(saved)!.AsObject();
        foreach (string name in _parameters.Names)
        {
            _parameters.Write(name, file.ReadFloats("parameter." + name));
            _optimizer.SetMoments(name, file.ReadFloats("first." + name), file.ReadFloats("second." + name));
        }

        State state = new()
        {
            Step = json["step"]!.GetValue<int>(),
            BestStep = json["best_step"]!.GetValue<int>(),
            BestScore = json["best_score"]?.GetValue<double>(),
            Seconds = json["seconds"]!.GetValue<double>(),
            StepSeconds = json["step_seconds"]!.GetValue<double>(),
            Sentences = json["sentences"]!.GetValue<long>(),
        };
        _optimizer.Resume(state.Step);
        return state;
    }

    private void RequireSameRun(string path, JsonObject saved)
    {
        foreach (string key in saved.Select(p => p.Key).Union(_fingerprint.Select(p => p.Key), StringComparer.Ordinal))
        {
            if (!JsonNode.DeepEquals(saved[key], JsonNode.Parse(_fingerprint[key]?.ToJsonString() ?? "null")))
            {
                throw new InvalidDataException(string.Create(CultureInfo.InvariantCulture,
                    $"{path}: this run had {key} = {saved[key]?.ToJsonString() ?? "nothing"}, not {_fingerprint[key]?.ToJsonString() ?? "nothing"}; resume with what it was started with, or choose another output directory"));
            }
        }
    }

    private sealed class State
    {
        public int Step { get; set; }

        public int BestStep { get; set; }

        public double? BestScore { get; set; }

        public double Seconds { get; set; }

        public double StepSeconds { get; set; }

        public long Sentences { get; set; }
    }
}
