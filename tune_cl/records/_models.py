"""What is on disk, as typed models. Every file carries a schema version, so that an old file is told from a new one."""

from dataclasses import fields
from typing import Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from tune_cl.options import Numerics
from tune_cl.records._bounds import BaseConfigurations, Horizon, Seed, Threads, Trials
from tune_cl.records._finalists import Finalists
from tune_cl.records._image_folder import ImageFolder
from tune_cl.records._record import Record

SCHEMA_VERSION = 1
CONFIG_VERSION = 2  # of a `RunConfig`

Precision = Literal["float32", "bfloat16"]
MemoryFormat = Literal["channels_last", "contiguous"]
Origin = Literal["trained", "reused"]
TrialState = Literal["running", "finished", "stopped", "failed"]
CautionKind = Literal["below frozen", "new classes", "old classes", "base at chance", "edge of range"]

# Outside every equality between two runs: when and where a thing ran, and who paid for it.
_INCIDENTAL_METRICS = ("seconds", "paid/seconds", "paid/images_trained", "replay_student_seconds")


def _without(written: dict[str, Any], name: str) -> dict[str, Any]:
    """What is written of a record, without a field that is None."""
    if isinstance(written, dict) and written.get(name) is None:  # `model_copy` may have put another thing in its place
        written.pop(name, None)
    return written


class StreamRecord(Record):
    """Which stream, in which class order, with which validation split."""

    later: ClassVar[frozenset[str]] = frozenset({"folder"})
    name: str = Field(description="DATASET-b<base classes>-t<increments>, e.g. fashion-b4-t3")
    class_order: Literal["seed", "numpy-1993", "podnet"] | tuple[int, ...] = Field(
        "seed",
        description="'seed' (shuffled by order_seed), 'numpy-1993', 'podnet' (of CIFAR-100), or the data set's labels "
        "in order of arrival",
    )
    order_seed: Seed = 0
    split_seed: Seed = 0
    folder: ImageFolder | None = Field(None, description="of a data set that is a folder of images; else left out")

    @model_serializer(mode="wrap")
    def _without_no_folder(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(write(self), "folder")


class RunConfig(Record):
    """One configuration, re-runnable as it stands: `config.yaml` of a trial and `best.yaml` of a search.

    A file of the present version names every parameter of its method; an older one may lack those that came
    later (`later=True` where a parameter is declared). So another such parameter raises the version.
    """

    later: ClassVar[frozenset[str]] = frozenset({"precision", "memory_format", "deterministic", "base_seed"})
    schema_version: int = CONFIG_VERSION
    method: str
    stream: StreamRecord
    budget: str
    horizon: Horizon = Field(description="last increment that is trained")
    train_seed: Seed = 0
    base_seed: Seed | None = Field(None, description="train seed of the base task, where it is another; else left out")
    threads: Threads = Field(1, description="CPU threads of the trial; part of every stage key")
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Precision = "float32"
    memory_format: MemoryFormat = "channels_last"
    deterministic: bool = Field(False, description="bit-equal repetitions on a GPU, too")
    parameters: dict[str, Any] = Field(description="the method's configuration tree")

    @model_serializer(mode="wrap")
    def _without_no_base_seed(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(write(self), "base_seed")

    def seed_at(self, increment: int) -> int:
        """The train seed of an increment."""
        return self.train_seed if increment or self.base_seed is None else self.base_seed

    @property
    def numerics(self) -> Numerics:
        """How it is computed."""
        return _numerics(self)


class StageUse(Record):
    """One stage of a chain, as an increment used it."""

    later: ClassVar[frozenset[str]] = frozenset({"cpu_seconds", "idle_seconds"})
    phase: str
    key: str
    origin: Origin
    seconds: float = Field(description="wall time of the stage when it was trained, wherever that was")
    cpu_seconds: float | None = Field(None, description="CPU time of the same, over all threads of the process")
    images_trained: int
    idle_seconds: float = Field(0.0, description="time that this chain waited while another process trained it")


class IncrementRow(Record):
    """What one increment of one trial reports: a line of `increments.jsonl`.

    `metrics` holds the names of docs/metrics.md, and `<phase>/<name>` for what else a phase measured; a metric
    that is not defined at this increment (forgetting at the base task) is None. `accuracy_row` is R[t, 0..t]: accuracy
    on the classes of increment i after increment t; `nearest_mean_row` is the same read out by nearest class means,
    for methods that have that read-out. `class_accuracy` and `nearest_mean_class_accuracy` are the same for each class
    by itself, in order of arrival.
    """

    later: ClassVar[frozenset[str]] = frozenset(
        {"class_accuracy", "images_scored", "nearest_mean_class_accuracy", "nearest_mean_row", "warnings"}
    )
    schema_version: int = SCHEMA_VERSION
    trial: int
    increment: int
    metrics: dict[str, float | None]
    accuracy_row: list[float]
    nearest_mean_row: list[float] | None = None
    images_scored: list[int] = Field(
        [], description="images of the classes of increments 0..t that the accuracies are over; empty in older rows"
    )
    class_accuracy: list[float | None] = Field(
        [],
        description="accuracy on each class seen, to 4 decimals; None for one without an image; empty in older rows",
    )
    nearest_mean_class_accuracy: list[float | None] | None = None
    losses: dict[str, float] = Field(description="'<phase>/<term>': mean over the last tenth of the phase's steps")
    stages: list[StageUse]
    warnings: list[str] = Field([], description="signs that nothing was learned, each in a sentence's words")
    node: str

    def measured(self) -> dict[str, float]:
        """What the phases measured besides the metrics that every row has: '<phase>/<name>'."""
        phases = {use.phase for use in self.stages}
        own = {name: value for name, value in self.metrics.items() if name.partition("/")[0] in phases}
        return {name: value for name, value in own.items() if value is not None}

    def told_warnings(self) -> list[str]:
        """The warnings, with the increment in front."""
        return [f"increment {self.increment}: {warning}" for warning in self.warnings]

    def comparable(self) -> dict[str, Any]:
        """Everything that two runs of one configuration must agree on (no times, origins, nodes, payments)."""
        row = self.model_dump(exclude={"node", "trial"})
        row["metrics"] = {k: v for k, v in row["metrics"].items() if k not in _INCIDENTAL_METRICS}
        row["stages"] = [(s["phase"], s["key"], s["images_trained"]) for s in row["stages"]]
        return row


class Failure(Record):
    """`failure.json` of a trial that failed: why, where, and what it had already used of that increment."""

    schema_version: int = SCHEMA_VERSION
    reason: str = Field(description="in a sentence, with the remedy where there is one")
    traceback: str = ""
    increment: int = Field(description="the increment that failed")
    stages: list[StageUse] = Field([], description="its stages that came through; they are in no row")


class SearchSeeds(Record):
    """Four seeds, apart from the first commit."""

    search: Seed = 0
    order: Seed = 0
    split: Seed = 0
    train: Seed = 0


class SearchRecord(Record):
    """`search.json`: everything that defines a search. A changed definition under the same name is refused."""

    later: ClassVar[frozenset[str]] = frozenset(
        {
            "base_configurations",
            "deterministic",
            "fresh",
            "memory_format",
            "method_source",
            "plugins",
            "precision",
            "race",
            "study",
            "typed_in",
        }
    )
    schema_version: int = SCHEMA_VERSION
    name: str
    method: str
    stream: StreamRecord
    scale: str
    budget: str
    protocol: str
    horizon: Horizon
    objective: str
    direction: Literal["max", "min"] = "max"
    seeds: SearchSeeds
    sampler: str
    scheduler: str
    base_configurations: BaseConfigurations | None = Field(None, description="bases that may be trained, if limited")
    threads: Threads
    device: Literal["cpu", "cuda"]
    precision: Precision = "float32"
    memory_format: MemoryFormat = "channels_last"
    deterministic: bool = Field(False, description="bit-equal repetitions on a GPU, too")
    fixed: dict[str, Any] = Field(description="path -> value, where nothing is searched")
    ranges: dict[str, Any] = Field(description="path -> range as in the space file")
    default: dict[str, Any] = Field(description="path -> value of trial 0")
    data_fingerprint: str
    method_source: str | None = Field(
        None, description="SHA-256 over the source of the method's phases from outside the package"
    )
    fresh: bool = Field(False, description="use no stage that this search has not trained itself")
    # Below: for the reader; a difference here is no change of the search.
    trials: Trials
    race: str | None = Field(None, description="finalists under further train seeds, as `--seeds` has them")
    versions: dict[str, str] = Field({})
    git_commit: str | None = None
    plugins: list[str] = Field([], description="modules from outside the package that were imported")
    command: list[str] = Field([])
    typed_in: str | None = Field(None, description="the folder that the command's paths are seen from; None in a job")
    created: str = ""
    study: str | None = Field(None, description="an id that the study has, too: the two belong together")

    @property
    def numerics(self) -> Numerics:
        """How every trial is computed."""
        return _numerics(self)

    def definition(self) -> dict[str, Any]:
        """The part that must not change under one name."""
        run_by = {"trials", "race", "command", "typed_in"}
        for_the_reader = {*run_by, "versions", "git_commit", "plugins", "created", "study"}
        definition = self.model_dump(mode="json", exclude=for_the_reader)
        if self.stream.folder is not None:
            folder = definition["stream"]["folder"]
            for name in ("folder", "n_classes", "n_training", "mean", "std"):  # the place, and what the images have
                del folder[name]
        return definition


def _numerics(record: RunConfig | SearchRecord) -> Numerics:
    return Numerics(**{field.name: getattr(record, field.name) for field in fields(Numerics)})


class TrialSummary(Record):
    """One trial in `summary.json`."""

    later: ClassVar[frozenset[str]] = frozenset({"measured", "proposer", "warnings"})
    trial: int
    state: TrialState
    increment: int | None = Field(description="last increment reported")
    value: float | None = Field(description="objective at that increment")
    reason: str | None = Field(None, description="why a trial failed, in a sentence")
    measured: dict[str, float] = Field({}, description="what else the phases of its last row measured")
    warnings: list[str] = Field([], description="those of its rows, with their increments")
    proposer: str | None = Field(None, description="the sampler that proposed it, or `default`")


class BestSummary(Record):
    """The chosen trial in `summary.json`."""

    later: ClassVar[frozenset[str]] = frozenset({"gain_error"})
    trial: int
    value: float
    default_value: float | None = None
    gain_error: float | None = Field(
        None,
        description="standard error of the gain over the default, by the choice of validation images alone, at most; "
        "None where it is unknown",
    )
    parameters: dict[str, Any] = Field(description="the searched paths and their chosen values")


class ClassesRecord(Record):
    """`classes.json`: the classes of a search's stream, so that a page can name them without the data set."""

    schema_version: int = SCHEMA_VERSION
    names: list[str] = Field(description="in order of arrival: place = stream class index")
    increments: list[int] = Field(description="number of classes that arrive at increments 0, 1, …")
    pictured: list[int] = Field(description="stream class index of each line of `real.png`")


class NeverTrainedAgain(Record):
    """What the classifier of a base task gives where it is never trained again: computed from its base row.

    It knows the base classes alone, so that its accuracy after an increment is its accuracy at the base task, times the
    share that images of the base classes have in those of all classes seen.
    """

    trial: int = Field(description="whose base task it is: the chosen one's")
    nearest_mean: bool = Field(False, description="by nearest class means, as the objective is; else by the head")
    accuracy: float = Field(description="after the last increment")
    average_incremental_accuracy: float
    average_incremental_accuracy_excl_base: float

    def value(self, objective: str) -> float | None:
        """In terms of an objective; None where that is no accuracy over all classes seen, such as forgetting."""
        name = objective.rpartition("/")[2] if objective.replace("/", "_").isidentifier() else ""
        found = getattr(self, name, None)
        return found if isinstance(found, float) else None


class Caution(Record):
    """A reason to doubt a search's choice."""

    kind: CautionKind
    sentence: str = Field(description="for a person, with its numbers")


class Sharing(Record):
    """What sharing stages saved in a search, as factors on the cost paid."""

    later: ClassVar[frozenset[str]] = frozenset({"found", "own"})
    unit: str = Field(description="of the costs: cpu_seconds, seconds or images_trained")
    trials: int = Field(description="N: trials that have done their base task")
    base_configurations: int = Field(description="k: distinct base tasks among them")
    base_share: float = Field(description="b: the base task's share of the cost as if every trial had run alone")
    saving: float = Field(description="cost as if alone / cost paid, by what was found as well")
    own: float | None = Field(
        None, description="what its own trials shared with each other: the same with every stage found paid for once"
    )
    found: float = Field(0.0, description="cost of the stages found, each once, as a share of the cost as if alone")
    bound: float = Field(description="`own` if every stage had been trained once")


class Summary(Record):
    """`summary.json`: how a search ended. Rewritten at each end of the same search."""

    later: ClassVar[frozenset[str]] = frozenset({"cautions", "finalists", "never_trained_again"})
    schema_version: int = SCHEMA_VERSION
    trials: dict[str, int]
    stages: dict[str, int]
    seconds: float = Field(description="wall time of the stages trained here")
    seconds_as_if_alone: float = Field(description="the same if every trial had trained all of its stages")
    idle_seconds: float = Field(description="time that trials waited for a stage, and slots for a base in training")
    images_trained: int
    images_trained_as_if_alone: int
    sharing: Sharing | None
    best: BestSummary | None
    never_trained_again: NeverTrainedAgain | None = Field(
        None, description="the best trial's base task left as it is; None without a best trial, or where rows are older"
    )
    cautions: list[Caution] = Field([], description="reasons to doubt the best trial")
    finalists: Finalists | None = Field(None, description="the best trials under further train seeds; None without")
    table: list[TrialSummary]
