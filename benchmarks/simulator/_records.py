"""A recording: what the trials of a real search measured and cost, for replay by the simulator."""

from typing import Any, Literal

from pydantic import Field

from tune_cl.records import SCHEMA_VERSION, Record, StreamRecord
from tune_cl.records._bounds import Horizon, Seed, Threads


class RecordedStage(Record):
    """One stage of a recorded chain, with what it cost when it was trained."""

    phase: str
    key: str = Field(description="the first digits of its key: equal keys are one stage")
    seconds: float
    cpu_seconds: float | None
    images_trained: int


class RecordedIncrement(Record):
    """What one increment of a recorded trial measured."""

    metrics: dict[str, float | None] = Field(description="every possible objective, and the accuracy of replay")
    accuracy_row: list[float]
    stages: list[RecordedStage]


class RecordedTrial(Record):
    """A finished trial: its place in the space and its curve."""

    trial: int
    parameters: dict[str, Any] = Field(description="the value at every searched path")
    increments: list[RecordedIncrement] = Field(description="increments 0 to the horizon, in order")


class Recording(Record):
    """The finished trials of a search, small enough to be shipped."""

    schema_version: int = SCHEMA_VERSION
    method: str
    stream: StreamRecord
    scale: str
    budget: str
    horizon: Horizon
    objective: str
    direction: Literal["max", "min"]
    train_seed: Seed
    threads: Threads
    device: Literal["cpu", "cuda"]
    fixed: dict[str, Any] = Field(description="path -> value, where nothing was searched")
    ranges: dict[str, Any] = Field(description="path -> range as in the space file")
    default: dict[str, Any] = Field(description="path -> value of trial 0")
    command: list[str] = Field(description="of the search that was recorded")
    versions: dict[str, str]
    created: str
    trials: list[RecordedTrial]
