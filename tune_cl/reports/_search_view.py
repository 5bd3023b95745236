"""Everything that the page of a search shows, as one record: the content of `tune-cl report --json`."""

from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Literal

from pydantic import Field

from tune_cl.commands import continue_command
from tune_cl.metrics import NEAREST_MEAN, VALIDATION, bare_name, read_out
from tune_cl.outcome import CLEAR, accuracies_never_trained_again, gain_error
from tune_cl.records import (
    SCHEMA_VERSION,
    ClassesRecord,
    Finalists,
    Record,
    SearchFolder,
    SearchRecord,
    StageUse,
    TrialState,
    read_record,
    stream_form,
)
from tune_cl.reports._budget import best_so_far, expected_best
from tune_cl.reports._compare import doubts_of
from tune_cl.reports._differences import differences, evaluate_commands
from tune_cl.reports._folder import read_search
from tune_cl.reports._models import BudgetPoint, Cost, ExpectedBest, SearchData, TrialData, Verdict
from tune_cl.reports._pictures import ReplayPictures, pictures
from tune_cl.text import finalists_text, gain_verdict_text, never_trained_again_text

_PROPOSED = "proposed by "  # in a trial's log
_ERROR_LINES = 40  # of a traceback, its end


class Classes(Record):
    """The classes that arrive at an increment."""

    label: str
    names: list[str] = Field(description="in order of arrival; [] where they are not known")
    count: int | None


class ClassAccuracy(Record):
    """One class after the last increment."""

    name: str
    increment: int | None = Field(description="when it arrived; None where that is not known")
    winner: float | None
    default: float | None


class Step(Record):
    """One increment of a trial."""

    objective: float | None
    accuracy: float | None
    accuracy_old: float | None
    accuracy_new: float | None
    forgetting: float | None
    replay_student: float | None = Field(None, description="accuracy of a network trained on replayed images alone")
    stages: list[StageUse]


class TrialPart(Record):
    """One trial, as the page shows it."""

    trial: int
    state: TrialState
    value: float | None = Field(description="objective at the last increment reported")
    reason: str | None
    error: str = Field("", description="the end of its traceback, if it failed with one")
    began: str | None
    proposer: str | None = Field(description="the sampler that proposed it, or `default`")
    ended: str | None
    parameters: dict[str, Any] = Field(description="searched path -> value")
    steps: list[Step]
    accuracy_matrix: list[list[float]]
    alone: Cost
    paid: Cost
    warnings: list[str]


class PhaseTime(Record):
    """What training one phase at one increment took in all trials."""

    phase: str
    increment: int
    trained: int = Field(0, description="stages trained by this search")
    reused: int = Field(0, description="stages loaded instead of trained")
    seconds: float = Field(0.0, description="of training, wall time")
    saved: float = Field(0.0, description="seconds that the reused ones took when they were trained")
    idle: float = Field(0.0, description="seconds that trials waited for another one to train the stage")


class Importance(Record):
    """How much a searched parameter matters, at each increment."""

    path: str
    by_increment: list[float | None] = Field(description="share, 0 to 1; None where too few trials came so far")


class Judgement(Record):
    """Whether the gain over the default is more than noise."""

    kind: Verdict
    sentence: str
    command: str | None = Field(description="what to type to know more")


class SearchView(Record):
    """A search, as its page shows it."""

    schema_version: int = SCHEMA_VERSION
    folder: str
    record: SearchRecord
    status: Literal["running", "ended"]
    unfinished: str | None
    objective: str = Field(description="in words")
    classes: list[Classes]
    class_accuracy: list[ClassAccuracy] = Field(description="of winner and default; [] where rows are older")
    trials: list[TrialPart]
    best: int | None
    value: float | None
    default_value: float | None
    gain: float | None
    gain_error: float | None
    finalists: Finalists | None = Field(description="the race of the best trials over train seeds")
    judgement: Judgement | None
    frozen: str | None = Field(description="what never training again would give, in a sentence")
    frozen_value: float | None = Field(description="in terms of the objective")
    frozen_curve: list[float] = Field(description="accuracy after each increment; [] where it is unknown")
    cautions: list[str]
    best_so_far: list[BudgetPoint]
    expected_best: list[ExpectedBest]
    importance: list[Importance]
    time: list[PhaseTime]
    pictures: list[ReplayPictures]
    more: str | None = Field(description="the command that goes on with the search")


def search_view(folder: SearchFolder) -> SearchView:
    """Read a search; it may still be running.

    Raises:
        TuneCLError: it is no search's folder, has no trial yet, or a file in it is damaged.
    """
    data = read_search(folder)
    record = read_record(folder.search, SearchRecord)
    best, default = data.best, data.default
    gain = _gain(data)
    frozen = None if best is None else data.achieved(best).frozen(best.trial, data.objective)
    known = read_record(folder.classes, ClassesRecord) if folder.classes.exists() else None
    base = None if best is None else data.achieved(best).after(0, "accuracy")
    return SearchView(
        folder=str(folder.path),
        record=record,
        status="ended" if data.unfinished is None else "running",
        unfinished=data.unfinished,
        objective=objective_words(data.objective),
        classes=_classes(record, known),
        class_accuracy=list(_by_class(known, best, default)),
        trials=[_part(folder, data, trial) for trial in data.trials],
        best=None if best is None else best.trial,
        value=None if best is None else best.value,
        default_value=None if default is None else default.value,
        gain=gain,
        gain_error=_error(data),
        finalists=data.finalists,
        judgement=_judgement(data, gain),
        frozen=None if frozen is None else never_trained_again_text(frozen, data.objective),
        frozen_value=None if frozen is None else frozen.value(data.objective),
        frozen_curve=accuracies_never_trained_again(base, best.images_scored) if frozen and best and base else [],
        cautions=[caution.sentence for caution in doubts_of(data)],
        best_so_far=best_so_far(data),
        expected_best=expected_best(data),
        importance=list(_importance(data)),
        time=_time(data),
        pictures=pictures(folder, known, [trial for trial in (best, default) if trial is not None]),
        more=continue_command(record.command, 2 * max(record.trials, 1), record.typed_in) if record.command else None,
    )


def objective_words(objective: str) -> str:
    """'val/average_incremental_accuracy' -> 'average incremental accuracy'; arithmetic stays as it is."""
    name = bare_name(objective).replace("_", " ")
    return f"{name}, by nearest class means" if name and NEAREST_MEAN in objective else name or objective


def _gain(data: SearchData) -> float | None:
    best, default = data.best, data.default
    if data.finalists is not None and data.finalists.gain is not None:
        return data.finalists.gain.mean
    if best is None or default is None or best.value is None or default.value is None:
        return None
    return data.sign * (best.value - default.value)


def _error(data: SearchData) -> float | None:
    best, default = data.best, data.default
    if best is None or default is None or best is default or (data.finalists and data.finalists.gain):
        return None
    runs = data.achieved(best), data.achieved(default)
    return gain_error(*runs, best.images_scored, default.images_scored, data.objective)


def _judgement(data: SearchData, gain: float | None) -> Judgement | None:
    """By an evaluation where there is one, else by fresh train seeds, else by the choice of validation images."""
    found = differences([data], [data.method])
    if found:
        return Judgement(kind=found[0].verdict, sentence=found[0].sentence, command=None)
    command = next(evaluate_commands([data]), None)
    race = data.finalists
    if race is not None and race.winner is not None:
        known: dict[bool | None, Verdict] = {True: "within noise", False: "real", None: "unknown"}
        return Judgement(kind=known[race.within_noise], sentence=finalists_text(race), command=command)
    if gain is None or data.best is data.default:
        return None
    error = _error(data)
    within = error is not None and gain <= CLEAR * error
    return Judgement(
        kind="within noise" if within else "unknown",
        sentence=gain_verdict_text(gain, error, data.count("finished")),
        command=command,
    )


def _classes(record: SearchRecord, known: ClassesRecord | None) -> list[Classes]:
    form = stream_form(record.stream.name)
    found = []
    ends = [0, *accumulate(known.increments)] if known is not None else []
    for t in range(record.horizon + 1):
        names = known.names[ends[t] : ends[t + 1]] if known is not None and t + 1 < len(ends) else []
        count = len(names) or (form.base if form is not None and t == 0 else None)
        found.append(Classes(label="base task" if t == 0 else f"increment {t}", names=names, count=count))
    return found


def _by_class(
    known: ClassesRecord | None, best: TrialData | None, default: TrialData | None
) -> Iterator[ClassAccuracy]:
    arrived = [t for t, size in enumerate(known.increments) for _ in range(size)] if known is not None else []
    of_default = {} if default is None else default.class_accuracy
    for i, (name, accuracy) in enumerate(best.class_accuracy.items() if best is not None else ()):
        increment = arrived[i] if i < len(arrived) else None
        yield ClassAccuracy(name=name, increment=increment, winner=accuracy, default=of_default.get(name))


def _part(folder: SearchFolder, data: SearchData, trial: TrialData) -> TrialPart:
    place = folder.trial(trial.trial)
    lines = place.log_lines()
    error = place.error.read_text(errors="replace").splitlines() if place.error.exists() else []
    return TrialPart(
        trial=trial.trial,
        state=trial.state,
        value=trial.value,
        reason=trial.reason,
        error="\n".join(error[-_ERROR_LINES:]),
        began=lines[0][0] if lines else None,
        proposer=next((text.partition(_PROPOSED)[2] for _, text in lines if _PROPOSED in text), None),
        ended=lines[-1][0] if lines and trial.state != "running" else None,
        parameters={path: trial.parameters.get(path) for path in data.searched},
        steps=[_step(data.objective, *row) for row in zip(trial.by_increment, trial.stages, strict=True)],
        accuracy_matrix=trial.accuracy_matrix,
        alone=trial.alone,
        paid=trial.paid,
        warnings=trial.warnings,
    )


def _step(objective: str, metrics: dict[str, float | None], stages: list[StageUse]) -> Step:
    prefix = read_out(objective) or VALIDATION
    names = ("accuracy", "accuracy_old", "accuracy_new", "forgetting")
    return Step(
        objective=metrics.get(objective),
        replay_student=metrics.get("val/replay_student"),
        stages=stages,
        **{name: metrics.get(prefix + name) for name in names},
    )


def _importance(data: SearchData) -> Iterator[Importance]:
    """At each increment, over the trials that reported it, the stopped ones among them."""
    # Imported here, since it takes seconds that only importance is worth.
    from tune_cl.study import importance

    by_increment = []
    for t in range(data.horizon + 1):
        seen = [
            (trial.parameters, value)
            for trial in data.trials
            if t < len(trial.by_increment) and (value := trial.by_increment[t].get(data.objective)) is not None
        ]
        by_increment.append(importance(data.ranges, seen, data.direction))
    for path in data.searched:
        if any(path in found for found in by_increment):
            yield Importance(path=path, by_increment=[found.get(path) for found in by_increment])


def _time(data: SearchData) -> list[PhaseTime]:
    found: dict[tuple[int, str], PhaseTime] = {}
    for t, use in ((t, use) for trial in data.trials for t, uses in enumerate(trial.stages) for use in uses):
        entry = found.setdefault((t, use.phase), PhaseTime(phase=use.phase, increment=t))
        trained = use.origin == "trained"
        found[t, use.phase] = entry.model_copy(
            update={
                "trained": entry.trained + trained,
                "reused": entry.reused + (not trained),
                "seconds": entry.seconds + (use.seconds if trained else 0.0),
                "saved": entry.saved + (0.0 if trained else use.seconds),
                "idle": entry.idle + use.idle_seconds,
            }
        )
    return [found[key] for key in sorted(found, key=lambda key: key[0])]
