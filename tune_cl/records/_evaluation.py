"""What an evaluation writes: each reading of test data, and the numbers that came of them."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from tune_cl.records._models import SCHEMA_VERSION, Caution
from tune_cl.records._record import Record
from tune_cl.records._statistic import Statistic


class Reading(Record):
    """A line of `readings.jsonl`: test data are about to be read by a run, or were scored by it."""

    later: ClassVar[frozenset[str]] = frozenset({"role"})
    schema_version: int = SCHEMA_VERSION
    event: Literal["opened", "scored"] = Field(description="'opened' is on disk before any test file is opened")
    run: str = Field(description="folder of the run below evaluation/runs")
    trial: int = Field(description="number of the configuration's trial in the search")
    role: Literal["chosen", "default"] = Field("chosen", description="what the trial was for the search then")
    time: str = Field(description="ISO 8601, UTC")
    dataset: str
    fingerprint: str | None = Field(None, description="SHA-256 of the test data as read; known when they are scored")
    images: int | None = Field(None, description="test images that were scored")


class EvaluatedConfiguration(Record):
    """One configuration's test results over class orders and seeds."""

    later: ClassVar[frozenset[str]] = frozenset({"class_accuracy", "never_trained_again"})
    role: Literal["chosen", "default"]
    trial: int
    parameters: dict[str, Any] = Field(description="the searched paths and their values")
    runs: list[str] = Field(description="finished runs, folders below evaluation/runs; the order of every `values`")
    metrics: dict[str, Statistic] = Field(description="test/… at the last increment")
    by_increment: list[dict[str, Statistic]] = Field(description="test/… after increments 0, 1, …")
    accuracy_matrix: list[list[float]] = Field(description="R[t, 0..t], mean over the runs")
    class_accuracy: dict[str, float] = Field(
        {},
        description="class name -> test accuracy after the last increment, mean over the runs; {} where rows are older",
    )
    never_trained_again: dict[str, Statistic] = Field(
        {}, description="test/… of the base tasks' classifiers if never trained again; empty where rows are older"
    )
    images_trained: float = Field(description="mean over the runs, each as if trained alone")
    seconds: float = Field(description="the same, wall time of training")


class EvaluationSummary(Record):
    """`evaluation/summary.json`."""

    later: ClassVar[frozenset[str]] = frozenset({"cautions", "earlier_choices", "readings_complete"})
    schema_version: int = SCHEMA_VERSION
    search: str
    method: str
    stream: str
    budget: str
    horizon: int
    objective: str = Field(description="of the search, under its name on test data")
    direction: Literal["max", "min"] = "max"
    class_orders: list[str] = Field(description="e.g. seed-1001")
    held_out: bool = Field(description="whether the search saw none of these class orders")
    train_seeds: list[int]
    configurations: list[EvaluatedConfiguration]
    difference: dict[str, Statistic] | None = Field(
        None, description="chosen minus default, paired by class order and seed, at the last increment"
    )
    cautions: list[Caution] = Field([], description="reasons to doubt the chosen configuration, on test data")
    test_fingerprint: str | None = Field(None, description="SHA-256 of the test data; None before the first reading")
    readings: int = Field(description="times that test data were opened by evaluations of this search")
    readings_complete: bool = Field(
        True, description="false: the record of readings lacks some, and test data were opened at least so often"
    )
    trials_read: list[int] = Field(description="trials whose runs opened test data")
    earlier_choices: list[int] = Field(
        [], description="those of them that the search had chosen then, and by now has not: second looks"
    )
    missing: dict[str, str] = Field(description="runs that have no result, and why")
