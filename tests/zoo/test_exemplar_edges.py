"""Exemplar methods where there is next to nothing to learn from or a setting is extreme; and the order of phases."""

import numpy as np
import pytest
import torch
from tiny_phases import CPU, phase_context, phase_data, tiny_config, tiny_stream
from torch import Tensor
from unequal_classes import EXEMPLAR_METHODS, Step, state_of, train

from tune_cl.methods import get_method
from tune_cl.nets import POOLED, Component, build_classifier
from tune_cl.replay import herd
from tune_cl.streams import Pixels

SCARCE = {
    "one exemplar of each class": Step(old=(1, 1, 1, 1)),
    "one new class": Step(new=(9,)),
    "one image of each class": Step(old=(1, 1, 1, 1), new=(1, 1, 1)),
    "one image of one new class": Step(old=(1, 1, 1, 1), new=(1,)),
}
LOSSES = [
    *((host, loss) for host in EXEMPLAR_METHODS for loss in ("ce", "balanced", "relaxed", "posthoc")),
    ("icarl", "bce"),
    ("icarl", "balanced_bce"),
    ("podnet", "nca"),
]


def assert_finite(component: Component) -> None:
    assert all(bool(tensor.isfinite().all()) for tensor in component.tensors.values())


@pytest.mark.parametrize("step", SCARCE.values(), ids=SCARCE)
@pytest.mark.parametrize(("host", "loss"), LOSSES)
def test_an_exemplar_method_learns_finite_weights_from_next_to_nothing(host, loss, step):
    trained = train(host, step, loss=loss, learning_rate=0.1)
    assert_finite(trained.result.changed["classifier"])
    assert np.isfinite(list(trained.result.losses.values())).all()


@pytest.mark.parametrize(
    ("loss", "extreme"),
    [
        ("balanced", {"alpha": 1000.0}),
        ("balanced", {"tau": 4.0}),
        ("posthoc", {"alpha": 1000.0, "tau": 4.0}),
        ("relaxed", {"tau": 4.0, "epsilon": 1e-30}),
    ],
)
@pytest.mark.parametrize("host", EXEMPLAR_METHODS)
def test_an_exemplar_method_learns_finite_weights_under_extreme_settings(host, loss, extreme):
    assert_finite(train(host, loss=loss, learning_rate=0.1, **extreme).result.changed["classifier"])


@pytest.mark.parametrize("step", SCARCE.values(), ids=SCARCE)
@pytest.mark.parametrize("host", EXEMPLAR_METHODS)
def test_balanced_finetuning_takes_an_image_of_each_class_at_least(host, step):
    state = state_of(host, 4 + len(step.new))
    trained = train(host, step, state, "finetune", learning_rate=0.1, batch_size=50)
    assert_finite(trained.result.changed["classifier"])
    assert min(trained.counts) > 0


def herded(classifier: Component, images: Tensor, n: int) -> list[int]:
    with torch.no_grad():
        network = build_classifier(classifier).eval()
        features = network.features(Pixels(tiny_stream().preprocessing, CPU).normalise(images), POOLED)
    return herd(features, n).tolist()


@pytest.mark.parametrize("host", EXEMPLAR_METHODS)
def test_exemplars_are_chosen_by_the_classifier_that_was_finetuned(host):
    method = get_method(host)
    finetune = {"epochs": 4, "trains": "all", "learning_rate": 0.1}
    config = tiny_config(method, {f"increment.finetune.{name}": value for name, value in finetune.items()})
    state: dict[str, Component] = {}
    classifiers = []
    for t in (0, 1):
        before = dict(state)
        for phase in method.phases(config, t, horizon=3):
            data = phase_data(t, memory=state.get("memory") if phase.sees_memory else None)
            context = phase_context(t, phase.name, before=before)
            state.update(phase.run(method.subtree(config, t, phase), data, state, context).changed)
            classifiers.append(state["classifier"])
    memory, new = state["memory"].tensors, tiny_stream().training(1)
    kept = {c: memory["positions"][memory["labels"] == c].tolist() for c in (4, 5)}
    assert kept == {c: herded(state["classifier"], new.images[new.labels == c], 3) for c in kept}
    assert kept != {c: herded(classifiers[2], new.images[new.labels == c], 3) for c in kept}  # before finetuning
