"""Samplers, stopping rules, objectives and trackers may be objects: what is recorded is their name and options."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import optuna
import pytest
from forgotten_parts import forgotten_parts as forgotten_parts

import tune_cl
from tune_cl import SearchOptions, TuneCLError
from tune_cl.metrics import METRICS, Metric
from tune_cl.options import written
from tune_cl.records import SearchFolder, SearchRecord, read_record
from tune_cl.study import Report, Sampler, SamplerContext, StoppingRule, find_sampler, find_stopping_rule
from tune_cl.tracking import SearchEnded, TrialEnded

SMALL = {
    "base.classifier.epochs": 1,
    "base.classifier.batch_size": 256,
    "base.classifier.width": 4,
    "increment.classifier.epochs": 1,
    "increment.classifier.batch_size": 256,
}


class Mine(Sampler):
    """Random, by another name."""

    name: ClassVar[str] = "mine"
    uses_history: ClassVar[bool] = False
    salt: int = 0

    def make(self, context: SamplerContext) -> Any:
        """Optuna's."""
        return optuna.samplers.RandomSampler(seed=context.seed + self.salt)


class Least(StoppingRule):
    """Stops below a score."""

    name: ClassVar[str] = "least"
    score: float = 0.5

    def stops(self, report: Report) -> bool:
        """Below it now."""
        return report.score < self.score


class Notes:
    """A tracker."""

    def __init__(self) -> None:
        self.ends: list[str] = []
        self.closed = False

    def handle(self, event: Any) -> None:
        if isinstance(event, TrialEnded | SearchEnded):
            self.ends.append(type(event).__name__)

    def close(self, timeout: float) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def no_wandb(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    yield


def test_an_object_is_written_as_its_name_and_options_which_find_it_again() -> None:
    options = SearchOptions(
        "finetune", sampler=Mine(salt=3), scheduler=Least(score=0.2), objective=METRICS["forgetting"]
    )
    assert written(options)[1:] == [
        "--sampler=mine(salt=3)",
        "--scheduler=least(score=0.2)",
        "--objective=val/forgetting",
    ]
    assert find_sampler(str(options.sampler), "sampler") == Mine(salt=3)
    assert find_stopping_rule(str(options.scheduler), "scheduler") == Least(score=0.2)
    assert SearchOptions("finetune", sampler=optuna.samplers.GPSampler).sampler == "optuna:GPSampler"
    assert "trackers" not in " ".join(written(SearchOptions("finetune", trackers=[Notes()])))


class Unreadable(Sampler):
    """Without a source."""

    name: ClassVar[str] = "unreadable"


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        (
            {"sampler": optuna.samplers.TPESampler()},
            r"does not tell its arguments, .*write 'optuna:TPESampler\(\.\.\.\)'",
        ),
        ({"sampler": Mine}, "sampler <class .*: neither a name nor an object that has one"),
        ({"scheduler": 3}, "scheduler 3: neither a name nor an object"),
        ({"objective": Metric("worst", lambda s: 0.0, "x")}, "workers do not know metric 'worst'; .*as a plug-in"),
        ({"trackers": [Notes]}, "trackers: <class .* is no tracker: an object with the methods handle and close"),
    ],
)
def test_what_could_not_be_resumed_is_refused(option: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TuneCLError, match=sentence):
        SearchOptions("finetune", **option)


def test_a_class_without_a_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, __name__)
    made = type("Made", (Mine,), {"name": "made", "__module__": "nowhere", "__doc__": "Of nothing."})
    with pytest.raises(TuneCLError, match="sampler: Made: its source cannot be read; define it in a file"):
        SearchOptions("finetune", sampler=made())


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_with_objects_is_recorded_and_resumed_by_their_names(tmp_path: Path) -> None:
    notes = Notes()
    common: dict[str, Any] = {
        "stream": "fashion-b8-t1",
        "overrides": SMALL,
        "results": tmp_path,
        "name": "s",
        "quiet": True,
        "sampler": Mine(salt=1),
        "scheduler": Least(score=0.01),
    }
    first = tune_cl.search("finetune", trials=2, trackers=[notes], **common)
    record = read_record(SearchFolder(first.folder).search, SearchRecord)
    assert (record.sampler, record.scheduler) == ("mine(salt=1)", "least(score=0.01)")
    assert notes.closed and notes.ends == ["TrialEnded", "TrialEnded", "SearchEnded"]
    assert len(tune_cl.search("finetune", trials=3, **common).trials) == 3
    with pytest.raises(TuneCLError, match=r"sampler was mine\(salt=1\), is mine\(salt=2\)"):
        tune_cl.search("finetune", trials=3, **{**common, "sampler": Mine(salt=2)})
