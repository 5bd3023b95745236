"""Running a chain: each phase sees its own increment only; rows do not depend on where, when or how they are made."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_chains import METHODS, chain_of, comparable, origins, rows_of, run_config, tiny_stream

import tune_cl.methods as methods_room
from tune_cl.chain import Chain, Progress, device_of
from tune_cl.errors import TuneCLError
from tune_cl.methods import Diverged, Extent, Phase, PhaseContext, PhaseData, PhaseResult, get_method, method_names
from tune_cl.nets import Component
from tune_cl.records import IncrementRow
from tune_cl.store import StageStore
from tune_cl.streams import LabelledImages

SCRIPT = Path(__file__).parent / "tiny_chains.py"


class Listener:
    """Stands between a chain and its phases: notes what they are called with, and calls them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.calls: list[tuple[Phase, Any, PhaseData, dict[str, Component], PhaseContext]] = []
        method = get_method(name)
        parts = {part: tuple(map(self._listening, getattr(method, part))) for part in ("base", "increment")}
        monkeypatch.setitem(methods_room.METHODS._members, name, replace(method, **parts))

    def _listening(self, phase: Phase) -> Phase:
        def run(config: Any, data: PhaseData, state: Mapping[str, Component], context: PhaseContext) -> PhaseResult:
            self.calls.append((phase, config, data, dict(state), context))
            return phase.run(config, data, state, context)

        return replace(phase, run=run)


def equal(one: LabelledImages, other: LabelledImages) -> bool:
    return torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)


@pytest.mark.parametrize("name", METHODS)
def test_a_phase_receives_the_tensors_of_its_own_increment_and_nothing_more(name, monkeypatch, tmp_path):
    listener = Listener(monkeypatch, name)
    run = run_config(name)
    rows_of(chain_of(run, tmp_path))
    stream = tiny_stream()
    config = get_method(name).config.model_validate(run.parameters)
    assert len(listener.calls) == (7 if name == "genifer" else 4)
    for phase, settings, data, state, context in listener.calls:
        t = data.increment
        assert equal(data.new, stream.training(t))
        assert set(data.new.labels.tolist()) == set(stream.classes(t))
        assert (data.n_old, data.n_new) == (stream.n_seen(t) - len(stream.classes(t)), len(stream.classes(t)))
        assert (context.random_key.train_seed, context.random_key.increment, context.random_key.phase) == (
            0,
            t,
            phase.name,
        )
        assert settings == getattr(config.base if t == 0 else config.increment, phase.name)
        if name in ("oracle", "joint") and t:
            assert data.past is not None
            assert data.past.labels.tolist() == [c for i in range(t) for c in stream.training(i).labels.tolist()]
            assert torch.equal(data.past.images, torch.cat([stream.training(i).images for i in range(t)]))
        else:
            assert data.past is None and not phase.sees_past
        expected = set() if (t, phase.name) == (0, "classifier") else {"classifier"}
        if name == "genifer" and t:
            expected |= {"generator", "discriminator"}
        assert set(state) == expected


def test_validation_images_reach_no_phase(monkeypatch, tmp_path):
    listener = Listener(monkeypatch, "joint")
    rows_of(chain_of(run_config("joint"), tmp_path))
    held_back = {bytes(image.numpy()) for t in range(4) for image in tiny_stream().validation(t).images}
    for _, _, data, _, _ in listener.calls:
        images = [*data.new.images, *([] if data.past is None else data.past.images)]
        assert not held_back & {bytes(image.numpy()) for image in images}


@pytest.mark.parametrize("name", METHODS)
def test_a_chain_run_twice_with_separate_empty_stores_gives_equal_rows(name, tmp_path):
    first, second = (rows_of(chain_of(run_config(name), tmp_path / store)) for store in ("a", "b"))
    assert comparable(first) == comparable(second)
    assert origins(first) == origins(second) == ["trained"] * len(origins(first))
    assert [row.increment for row in first] == [0, 1, 2, 3]


def test_another_train_seed_gives_other_rows(tmp_path):
    first, second = (rows_of(chain_of(run_config("finetune", train_seed=s), tmp_path)) for s in (0, 1))
    assert [row.losses for row in first] != [row.losses for row in second]


def test_another_seed_over_the_same_base_task_trains_the_increments_alone(tmp_path):
    first, again, base = (
        rows_of(chain_of(run_config("finetune", **seeds), tmp_path))
        for seeds in ({"train_seed": 0}, {"train_seed": 1, "base_seed": 0}, {"train_seed": 0, "base_seed": 0})
    )
    assert origins(again) == ["reused"] + ["trained"] * (len(first) - 1)
    assert comparable(again)[0] == comparable(first)[0]
    assert all(one.losses != other.losses for one, other in zip(first[1:], again[1:], strict=True))
    assert origins(base) == ["reused"] * len(first), "the seed that it has anyway is no other configuration"


@pytest.mark.parametrize("name", METHODS)
def test_a_chain_resumed_from_its_store_equals_the_uninterrupted_one(name, tmp_path):
    whole = rows_of(chain_of(run_config(name), tmp_path / "whole"))
    begun = chain_of(run_config(name), tmp_path / "parts")
    begun.advance()
    begun.advance()
    resumed = rows_of(chain_of(run_config(name), tmp_path / "parts"))
    assert comparable(resumed) == comparable(whole)
    reused = sum(len(row.stages) for row in whole[:2])
    assert origins(resumed) == ["reused"] * reused + ["trained"] * (len(origins(whole)) - reused)
    assert [row.metrics["images_trained"] for row in resumed] == [row.metrics["images_trained"] for row in whole]
    paid = [row.metrics["paid/images_trained"] for row in resumed]
    assert paid[:2] == [0, 0] and paid[3] is not None and paid[3] > 0


def test_a_chain_in_another_process_beside_a_busy_one_equals_one_run_here(tmp_path):
    """There while a third process keeps a core busy; here alone, and after other draws."""
    burn = "import torch; torch.set_num_threads(1)\nwhile True: torch.rand(300, 300) @ torch.rand(300, 300)"
    busy = subprocess.Popen([sys.executable, "-c", burn])
    try:
        command = [sys.executable, str(SCRIPT), str(tmp_path / "there"), "genifer"]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    finally:
        busy.kill()
        busy.wait()
    there = [IncrementRow.model_validate(row) for row in json.loads(output.splitlines()[-1])["rows"]]
    torch.manual_seed(99)
    here = rows_of(chain_of(run_config("genifer"), tmp_path / "here"))
    assert comparable(there) == comparable(here)


def test_a_chain_resumed_in_another_process_equals_one_run_here(tmp_path):
    begun = chain_of(run_config("genifer"), tmp_path / "parts")
    begun.advance()
    begun.advance()
    command = [sys.executable, str(SCRIPT), str(tmp_path / "parts"), "genifer"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    there = [IncrementRow.model_validate(row) for row in json.loads(output.splitlines()[-1])["rows"]]
    assert origins(there) == ["reused"] * 4 + ["trained"] * 3
    assert comparable(there) == comparable(rows_of(chain_of(run_config("genifer"), tmp_path / "here")))


def test_an_increment_that_was_interrupted_between_its_phases_can_be_run_again(tmp_path):
    """The interrupt comes in the generator phase; the same chain goes on, with the classifier that was published."""
    struck: list[bool] = []

    def strike(progress: Progress) -> None:
        if (progress.increment, progress.phase, progress.step) == (1, "generator", 2) and not struck:
            struck.append(True)
            raise KeyboardInterrupt

    chain = chain_of(run_config("genifer"), tmp_path / "struck", strike)
    chain.advance()
    with pytest.raises(KeyboardInterrupt):
        chain.advance()
    assert chain.next_increment == 1
    again = [chain.advance().row for _ in range(3)]
    whole = rows_of(chain_of(run_config("genifer"), tmp_path / "whole"))
    assert comparable(again) == comparable(whole[1:])
    assert origins(again[:1]) == ["trained", "trained"], "this chain paid for the first of them, too"


def test_a_chain_computes_with_the_threads_of_its_configuration(tmp_path):
    seen: list[int] = []
    before = torch.get_num_threads()
    run = run_config("finetune", threads=2, horizon=1)
    chain_of(run, tmp_path, lambda progress: seen.append(torch.get_num_threads())).advance()
    assert set(seen) == {2} and torch.get_num_threads() == before


def test_progress_is_told_after_every_step(tmp_path):
    signs: list[Progress] = []
    rows_of(chain_of(run_config("genifer", horizon=1), tmp_path, signs.append))
    assert signs == [
        *(Progress(0, "classifier", step, 4) for step in range(1, 5)),
        *(Progress(0, "generator", step, 4) for step in range(1, 5)),
        *(Progress(1, "classifier", step, 4) for step in range(1, 5)),
    ]


def test_rows_hold_every_metric_cost_and_loss(tmp_path):
    chain = chain_of(run_config("genifer"), tmp_path)
    rows = rows_of(chain)
    names = {"accuracy", "average_incremental_accuracy", "average_incremental_accuracy_excl_base", "forgetting"}
    names |= {"backward_transfer", "accuracy_old", "accuracy_new"}
    costs = {"images_trained", "seconds", "paid/images_trained", "paid/seconds"}
    for t, row in enumerate(rows):
        of_game = {"generator/edge_pixels", "generator/score_gap"} if t < 3 else set()
        assert set(row.metrics) == {f"val/{name}" for name in names} | costs | {"replay_accuracy"} | of_game
        assert len(row.accuracy_row) == t + 1
        assert (row.metrics["replay_accuracy"] is None) == (t == 0)
        assert (row.metrics["val/forgetting"] is None) == (t == 0)
        phases = {loss.split("/")[0] for loss in row.losses}
        assert phases == ({"classifier"} if t == 3 else {"classifier", "generator"})
    # Base: 4 steps of 16 and 4 GAN steps of 8 real and 8 fake; increments: 4 steps of 8 + 8, and the GAN again.
    assert [row.metrics["images_trained"] for row in rows] == [128, 256, 384, 448]
    assert [row.metrics["paid/images_trained"] for row in rows] == [128, 256, 384, 448]


@pytest.mark.parametrize("method", ["genifer", "oracle"])
def test_a_student_judges_replay_beside_the_chain(method, tmp_path):
    """Its stage is stored and found again; keys, costs and accuracies of the chain are as without it."""
    without = rows_of(chain_of(run_config(method, horizon=2), tmp_path / "without"))
    run = run_config(method, {"increment.student.steps": 3}, horizon=2)
    chain = chain_of(run, tmp_path / "with")
    rows = rows_of(chain)
    own = {"val/replay_student", "replay_spread", "replay_student_seconds"}
    for row, plain in zip(rows, without, strict=True):
        assert set(row.metrics) - set(plain.metrics) == own
        assert [use.key for use in row.stages] == [use.key for use in plain.stages]
        for name in set(plain.metrics) - {"seconds", "paid/seconds"}:
            assert row.metrics[name] == plain.metrics[name], name
        for name in own:
            value = row.metrics[name]
            assert value is None if row.increment == 0 else value is not None and value >= 0
    stored = {path.name for path in (tmp_path / "with").glob("??/*")}
    assert len(stored) == len({path.name for path in (tmp_path / "without").glob("??/*")}) + 2
    seen: list[str] = []
    again = rows_of(chain_of(run, tmp_path / "with", lambda progress: seen.append(progress.phase)))
    assert not seen and [row.metrics["val/replay_student"] for row in again] == [
        row.metrics["val/replay_student"] for row in rows
    ]


def test_a_student_that_learns_nothing_but_nan_fails_no_chain(tmp_path, monkeypatch):
    def diverge(config: Any, data: PhaseData, state: Mapping[str, Component], context: PhaseContext) -> PhaseResult:
        raise Diverged("the loss became NaN")

    method = get_method("genifer")
    monkeypatch.setitem(
        methods_room.METHODS._members, "genifer", replace(method, judge=replace(method.judge, run=diverge))
    )
    rows = rows_of(chain_of(run_config("genifer", {"increment.student.steps": 3}, horizon=2), tmp_path))
    assert [row.metrics["val/replay_student"] for row in rows] == [None] * 3
    assert all(row.metrics["val/accuracy"] is not None for row in rows)


def test_a_row_is_what_its_classifier_scores_on_validation_images(tmp_path):
    chain, stream = chain_of(run_config("finetune", horizon=2), tmp_path), tiny_stream()
    rows = rows_of(chain)
    classifier = chain.classifier().eval()
    assert classifier.shape.n_classes == stream.n_seen(2)
    right = []
    for t in range(3):
        images, labels = stream.validation(t).images, stream.validation(t).labels
        with torch.no_grad():
            right.append((classifier((images / 255 - 0.2860) / 0.3530).argmax(1) == labels).float().mean().item())
    assert rows[2].accuracy_row == pytest.approx(right)


def test_previews_are_there_where_a_generator_was_trained(tmp_path):
    chain = chain_of(run_config("genifer", horizon=1), tmp_path)
    base, last = chain.advance(), chain.advance()
    assert base.preview is not None and base.preview.shape == (4, 8, 1, 28, 28)
    assert last.preview is None
    again = chain_of(run_config("genifer", horizon=1), tmp_path).advance()
    assert again.preview is not None and torch.equal(again.preview, base.preview)


def test_a_finished_chain_says_so(tmp_path):
    chain = chain_of(run_config("finetune", horizon=1), tmp_path)
    rows_of(chain)
    assert chain.done and chain.next_increment == 2 and set(chain.state()) == {"classifier"}
    with pytest.raises(RuntimeError, match="has run its 1 increments"):
        chain.advance()


@pytest.mark.parametrize(
    ("method", "changes", "sentence"),
    [
        (
            "genifer",
            {"increment.classifier.weight_ce": 2.0},
            r"parameters of genifer: increment\.classifier\.weight_ce",
        ),
        ("genifer", {"increment.clasifier.weight_ce": 0.1}, r"parameters of genifer: increment\.clasifier"),
        ("finetune", {"base.classifier.epochs": "many"}, r"parameters of finetune: base\.classifier\.epochs"),
        ("finetune", {"base.classifier.epochs": 0}, r"greater than or equal to 1"),
        ("lwf", {"increment.classifier.epsilon": float("nan")}, r"increment\.classifier\.epsilon.*finite"),
        ("genifer", {"increment.classifier.loss": "balanced"}, r"replay_labels: hard, or use loss: relaxed"),
        ("finetune", {"base.classifier.network": "resnet18_cifar"}, r"resnet18_cifar' has width 64, not 4"),
        ("genifer", {"base.generator.start_size": 5}, r"base\.generator\.start_size.*5 to images of 28.*28, 14, 7"),
        ("genifer", {"base.generator.channels": 4, "base.generator.start_size": 1}, r"start_size.*28, 14, 7"),
        (
            "icarl",
            {"base.memory.budget": "total", "base.memory.size": 9},
            r"base\.memory\.size: a total of 9 exemplars has no room for one of each of 10 classes; at least 10",
        ),
        ("finetuning", {}, r"method: 'finetuning' is unknown; .*; did you mean 'finetune'\?"),
    ],
)
def test_bad_parameters_are_refused_in_a_sentence_before_anything_is_trained(tmp_path, method, changes, sentence):
    run = run_config("genifer" if method == "finetuning" else method, changes).model_copy(update={"method": method})
    with pytest.raises(TuneCLError, match=sentence) as caught:
        chain_of(run, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_too_few_channels_for_the_doublings_are_refused():
    method = get_method("genifer")
    config = method.config.model_validate({"base": {"generator": {"channels": 4, "start_size": 4}}})
    with pytest.raises(TuneCLError, match=r"channels: 4 cannot be halved at each doubling from 4 to 32.*at least 8"):
        method.check_fit(config, Extent((3, 32, 32), 4, 10))


def test_nca_over_a_base_of_one_class_is_refused_and_cross_entropy_is_not():
    method, alone = get_method("podnet"), Extent((1, 28, 28), n_base=1, n_seen=10)
    with pytest.raises(TuneCLError, match=r"base\.classifier\.loss: 'nca' compares .* set base\.classifier\.loss: ce"):
        method.check_fit(method.config(), alone)
    method.check_fit(method.config.model_validate({"base": {"classifier": {"loss": "ce"}}}), alone)
    method.check_fit(method.config(), replace(alone, n_base=2))


def test_a_horizon_beyond_the_stream_is_refused():
    with pytest.raises(TuneCLError, match="horizon 4: fashion-b4-t3 has 3 increments"):
        Chain(run_config("finetune", horizon=4), tiny_stream(), StageStore(Path("/nonexistent")))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(TuneCLError, match="no CUDA GPU"):
        device_of("cuda")


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        *((method, {}) for method in method_names()),
        ("lucir", {"base.memory.size": 500, "increment.finetune.epochs": 1}),  # more than a class has images
    ],
)
def test_a_phase_says_beforehand_how_many_images_it_will_train_on(tmp_path, method, changes):
    run, chosen = run_config(method, changes, horizon=2), get_method(method)
    config = chosen.config.model_validate(run.parameters)
    stream = tiny_stream()
    told: list[int] = []
    seen: list[int] = []
    for t in range(3):
        new = torch.bincount(stream.training(t).labels)[stream.classes(t).start :].tolist()
        sizes = chosen.sizes(config, seen, new)
        told += [phase.images(chosen.subtree(config, t, phase), sizes) for phase in chosen.phases(config, t, 2)]
        seen += new
    assert told == [use.images_trained for row in rows_of(chain_of(run, tmp_path)) for use in row.stages]
