"""What a comparison is made of, whatever it was read from, and what it says: the content of `--json`."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from tune_cl.metrics import VALIDATION, read_out
from tune_cl.outcome import Achieved, achieved
from tune_cl.records import (
    SCHEMA_VERSION,
    Caution,
    EvaluationSummary,
    Finalists,
    NeverTrainedAgain,
    Record,
    SearchSeeds,
    StageUse,
    StreamRecord,
    TrialState,
    stream_form,
)

Basis = Literal["paired", "welch", "none"]
Verdict = Literal["real", "within noise", "unknown"]


class Cost(Record):
    """What training cost."""

    images_trained: float = 0.0
    seconds: float = Field(0.0, description="wall time of the stages")

    def __add__(self, other: "Cost") -> "Cost":
        """The sum of two costs."""
        return Cost(
            images_trained=self.images_trained + other.images_trained,
            seconds=self.seconds + other.seconds,
        )


class TrialData(Record):
    """One trial of a search."""

    trial: int
    state: TrialState
    value: float | None = Field(description="objective at the last increment reported")
    parameters: dict[str, Any] = Field(description="every path of the configuration and its value")
    by_increment: list[dict[str, float | None]] = Field(description="metrics after increments 0, 1, …")
    accuracy_matrix: list[list[float]] = Field(description="R[t, 0..t]")
    images_scored: list[int] = Field([], description="validation images of each increment's classes; [] if not noted")
    class_accuracy: dict[str, float | None] = Field(
        {},
        exclude=True,
        description="class name -> accuracy after the last increment reported, in order of arrival; {} if not noted",
    )
    alone: Cost = Field(description="as if the trial had trained all of its stages")
    paid: Cost = Field(description="the stages that it trained itself")
    warnings: list[str] = Field([], description="signs that nothing was learned, with their increments")
    reason: str | None = Field(None, description="why it was stopped or failed")
    stages: list[list[StageUse]] = Field([], exclude=True, description="of each increment; [] if read from W&B")

    def metric(self, name: str) -> float | None:
        """A metric after the last increment that was reported."""
        return self.by_increment[-1].get(name) if self.by_increment else None


class SearchData(Record):
    """One search, read from its folder or from W&B."""

    source: str = Field(description="the folder, or wandb://entity/project/group")
    name: str
    method: str
    stream: StreamRecord
    scale: str | None = None
    budget: str
    objective: str
    direction: Literal["max", "min"]
    protocol: str
    horizon: int
    seeds: SearchSeeds
    numerics: dict[str, str] = Field({}, description="device, threads, version of torch: what may change last digits")
    data_fingerprint: str | None = Field(None, description="None where the source does not say")
    planned: int | None = Field(None, description="trials asked for; None where the source does not say")
    unfinished: str | None = Field(None, description="in a sentence, why there is more to come; None when it has ended")
    searched: list[str] = Field(description="the searched paths")
    ranges: dict[str, Any] = Field({}, description="path -> range as in the space file; empty where it is not known")
    trials: list[TrialData] = Field(description="in order of their numbers")
    found: Cost = Field(Cost(), description="stages that lay in the store already: neither trained nor paid here")
    finalists: Finalists | None = Field(None, description="the race of the best trials over train seeds")
    evaluation: EvaluationSummary | None = None
    evaluate_command: str | None = Field(None, description="what to type to evaluate it; None if read from W&B")

    @property
    def sign(self) -> float:
        """1 where more of the objective is better, -1 where less is."""
        return -1.0 if self.direction == "min" else 1.0

    @property
    def first(self) -> TrialData | None:
        """Trial 0, the default, however it ended."""
        return next((trial for trial in self.trials if trial.trial == 0), None)

    @property
    def default(self) -> TrialData | None:
        """Trial 0, once it has finished."""
        return next((trial for trial in self.finished() if trial.trial == 0), None)

    @property
    def best(self) -> TrialData | None:
        """The winner of the race over train seeds, where there was one; else the best finished trial, the earliest of
        equals."""
        if self.finalists is not None and self.finalists.winner is not None:
            return next(trial for trial in self.trials if trial.trial == self.finalists.winner)
        ranked = (
            (self.sign * trial.value, -trial.trial, trial) for trial in self.finished() if trial.value is not None
        )
        return max(ranked, key=lambda entry: entry[:2], default=(0, 0, None))[2]

    @property
    def paid(self) -> Cost:
        """What the search spent."""
        return sum((trial.paid for trial in self.trials), Cost())

    @property
    def alone(self) -> Cost:
        """What it would have spent if every trial had run alone."""
        return sum((trial.alone for trial in self.trials), Cost())

    def achieved(self, trial: TrialData) -> Achieved:
        """What a trial achieved, by the read-out that the objective is of."""
        base_row = trial.accuracy_matrix[0] if trial.accuracy_matrix else []
        return achieved(trial.by_increment, base_row, trial.images_scored, self.objective, self.base_classes)

    @property
    def base_classes(self) -> int | None:
        """Classes of the base task."""
        form = stream_form(self.stream.name)  # the data set need not be known here
        return form.base if form else None

    def finished(self) -> Iterator[TrialData]:
        """The trials that came to the horizon with a value: those that may be chosen."""
        return (trial for trial in self.trials if trial.state == "finished" and trial.value is not None)

    def ended(self) -> Iterator[TrialData]:
        """The trials that are over, however they ended."""
        return (trial for trial in self.trials if trial.state != "running")

    def count(self, state: TrialState) -> int:
        """How many trials are in a state."""
        return sum(trial.state == state for trial in self.trials)


class BudgetPoint(Record):
    """The best value once a trial was over, in order of the trials' numbers."""

    trials: int = Field(description="trials so far that have ended")
    paid: Cost = Field(description="spent so far")
    value: float | None = Field(description="best of the finished so far")


class ExpectedBest(Record):
    """The best value that a search of so many trials may be expected to find."""

    trials: int
    value: float | None = Field(description="None where no trial finished")
    low: float | None = Field(description="lower end of the 95 % bootstrap interval; None where trials are too few")
    high: float | None = Field(description="upper end")


class ComparedSearch(Record):
    """A search, and what the comparison makes of it."""

    label: str = Field(description="how it is called here: method, name or source, whichever tells all apart")
    search: SearchData
    best: int | None = Field(description="number of the best trial")
    value: float | None = Field(description="its objective, on validation data")
    default_value: float | None = Field(description="of trial 0")
    gain: float | None = Field(description="better than the default by; positive is better whatever the direction")
    never_trained_again: NeverTrainedAgain | None = Field(
        None, description="what the best trial's base task gives if it is never trained again; None where it is unknown"
    )
    cautions: list[Caution] = Field([], description="reasons to doubt the best trial, on validation data")
    best_so_far: list[BudgetPoint]
    expected_best: list[ExpectedBest]


class ParameterRow(Record):
    """One parameter, side by side; a search without it has no entry."""

    path: str
    searched: list[str] = Field(description="labels of the searches that searched it")
    best: dict[str, Any] = Field(description="label -> value in the best trial")
    default: dict[str, Any] = Field(description="label -> value in trial 0")


class Difference(Record):
    """Whether one thing is better than another: two searches, or a search's choice and its default."""

    first: str = Field(description="label of a search")
    second: str = Field(description="label of another, or 'default' for the first one's own")
    metric: str
    basis: Basis = Field(
        description="'paired' by class order (and seed), 'welch' over unequal ones, 'none' without evaluations of both"
    )
    over: str = Field("", description="what the interval is over: class orders or seeds")
    mean: float | None = Field(description="first minus second; of validation values where the basis is 'none'")
    low: float | None = Field(None, description="lower end of the 95 % interval")
    high: float | None = Field(None, description="upper end")
    verdict: Verdict
    sentence: str


class Comparison(Record):
    """What `tune-cl compare --json` prints."""

    schema_version: int = SCHEMA_VERSION
    stream: StreamRecord
    objective: str
    direction: Literal["max", "min"]
    protocol: str
    horizon: int
    searches: list[ComparedSearch]
    parameters: list[ParameterRow] = Field(description="what was searched, and what differs between the best trials")
    differences: list[Difference]
    notes: list[str] = Field(description="what a reader must know before trusting a difference")

    def metric(self, name: str) -> str:
        """A validation metric's full name, by the read-out that the objective is of."""
        return (read_out(self.objective) or VALIDATION) + name
