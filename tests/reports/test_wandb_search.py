"""A search read from W&B is the search that its folder holds; what is wrong is said in a sentence."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from made_searches import HORIZON, OBJECTIVE, RATE, evaluation, write_search

from tune_cl.errors import TuneCLError
from tune_cl.records import RunConfig, SearchFolder, SearchRecord, read_record
from tune_cl.reports import SearchData, compare, read_remote, read_search
from tune_cl.wandb import _read as _wandb_read
from tune_cl.wandb._files import run_config
from tune_cl.wandb._run import row_values

TEST = OBJECTIVE.replace("val/", "test/")
ADDRESS = "wandb://team/project/s"


@dataclass
class FakeRun:
    """As much of W&B's run as is read."""

    config: dict[str, Any]
    summary: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    job_type: str = "trial"
    group: str | None = None

    def scan_history(self) -> Iterator[dict[str, Any]]:
        """Rows as the server answers them: what is not a number is text."""
        for row in self.history:
            yield {name: "NaN" if value != value else value for name, value in row.items()}


class FakeApi:
    """As much of W&B's client as is called: runs by one filter."""

    def __init__(self, runs: Mapping[tuple[str, str], list[FakeRun]], error: Exception | None = None) -> None:
        self._runs = runs
        self._error = error

    def runs(self, path: str, filters: dict[str, str], **_: Any) -> list[FakeRun]:
        if self._error is not None:
            raise self._error
        assert path == "team/project"
        [(key, name)] = filters.items()
        return self._runs.get((key, name), [])


def runs_of(folder: SearchFolder, states: Mapping[int, str]) -> list[FakeRun]:
    """The runs that tracking would have made of a search."""
    record, runs = read_record(folder.search, SearchRecord), []
    for number, trial in folder.trials().items():
        rows = trial.rows()
        config = run_config(record, number, read_record(trial.config, RunConfig))
        history = [row_values(row, []) for row in rows]
        runs.append(FakeRun(config, {"state": states[number], "objective": rows[-1].metrics[OBJECTIVE]}, history))
    return runs


def serve(monkeypatch: pytest.MonkeyPatch, api: FakeApi) -> None:
    class Wandb:
        @staticmethod
        def Api(**_: Any) -> FakeApi:
            return api

    monkeypatch.setattr(_wandb_read, "quiet_wandb", lambda: Wandb)
    monkeypatch.setattr(_wandb_read, "credentials_found", lambda: True)


@pytest.fixture
def folder(tmp_path: Path) -> SearchFolder:
    return write_search(tmp_path / "s", {0: 0.5, 1: 0.7, 3: 0.6}, stopped={2: 0.9})


STATES = {0: "finished", 1: "finished", 2: "stopped", 3: "finished"}


def comparable(search: SearchData) -> dict[str, Any]:
    """What both sources know."""
    found = search.model_dump(
        exclude={
            "source",
            "numerics",
            "planned",
            "evaluate_command",
            "found",
            "trials",
            "evaluation",
            "ranges",
        }
    )
    known = {OBJECTIVE, "val/accuracy", "val/forgetting", "images_trained", "seconds"}
    trials = [
        trial.model_dump(exclude={"by_increment", "paid"})
        | {"by_increment": [{k: v for k, v in m.items() if k in known} for m in trial.by_increment]}
        for trial in search.trials
    ]
    return found | {"trials": trials}


@pytest.mark.parametrize("key", ["group", "sweep"])
def test_a_group_or_a_sweep_is_the_search_of_the_folder(
    monkeypatch: pytest.MonkeyPatch, folder: SearchFolder, key: str
) -> None:
    runs = runs_of(folder, STATES)
    others = [FakeRun({}, {}, job_type="comparison"), FakeRun({"lr": 1}, {})]
    serve(monkeypatch, FakeApi({(key, "s"): [*reversed(runs), *others]}))
    search = read_remote(ADDRESS)
    assert comparable(search) == comparable(read_search(folder))
    assert search.source == ADDRESS and search.searched == [RATE]


def test_folder_and_wandb_can_be_compared(
    monkeypatch: pytest.MonkeyPatch, folder: SearchFolder, tmp_path: Path
) -> None:
    serve(monkeypatch, FakeApi({("group", "s"): runs_of(folder, STATES)}))
    other = read_search(write_search(tmp_path / "other", {0: 0.5, 1: 0.65}, method="genifer"))
    comparison = compare([read_remote(ADDRESS), other])
    assert [entry.label for entry in comparison.searches] == ["lwf", "genifer"]
    assert [entry.value for entry in comparison.searches] == pytest.approx([0.7, 0.65])
    assert not any("PyTorch" in note for note in comparison.notes)  # W&B does not say which version it was


def test_runs_that_go_on_make_an_unfinished_search_and_repeated_rows_count_once(
    monkeypatch: pytest.MonkeyPatch, folder: SearchFolder
) -> None:
    runs = runs_of(folder, STATES)
    runs[3].summary = {"state": "interrupted"}
    runs[1].history += runs[1].history[-1:]
    serve(monkeypatch, FakeApi({("group", "s"): runs}))
    search = read_remote(ADDRESS)
    assert search.unfinished == "unfinished: 1 of 4 runs have no end yet"
    assert search.trials[3].state == "running" and len(search.trials[1].by_increment) == HORIZON + 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("Could not find project <team/project>"), "no such project"),
        (RuntimeError("401 Client Error: Unauthorized"), "does not accept the credentials"),
        (OSError("connection refused"), "did not answer (OSError: connection refused)"),
    ],
)
def test_what_the_server_says_is_a_sentence(monkeypatch: pytest.MonkeyPatch, error: Exception, words: str) -> None:
    serve(monkeypatch, FakeApi({}, error))
    with pytest.raises(TuneCLError) as refusal:
        read_remote(ADDRESS)
    assert words in str(refusal.value) and str(refusal.value).startswith(ADDRESS)


def test_a_group_without_trials_and_one_of_two_searches_are_refused(
    monkeypatch: pytest.MonkeyPatch, folder: SearchFolder
) -> None:
    serve(monkeypatch, FakeApi({}))
    with pytest.raises(TuneCLError, match="no group and no sweep 's'"):
        read_remote(ADDRESS)
    runs = runs_of(folder, STATES)
    serve(monkeypatch, FakeApi({("group", "s"): [*runs, *runs]}))
    with pytest.raises(TuneCLError, match="two runs are trial 0000"):
        read_remote(ADDRESS)
    runs[2].config["method"] = "genifer"
    serve(monkeypatch, FakeApi({("group", "s"): runs}))
    with pytest.raises(TuneCLError, match="method is 'lwf' in trial 0000 and 'genifer' in trial 0002"):
        read_remote(ADDRESS)


@pytest.mark.parametrize("address", ["wandb://a/b", "wandb://a/b/c/d", "wandb:///b/c"])
def test_a_malformed_address_is_refused(address: str) -> None:
    with pytest.raises(TuneCLError, match="write wandb://entity/project/group"):
        read_remote(address)


def test_without_credentials_nothing_is_asked() -> None:
    with pytest.raises(TuneCLError, match=r"no W&B credentials found; run `wandb login`"):
        read_remote(ADDRESS)


def evaluation_runs(folder: SearchFolder, values: Mapping[tuple[int, int, int], float]) -> list[FakeRun]:
    """The runs that tracking makes of an evaluation: (trial, order seed, train seed) -> test objective at the end."""
    record, runs = read_record(folder.search, SearchRecord), []
    for (trial, order, seed), value in values.items():
        config = run_config(record, trial, read_record(folder.trial(trial).config, RunConfig))
        config |= {"objective": TEST, "protocol": "evaluation", "seeds": {"order": order, "train": seed}}
        history = [
            {"increment": t, TEST: value + 0.1 * (HORIZON - t), "images_trained": 1000.0 * (t + 1), "seconds": 1.0 * t}
            | {f"R/{i}": value for i in range(t + 1)}
            for t in range(HORIZON + 1)
        ]
        runs.append(FakeRun(config, {"state": "finished"}, history, job_type="evaluation"))
    return runs


def test_evaluation_runs_of_the_group_are_summed_up(monkeypatch: pytest.MonkeyPatch, folder: SearchFolder) -> None:
    places = [(order, seed) for order in (1001, 1002, 1003) for seed in (1, 2)]
    chosen = {place: 0.6 + 0.01 * i for i, place in enumerate(places)}
    default = {place: 0.5 - 0.02 * i for i, place in enumerate(places)}
    runs = evaluation_runs(folder, {(1, *p): v for p, v in chosen.items()} | {(0, *p): v for p, v in default.items()})
    trials = runs_of(folder, STATES)
    for run in trials:
        run.group = "s"
    torn = evaluation_runs(folder, {(1, 1004, 1): 0.9})
    torn[0].history.pop()
    serve(monkeypatch, FakeApi({("sweep", "x"): trials, ("group", "s"): [*trials, *runs, *torn]}))
    for name in ("s", "x"):
        found = read_remote(f"wandb://team/project/{name}").evaluation
        expected = evaluation(chosen, default)
        assert found is not None and found.difference is not None and expected.difference is not None
        assert (found.objective, found.class_orders, found.train_seeds) == (TEST, expected.class_orders, [1, 2])
        assert found.held_out and list(found.missing) == ["trial-0001-seed-1004-train-1"]
        assert found.difference[TEST] == expected.difference[TEST]
        for ours, theirs in zip(found.configurations, expected.configurations, strict=True):
            assert (ours.role, ours.trial, ours.runs) == (theirs.role, theirs.trial, theirs.runs)
            assert ours.metrics[TEST] == theirs.metrics[TEST]
            assert len(ours.by_increment) == HORIZON + 1 and ours.images_trained == 4000.0


def test_an_evaluation_of_an_earlier_choice_is_told_as_one(
    monkeypatch: pytest.MonkeyPatch, folder: SearchFolder
) -> None:
    runs = evaluation_runs(folder, {(3, 1001, 1): 0.5, (0, 1001, 1): 0.4})
    serve(monkeypatch, FakeApi({("group", "s"): [*runs_of(folder, STATES), *runs]}))
    comparison = compare([read_remote(ADDRESS)])
    assert any("evaluation is of trial 0003" in note for note in comparison.notes)
