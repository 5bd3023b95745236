"""What every method owes under every loss: it learns, grows, resumes, repeats itself, sees no more than it says.

A chain of a base task and two increments on real images runs once per case. Its last increment then runs again, from
the stored stages of those before it, on a stream whose every image that it may not see is noise: an equal result shows
that it resumes, that it is deterministic, and that nothing else reached it.
"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from methods_under_test import CASES, CHANCE, HORIZON, METHODS, Case, run_chain, run_of, small_stream

from tune_cl.chain import Chain, StageStore
from tune_cl.methods import get_method, method_names
from tune_cl.records import IncrementRow
from tune_cl.streams import Stream

SCORES = {
    "accuracy",
    "average_incremental_accuracy",
    "average_incremental_accuracy_excl_base",
    "accuracy_old",
    "accuracy_new",
    "forgetting",
    "backward_transfer",
}
COSTS = {"images_trained", "seconds", "paid/images_trained", "paid/seconds"}
each_case = pytest.mark.parametrize("case", CASES, ids=str)


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all cases: what they have in common is trained once."""
    return tmp_path_factory.mktemp("contract") / "stages"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rows_of(stages: Path):
    """The rows of a case, from a chain that runs when they are first asked for."""
    known: dict[str, list[IncrementRow]] = {}

    def rows(case: Case) -> list[IncrementRow]:
        if str(case) not in known:
            known[str(case)] = run_chain(run_of(case), stages)
        return known[str(case)]

    return rows


def test_every_method_is_under_contract():
    assert sorted(METHODS) == sorted(method_names())


@each_case
def test_it_learns(case, rows_of):
    accuracy = rows_of(case)[-1].metrics["val/accuracy"]
    bar = CHANCE if case.bar == "chance" else rows_of(CASES[0])[-1].metrics["val/accuracy"]
    assert accuracy > bar + case.margin


@each_case
def test_it_reports_every_metric(case, rows_of):
    method = get_method(case.method)
    readouts = ("val/", "val/nme/") if method.nearest_mean else ("val/",)
    wanted = {f"{prefix}{name}" for prefix in readouts for name in SCORES} | COSTS | {"replay_accuracy"}
    for row in rows_of(case):
        assert row.metrics.keys() == wanted
        undefined = {name for name, value in row.metrics.items() if value is None} - {"replay_accuracy"}
        at_base = {"average_incremental_accuracy_excl_base", "accuracy_old", "forgetting", "backward_transfer"}
        assert {name.rpartition("/")[2] for name in undefined} == (at_base if row.increment == 0 else set())
        assert len(row.accuracy_row) == row.increment + 1
        assert (row.nearest_mean_row is not None) == method.nearest_mean
        assert row.losses


@each_case
def test_its_head_grows_and_its_last_increment_depends_on_nothing_but_what_it_may_see(case, rows_of, stages, tmp_path):
    expected = rows_of(case)
    store = tmp_path / "stages"
    shutil.copytree(stages, store)
    remove_stages(store, expected[HORIZON])
    chain = Chain(run_of(case), blinded(case, stages), StageStore(store), node="here")
    for t in range(HORIZON + 1):
        row = chain.advance().row
        assert chain.classifier().shape.n_classes == chain.classifier().head.weight.shape[0] == small_stream().n_seen(t)
        assert {use.origin for use in row.stages} == ({"trained"} if t == HORIZON else {"reused"})
        assert row.comparable() == expected[t].comparable()
    for use in expected[HORIZON].stages:
        one, other = (StageStore(path).load(use.key) for path in (stages, store))
        assert one is not None and other is not None
        assert one.record.checksum == other.record.checksum


@pytest.mark.parametrize("method", ["oracle", "joint"])
def test_a_control_that_sees_the_past_notices_when_it_is_noise(method, rows_of, stages, tmp_path):
    case = next(case for case in CASES if case.method == method)
    store = tmp_path / "stages"
    shutil.copytree(stages, store)
    rows_of(case)
    remove_stages(store, rows_of(case)[HORIZON])
    rows = run_chain(run_of(case), store, blinded(case, stages, spare_past=False))
    assert rows[HORIZON].losses != rows_of(case)[HORIZON].losses


def remove_stages(store: Path, row: IncrementRow) -> None:
    """Take an increment's stages out of a store."""
    for use in row.stages:
        (folder,) = (path for path in store.rglob(use.key) if path.is_dir())
        shutil.rmtree(folder)


def blinded(case: Case, stages: Path, spare_past: bool = True) -> Stream:
    """The stream with noise for every training image that the last increment may not see; what is scored stays.

    It may see its own images, the exemplars that the memory names before it, and for a control that declares it the
    past.
    """
    stream = small_stream()
    before = Chain(run_of(case), stream, StageStore(stages))
    for _ in range(HORIZON):
        before.advance()
    memory = before.state().get("memory")
    kept = {} if memory is None else _positions(memory.tensors["labels"], memory.tensors["positions"])
    sees_past = spare_past and any(phase.sees_past for phase in get_method(case.method).increment)
    images = stream.raw_images.copy()
    random = np.random.default_rng(0)
    for c in range(stream.n_classes):
        if c in stream.classes(HORIZON) or (sees_past and c < stream.classes(HORIZON).start):
            continue
        training, _ = stream._split(stream.class_order[c])
        hidden = np.delete(training, kept.get(c, []))
        images[hidden] = random.integers(0, 256, images[hidden].shape, dtype=np.uint8)
    assert not np.array_equal(images, stream.raw_images)
    return replace(stream, raw_images=images)


def _positions(labels: torch.Tensor, positions: torch.Tensor) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for label, position in zip(labels.tolist(), positions.tolist(), strict=True):
        found.setdefault(label, []).append(position)
    return found
