"""What sharing saved, its bound, and what it is expected to save; each against a sum done by hand."""

from pathlib import Path

import pytest

from tune_cl import configure
from tune_cl.chain import forecast, planned_keys
from tune_cl.engine._sharing import sharing
from tune_cl.records import IncrementRow, RunConfig, StageUse
from tune_cl.store import StageRecord
from tune_cl.streams import Stream, open_stream

BASE, STEP = 6.0, 2.0  # seconds of a base task (4 for its classifier, 2 for its generator) and of an increment


def use(key: str, seconds: float, trained: bool) -> StageUse:
    origin = "trained" if trained else "reused"
    return StageUse(phase="classifier", key=key, origin=origin, seconds=seconds, cpu_seconds=seconds, images_trained=10)


def row(trial: int, increment: int, *stages: StageUse) -> IncrementRow:
    return IncrementRow(
        trial=trial, increment=increment, metrics={}, accuracy_row=[], losses={}, stages=list(stages), node="n"
    )


def trial(number: int, base: str, increments: int, first: bool) -> list[IncrementRow]:
    own = [row(number, t, use(f"{number}/{t}", STEP, trained=True)) for t in range(1, increments + 1)]
    return [row(number, 0, use(f"{base}/c", 4.0, first), use(f"{base}/g", 2.0, first)), *own]


def test_full_trials_with_few_bases_save_what_the_formula_says() -> None:
    """b = 6 / 12, k = 2, N = 8."""
    rows = {n: trial(n, f"base{n % 2}", 3, first=n < 2) for n in range(8)}
    found = sharing(rows, unit="cpu_seconds")
    assert found is not None
    assert (found.trials, found.base_configurations, found.base_share) == (8, 2, 0.5)
    assert found.bound == pytest.approx(1 / (1 - 0.5 * (1 - 2 / 8)))
    assert found.saving == pytest.approx(found.bound) == pytest.approx(96 / (2 * 6 + 8 * 6))


def test_stopping_early_raises_the_base_share_and_the_bound() -> None:
    rows = {n: trial(n, "base", 3 if n == 0 else 1, first=n == 0) for n in range(4)}
    found = sharing(rows)
    assert found is not None
    alone = 12 + 3 * 8
    assert found.base_share == pytest.approx(24 / alone)
    assert found.saving == pytest.approx(found.bound) == pytest.approx(alone / (12 + 3 * 2))


def test_training_a_base_twice_shows_as_a_saving_below_the_bound() -> None:
    rows = {n: trial(n, "base", 3, first=True) for n in range(2)}
    found = sharing(rows)
    assert found is not None and found.saving == 1.0 and found.bound == pytest.approx(24 / 18)


def test_what_a_failed_increment_had_trained_was_paid() -> None:
    rows = {0: trial(0, "base", 3, first=True)}
    found = sharing(rows, [use("x", 12.0, trained=True), use("y", 5.0, trained=False)])
    assert found is not None and found.saving == pytest.approx(12 / 24)


def test_what_an_earlier_search_had_trained_is_told_apart_from_what_trials_share() -> None:
    """Four trials on one base that lay in the store, of one the increments as well: the sentence keeps to its bound."""
    rows = {n: trial(n, "base", 3, first=False) for n in range(4)}
    rows[0] = [row(0, t, *(use(u.key, u.seconds, False) for u in r.stages)) for t, r in enumerate(rows[0])]
    found = sharing(rows)
    assert found is not None
    alone, paid, lay_there = 4 * 12, 3 * 6, 6 + 6
    assert found.saving == pytest.approx(alone / paid) and found.saving > found.bound
    assert found.found == pytest.approx(lay_there / alone)
    assert found.own == pytest.approx(alone / (paid + lay_there)) == pytest.approx(found.bound)
    assert found.bound == pytest.approx(1 / (1 - 0.5 * (1 - 1 / 4)))


def test_what_trials_share_is_never_above_its_bound_whatever_else_they_have_in_common() -> None:
    alike = [row(1, t, use(f"0/{t}", STEP + t, trained=False)) for t in range(1, 4)]  # of one configuration
    rows = {0: trial(0, "base", 3, first=True), 1: [*trial(1, "base", 0, first=False), *alike]}
    found = sharing(rows, [use("failed", 1.0, trained=True)])
    assert found is not None and found.own is not None and found.own < found.bound
    assert found.bound == pytest.approx((12 + 6 + 3 * STEP + 6) / 12)
    rows = {n: trial(n, "base", 3, first=True) for n in range(3)}  # trained by each, since the store had lost it
    found = sharing(rows)
    assert found is not None and found.own == 1.0 and found.found == 0.0


def test_nothing_is_said_of_a_search_that_trained_nothing_or_has_no_rows() -> None:
    assert sharing({0: trial(0, "base", 0, first=False)}) is None
    assert sharing({0: []}) is None


@pytest.fixture(scope="module")
def run() -> RunConfig:
    return configure("genifer.yaml", stream="fashion-b4-t3", budget="quick")


@pytest.fixture(scope="module")
def stream(run: RunConfig) -> Stream:
    return open_stream(run.stream)


def stage(run: RunConfig, key: str, kind: str, seconds: float, images: int) -> StageRecord:
    numerics = {"device": run.device, "threads": run.threads}
    ingredients = {"phase": {"kind": kind}, "stream": {"image_shape": [1, 28, 28]}, "numerics": numerics}
    return StageRecord(
        key=key,
        parent=None,
        ingredients=ingredients,
        seconds=seconds,
        images_trained=images,
        losses={},
        metrics={},
        checksum="",
    )


# Images of the quick budget: 3,200 base and 1,600 new images, 16 or 32 of them in a step, as many replayed.
CLASSIFIER, GENERATOR = 8 * 3200, 800 * 64
STEP_CLASSIFIER, STEP_GENERATOR = 6 * 1600 * 2, 400 * 64


def test_without_any_stage_the_forecast_counts_images(run: RunConfig, stream: Stream) -> None:
    told = forecast(run, stream, {})
    assert (told.unit, told.source) == ("images", "images")
    assert told.base == CLASSIFIER + GENERATOR
    assert told.increments == 3 * STEP_CLASSIFIER + 2 * STEP_GENERATOR
    b = told.base / (told.base + told.increments)
    assert told.bound(4, 32) == pytest.approx(1 / (1 - b * (1 - 4 / 32)))
    assert told.bound(64, 32) == 1.0


def test_stages_of_the_same_kinds_give_a_forecast_in_seconds(run: RunConfig, stream: Stream) -> None:
    kinds = {"base.classifier": 1e-3, "genifer.base.generator": 2e-3, "genifer.classifier": 3e-3}
    stored = {kind: stage(run, kind, kind, 100 * rate, 100) for kind, rate in kinds.items()}
    assert forecast(run, stream, stored).unit == "images", "one kind is missing"
    stored["g"] = stage(run, "g", "genifer.generator", 0.4, 100)
    told = forecast(run, stream, stored)
    assert (told.unit, told.source) == ("seconds", "like")
    assert told.base == pytest.approx(1e-3 * CLASSIFIER + 2e-3 * GENERATOR)
    assert told.increments == pytest.approx(3 * 3e-3 * STEP_CLASSIFIER + 2 * 4e-3 * STEP_GENERATOR)


def test_the_chains_own_stored_stages_are_taken_as_they_cost(run: RunConfig, stream: Stream, tmp_path: Path) -> None:
    stored = {
        key: stage(run, key, "any", seconds=10.0 + i, images=1)
        for i, (_, _, key) in enumerate(planned_keys(run, stream))
    }
    told = forecast(run, stream, stored)
    assert (told.source, told.base, told.increments) == ("stored", 10.0 + 11.0, 12.0 + 13.0 + 14.0 + 15.0 + 16.0)
